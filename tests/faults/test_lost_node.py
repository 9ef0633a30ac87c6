"""A campaign on a real Ray cluster of several nodes outlives the loss of one, and uses the one that joins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ray.cluster_utils import Cluster

from theoros.db import CampaignNotFound, Store
from theoros.db.errors import DatabaseNotFound

THEOROS = Path(sys.executable).parent / "theoros"
SPEC = {
    "campaign": "cluster",
    "question": {"minimize": "value"},
    "oracle": {
        "synthetic": {"function": "Branin", "delay": "1 s", "resources": {"num_cpus": 1, "custom": {"bench": 1}}}
    },
    "budget": {"labels": 20},
    "workers": {"slots": 3},
    "seed": 2,
}


def done(database: Path) -> int:
    try:
        with Store(database, read_only=True) as store:
            return sum(e.state == "done" for e in store.evaluations("cluster"))
    except (DatabaseNotFound, CampaignNotFound):
        return 0


@pytest.fixture
def cluster():
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield nodes
    nodes.shutdown()


def test_a_campaign_outlives_a_lost_node_and_uses_one_that_joins(cluster, tmp_path):
    first = cluster.add_node(num_cpus=2, resources={"bench": 2})
    second = cluster.add_node(num_cpus=1, resources={"bench": 1})
    cluster.wait_for_nodes()
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SPEC))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen(
        [THEOROS, "run", "c.yaml", "--database", "t.db", "--address", cluster.address],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while done(tmp_path / "t.db") < 4:
            assert driver.poll() is None, driver.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        cluster.remove_node(first, allow_graceful=False)
        cluster.add_node(num_cpus=2, resources={"bench": 2})
        output, _ = driver.communicate(timeout=200)
    finally:
        driver.kill()
    assert driver.returncode == 0, output
    with Store(tmp_path / "t.db", read_only=True) as store:
        assert [e.state for e in store.evaluations("cluster")] == ["done"] * 20
        attempts = store.attempts("cluster")
        events = {event.kind for event in store.events("cluster")}
    assert (attempts["state"] == "done").sum() == 20, "an answer was counted twice"
    assert "worker_lost" in events
    lost = attempts[attempts["state"] != "done"]
    assert len(lost) >= 1, "the lost node was working"
    assert set(lost["exit_class"]) == {"infrastructure"}
    assert second is not None
