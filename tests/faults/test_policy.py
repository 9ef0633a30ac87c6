"""Each class of failure has a policy of its own, counted by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.db import Store
from theoros.db.records import CandidateRecord, DecisionRecord, FailureRecord
from theoros.oracles import Resources
from theoros.orchestrator.agents.policy import LONGEST_PAUSE, History, enlarged, judge, max_losses
from theoros.orchestrator.spec.campaign import Retries
from theoros.workers.losses import loss

CLASSES = ("infrastructure", "crash", "memory", "timeout", "not_converged", "oracle_error", "bad_answer")


@given(st.sampled_from(CLASSES), st.integers(0, 60), st.integers(0, 60))
def test_a_class_is_retried_as_often_as_it_says_and_never_waits_long(failure_class, allowed, earlier):
    retries = Retries() if failure_class == "bad_answer" else Retries(**{failure_class: allowed})
    verdict = judge(retries, failure_class, "so it was", earlier)
    assert (verdict.retry_after is not None) == (earlier < retries.allowed(failure_class))
    assert verdict.retry_after is None or 0 < verdict.retry_after <= LONGEST_PAUSE
    assert "so it was" in verdict.message


def test_what_crashes_its_process_twice_is_poison_and_a_deadline_is_not():
    assert judge(Retries(), "crash", "SIGSEGV", 0).failure_class == "crash"
    assert judge(Retries(), "crash", "SIGSEGV", 1).failure_class == "poison"
    assert judge(Retries(timeout=1), "timeout", "slow", 1).failure_class == "timeout"


def test_losses_and_stops_are_not_charged_and_failures_are():
    charged = {name: judge(Retries(), name, "", 0).charged for name in (*CLASSES, "cancelled")}
    assert [name for name, yes in charged.items() if not yes] == ["infrastructure", "cancelled"]


def test_memory_doubles_with_every_failure_and_only_where_there_is_a_limit():
    small = Resources(memory="1 GiB", num_cpus=2)
    assert [enlarged(small, n).memory for n in range(3)] == [2**30, 2**31, 2**32]
    assert enlarged(small, 2).num_cpus == 2
    assert enlarged(Resources(), 2).memory is None


@pytest.mark.parametrize(
    ("text", "failure_class"),
    [
        ("The actor is dead because its node has died.", "infrastructure"),
        ("The actor is dead because its worker process has died.", "infrastructure"),
        ("Task was killed due to the node running low on memory.", "memory"),
    ],
)
def test_the_death_of_a_worker_has_a_class(text, failure_class):
    assert loss(RuntimeError(text)).failure_class == failure_class


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "t.db") as opened:
        opened.create_campaign("c", goal="optimize", spec={}, seed=1)
        candidate = CandidateRecord("h", "parameters", {"x": 1}, "x=1")
        opened.enqueue("c", [DecisionRecord(candidate, "only", "k", "sobol")], required_outputs=[])
        yield opened


def test_an_evaluation_lost_with_its_node_keeps_its_other_retries_over_sessions(store):
    for _ in range(2):
        (claim,) = store.claim("c", worker="slot-0")
        store.reconcile("c", lost_tokens=[claim.token], max_losses=max_losses(Retries()))
    (claim,) = store.claim("c", worker="slot-0")
    store.fail(claim.token, FailureRecord("not_converged", "50 cycles", 0.0))

    history = History.of(store, "c")
    assert history.earlier(claim.evaluation_id, "infrastructure") == 2
    earlier = history.earlier(claim.evaluation_id, "not_converged")
    assert earlier == 1
    assert judge(Retries(not_converged=2), "not_converged", "", earlier).retry_after is not None


def test_the_database_quarantines_at_the_loss_that_the_campaign_says(store):
    retries = Retries(infrastructure=1)
    states = []
    for _ in range(2):
        (claim,) = store.claim("c", worker="slot-0")
        (evaluation,) = store.reconcile("c", lost_tokens=[claim.token], max_losses=max_losses(retries))
        states.append((evaluation.state, evaluation.failure_class))
    assert states == [("queued", "infrastructure"), ("abandoned", "poison")]
