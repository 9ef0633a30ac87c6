"""A package of somebody else is found by its entry point once it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import json
from theoros.oracles.check import check_oracle
from theoros.oracles.reference import OracleReference
from theoros.oracles.registry import available

reference = OracleReference("spring", {"time": 2.0, "resources": {"timeout": "20 s"}})
oracle = reference.load()
candidate = oracle.space.candidate({"mass": 1.0, "damping": 1.0, "stiffness": 4.0})
print(json.dumps({
    "listed": [list(item) for item in available()],
    "amplitude": oracle.evaluate(candidate, "exact").values["amplitude"],
    "timeout": oracle.resources.timeout,
    "checks": [[result.name, result.passed, result.detail] for result in check_oracle(oracle, reference=reference)],
}))
"""


@pytest.fixture(scope="module")
def seen(installed_plugin: Path) -> dict:
    """What a fresh Python sees that has the plug-in on its path."""
    run = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "PYTHONPATH": str(installed_plugin)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_an_installed_package_is_listed_with_its_summary(seen):
    assert ["spring", "theoros-example-plugin", "A damped spring as an oracle: the smallest package that plugs into "
            "Theoros."] in seen["listed"]  # fmt: skip


def test_its_oracle_answers_with_the_campaigns_options(seen):
    assert seen["amplitude"] == pytest.approx(0.36787944117144233)  # exp(-c t / 2m) with c = 1, t = 2, m = 1
    assert seen["timeout"] == 20


def test_it_keeps_the_contract(seen):
    assert seen["checks"]
    assert [check for check in seen["checks"] if not check[1]] == []
