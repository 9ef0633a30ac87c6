"""Ray clusters for tests, without what Ray starts beside its nodes for people and for machines that come and go."""

from __future__ import annotations

from typing import Any

from ray.cluster_utils import Cluster

#: A head without dashboard, autoscaler and a reader of logs: each is a Python process that tests would pay for.
BARE = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}


def start_cluster(**head: Any) -> Cluster:
    """A cluster of one node, its head, with the resources that are given. More may join it; it is to be shut down."""
    return Cluster(initialize_head=True, head_node_args=BARE | head)
