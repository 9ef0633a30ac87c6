"""What an evaluation sees of the GPUs of a cluster. Ray counts GPUs as it is told to, so none is needed here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ray_cluster import start_cluster
from theoros.db import Store

THEOROS = Path(sys.executable).parent / "theoros"
MODULE = """
import os

from theoros.oracles import Parameters, Quantity, Real, oracle


@oracle(space=Parameters(x=Real(0, 1)), outputs={"gpus": Quantity("")})
def count(x: float) -> dict[str, float]:
    return {"gpus": float(len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))}
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A node without GPUs, one with four, and one with one."""
    cluster = start_cluster(num_cpus=2, num_gpus=0)
    for gpus in (4, 1):
        cluster.add_node(num_cpus=2, num_gpus=gpus)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def run(address: str, tmp_path: Path) -> Callable[[float, int | str], subprocess.CompletedProcess[str]]:
    (tmp_path / "gpus.py").write_text(MODULE)

    def run(num_gpus: float, slots: int | str) -> subprocess.CompletedProcess[str]:
        content: dict[str, Any] = {
            "campaign": "gpus",
            "question": {"maximize": "gpus"},
            "oracle": {"gpus:count": {"resources": {"num_cpus": 1, "num_gpus": num_gpus}}},
            "acquisition": "random",
            "budget": {"labels": 4},
            "workers": {"slots": slots},
        }
        (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(content))
        command = [THEOROS, "run", "campaign.yaml", "--database", "t.db", "--address", address]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


@pytest.mark.parametrize(
    ("num_gpus", "slots", "seen"), [(4, "auto", 4), (0.5, 2, 1)], ids=["four of one node", "half of one"]
)
def test_an_evaluation_sees_the_gpus_that_are_its_own(run, tmp_path, num_gpus, slots, seen):
    done = run(num_gpus, slots)
    assert done.returncode == 0, done.stdout + done.stderr
    with Store(tmp_path / "t.db", read_only=True) as store:
        assert store.labels("gpus")["gpus"].tolist() == [seen] * 4


def test_more_gpus_than_any_node_has_are_refused_with_what_there_is(run):
    done = run(5, 1)
    assert done.returncode == 2
    assert "does not fit on any node" in done.stderr
    assert "GPU 4" in done.stderr
