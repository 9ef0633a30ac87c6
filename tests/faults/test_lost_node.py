"""A campaign on a real Ray cluster of several nodes outlives the loss of any, and uses those that join."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from wave import truth

import pytest
from ray.cluster_utils import Cluster

from tests.faults.invariants import violations
from tests.faults.said import said
from tests.ray_cluster import start_cluster
from theoros.workers import spool
from theoros.workers.messages import Outcome

SPEC: dict[str, Any] = {
    "campaign": "cluster",
    "question": {"maximize": "height"},
    "oracle": {"wave:Wave": {"seconds": 1.0, "resources": {"num_cpus": 1, "custom": {"bench": 1}}}},
    "budget": {"labels": 20},
    "workers": {"slots": 3},
    "seed": 2,
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    nodes = start_cluster(num_cpus=1)
    yield nodes
    nodes.shutdown()


def test_a_campaign_outlives_a_lost_node_and_uses_one_that_joins(cluster, make_home):
    first = cluster.add_node(num_cpus=2, resources={"bench": 2})
    cluster.add_node(num_cpus=1, resources={"bench": 1})
    cluster.wait_for_nodes()
    home = make_home(SPEC, cluster.address)
    driver = home.start()
    home.wait_for(lambda: home.done() >= 4)
    cluster.remove_node(first, allow_graceful=False)
    cluster.add_node(num_cpus=2, resources={"bench": 2})
    output = said(driver)
    assert driver.returncode == 0, output
    with home.read() as store:
        assert violations(store, "cluster", budget=20, spool=home.spool, truth=truth) == []
        attempts = store.attempts("cluster")
    assert home.told("worker_lost")
    lost = attempts[attempts["state"] != "done"]
    assert len(lost) >= 1, "the lost node was working"
    assert set(lost["exit_class"]) == {"infrastructure"}
    assert set(lost["cost"]) == {0.0}, "a lost node is not charged"


def test_slots_follow_the_cluster_and_answers_on_a_disk_are_taken_in_before_work_is_given(cluster, make_home):
    node = cluster.add_node(num_cpus=1, resources={"bench": 1})
    cluster.wait_for_nodes()
    home = make_home(SPEC | {"budget": {"labels": 30}, "workers": {"slots": "auto"}}, cluster.address)
    driver = home.start()
    home.wait_for(lambda: home.done() >= 3)
    slow_to_start = len(home.told("starved"))
    cluster.remove_node(node, allow_graceful=False)
    home.wait_for(lambda: len(home.told("starved")) > slow_to_start)
    assert "bench 1" in home.told("starved")[-1]
    assert "the cluster has" in home.told("starved")[-1]

    with home.read() as store:
        (lost,) = store.query(
            "SELECT a.token, e.sequence, k.data FROM attempts a JOIN evaluations e ON e.id = a.evaluation_id "
            "JOIN candidates k ON k.id = e.candidate_id WHERE a.state = 'lost'"
        ).itertuples()
        (evaluation,) = (e for e in store.evaluations("cluster") if e.sequence == lost.sequence)
    spool.write(home.spool, Outcome(lost.token, "only", values=truth(evaluation.candidate.data), host="lost", pid=1))
    cluster.add_node(num_cpus=3, resources={"bench": 3})
    home.wait_for(lambda: home.told("orphan_taken_in"))
    output = said(driver)
    assert driver.returncode == 0, output
    with home.read() as store:
        assert violations(store, "cluster", budget=30, spool=home.spool, truth=truth) == []
        attempts = store.attempts("cluster")
    assert attempts[attempts["sequence"] == lost.sequence]["state"].tolist() == ["done"], "it was not asked again"
    assert home.told("slots_added")
    assert len(set(attempts["worker"])) > 1, "the new slots worked"
