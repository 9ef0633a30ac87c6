"""Starting a cluster of one's own on a machine that is busy."""

import pytest
import ray

from theoros.workers import cluster
from theoros.workers.cluster import STARTS, ClusterError, connect

LATE = "The current node timed out during startup."


@pytest.fixture
def starts(monkeypatch):
    """Ray's answers to one start after another (None: it is up), and how often it was started."""
    answers: list[Exception | None] = []
    began: list[dict[str, object]] = []

    def init(**options: object) -> None:
        began.append(options)
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(cluster, "live_nodes", list)
    return answers, began


def test_a_node_that_was_not_up_in_time_is_started_again(starts):
    answers, began = starts
    answers += [Exception(LATE), None]
    assert connect(None) == []
    assert len(began) == 2
    assert began[0] == began[1]


def test_it_is_given_up_with_what_can_be_done(starts):
    answers, began = starts
    answers += [Exception(LATE)] * STARTS
    with pytest.raises(ClusterError, match=r"started, 3 times: The current node timed out.*--address"):
        connect(None)
    assert len(began) == STARTS


def test_a_cluster_that_is_not_there_is_told_of_at_once(starts):
    answers, began = starts
    answers.append(ConnectionError("nobody listens"))
    with pytest.raises(ClusterError, match=r"reached at 127\.0\.0\.1:1: nobody listens"):
        connect("127.0.0.1:1")
    assert len(began) == 1


def test_an_error_of_another_kind_is_left_as_it_is(starts):
    answers, _ = starts
    answers.append(KeyError("a bug"))
    with pytest.raises(KeyError):
        connect(None)
