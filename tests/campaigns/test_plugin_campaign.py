"""An oracle from somebody else's package answers a campaign; Theoros's own code knows nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from theoros.db import Store

THEOROS = Path(sys.executable).parent / "theoros"
SPEC = {
    "campaign": "spring",
    "question": {"maximize": "amplitude"},
    "oracle": {"spring": {"time": 2.0}},
    "budget": {"labels": 14},
    "workers": {"slots": 2},
    "seed": 1,
}
MODULE = '''
from theoros.oracles import Parameters, Quantity, Real, oracle


@oracle(space=Parameters(x=Real(-2, 2, unit="m"), y=Real(-2, 2, unit="m")), outputs={"height": Quantity("m")})
def hill(x: float, y: float) -> dict[str, float]:
    """A hill with its top at (0.7, -0.4)."""
    return {"height": 3.0 - (x - 0.7) ** 2 - (y + 0.4) ** 2}
'''


@pytest.fixture
def run(installed_plugin: Path, tmp_path: Path):
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [THEOROS, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(installed_plugin)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_an_oracle_of_an_installed_package_answers_a_campaign(run, tmp_path):
    (tmp_path / "spring.yaml").write_text(yaml.safe_dump(SPEC))
    assert "spring" in run("oracles", "list")
    run("oracles", "check", "spring.yaml")
    assert "theoros top spring" in run("run", "spring.yaml")
    with Store(tmp_path / "theoros.db", read_only=True) as store:
        labels = store.labels("spring")
        assert len(labels) + len(store.evaluations("spring", ["abandoned"])) == 14
        # Undamped springs keep their amplitude; overdamped ones are failures, learned by everybody the hard way.
        assert labels["amplitude"].between(0, 1).all()
        assert labels["amplitude"].max() > labels["amplitude"].head(5).max(), "the model improved on the first design"
        assert set(store.attempts("spring")["exit_class"]) <= {"ok", "not_converged"}


def test_a_decorated_function_beside_the_campaign_file_answers_it(run, tmp_path):
    (tmp_path / "landscape.py").write_text(MODULE)
    spec = SPEC | {"campaign": "hill", "question": {"maximize": "height"}, "oracle": "landscape:hill"}
    (tmp_path / "hill.yaml").write_text(yaml.safe_dump(spec))
    run("run", "hill.yaml")
    with Store(tmp_path / "theoros.db", read_only=True) as store:
        heights = store.labels("hill")["height"]
        assert heights.max() > heights.head(5).max(), "the model improved on the first design"
        assert heights.max() > 2.5
