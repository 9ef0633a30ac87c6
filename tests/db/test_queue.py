"""The queue: nothing is asked twice, counted twice or lost."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from theoros.db import AnswerNotFinite, AttemptNotFound, Store
from theoros.db.errors import StoreError


def test_a_campaign_asks_for_a_candidate_and_fidelity_once(store, work):
    first, again = work.ask(1, 1)
    (later,) = work.ask(1)
    (other,) = work.ask(1, fidelity="low")
    assert first.evaluation_id == again.evaluation_id == later.evaluation_id != other.evaluation_id
    assert [record.sequence for record in store.evaluations(work.name)] == [1, 2]


def test_evaluations_come_back_in_the_order_in_which_they_were_decided(store, work):
    work.ask(7)
    records = work.ask(9, 7, 8)
    assert [record.candidate.hash for record in records] == ["hash9", "hash7", "hash8"]
    assert [record.sequence for record in records] == [2, 1, 3]


def test_sequence_numbers_are_dense_when_threads_enqueue_at_once(store, work, make):
    def ask(start):
        for number in range(start, start + 5):
            store.enqueue(work.name, [make.decision(number)], required_outputs=["y"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, (0, 3, 100, 102)))  # overlapping candidates
    assert [record.sequence for record in store.evaluations(work.name)] == list(range(1, 16))


def test_the_oldest_decision_is_claimed_first_unless_another_is_urgent(store, work, make):
    work.ask(1, 2)
    store.enqueue(work.name, [make.decision(3)], required_outputs=["y"], priority=-1)
    assert [claim.candidate.hash for claim in store.claim(work.name, worker="w", limit=5)] == [
        "hash3",
        "hash1",
        "hash2",
    ]


def test_claims_are_atomic_when_many_race(store, url, work):
    """Several stores on one database, several threads each: every evaluation is claimed exactly once."""
    work.ask(*range(40))

    def drain(opened):
        got = []
        while claims := opened.claim(work.name, worker="w", limit=3):
            got += [claim.evaluation_id for claim in claims]
        return got

    stores = [store, Store(url), Store(url)]
    with ThreadPoolExecutor(6) as pool:
        claimed = [number for part in pool.map(drain, stores * 2) for number in part]
    for opened in stores[1:]:
        opened.close()
    assert sorted(claimed) == [record.evaluation_id for record in store.evaluations(work.name)]


def test_one_answer_is_counted_when_the_same_token_reports_from_many_threads(store, work, make):
    work.ask(1)
    token = work.claim().token
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda value: store.complete(token, make.answer(value)), range(6)))
    assert sorted(taken) == [False] * 5 + [True]
    assert store.query("SELECT count(*) AS n FROM labels")["n"].tolist() == [1]


def test_a_worker_that_asks_again_gets_its_own_evaluations(store, work):
    work.ask(1, 2)
    claim = work.claim("alice")
    work.claim("bob")
    assert store.claims_of(work.name, "alice") == [claim]
    assert store.claims_of(work.name, "carol") == []


def test_a_failed_evaluation_waits_for_its_time_and_is_tried_again(store, work, make):
    work.ask(1)
    store.fail(work.claim().token, make.failure(retry_after=0.3))
    assert work.state() == "failed"
    assert work.claim() is None
    time.sleep(0.4)
    again = work.claim()
    assert again.attempt_number == 2
    assert store.complete(again.token, make.answer())
    record = store.evaluations(work.name)[0]
    assert (record.state, record.attempts, record.failure_class) == ("done", 2, None)


def test_an_abandoned_evaluation_is_never_asked_again(store, work, make):
    work.ask(1)
    store.fail(work.claim().token, make.failure(retry_after=None))
    (record,) = work.ask(1)
    assert (record.state, record.failure_class, record.message) == ("abandoned", "timeout", "it took too long")
    assert work.claim() is None


def test_late_answer_of_a_dead_worker_is_not_counted_twice(store, work, make):
    work.ask(1)
    dead = work.claim(lease_seconds=-1)
    assert [record.state for record in store.reconcile(work.name)] == ["queued"]
    alive = work.claim()
    assert not store.complete(dead.token, make.answer(1.0)), "another is at work on it"
    assert store.complete(alive.token, make.answer(2.0))
    assert not store.complete(dead.token, make.answer(1.0))
    assert not store.fail(dead.token, make.failure())
    (label,) = store.label_records(work.name)
    assert label.values["y"] == 2.0


def test_late_answer_is_taken_while_nobody_has_claimed_its_evaluation_again(store, work, make):
    work.ask(1)
    dead = work.claim(lease_seconds=-1)
    store.reconcile(work.name)
    assert store.complete(dead.token, make.answer(3.0))
    assert not store.complete(dead.token, make.answer(3.0))
    assert work.state() == "done"
    assert work.claim() is None


def test_an_answer_is_taken_while_its_lease_has_run_out_unnoticed(store, work, make):
    work.ask(1)
    assert store.complete(work.claim(lease_seconds=-1).token, make.answer())


def test_a_failure_of_a_lost_attempt_changes_nothing(store, work, make):
    work.ask(1)
    dead = work.claim(lease_seconds=-1)
    store.reconcile(work.name)
    assert not store.fail(dead.token, make.failure(retry_after=None))
    assert work.state() == "queued"


def test_a_live_lease_is_not_reconciled_unless_told(store, work):
    work.ask(1, 2, 3)
    tokens = [claim.token for claim in store.claim(work.name, worker="w", limit=3)]
    assert store.reconcile(work.name) == []
    assert [record.sequence for record in store.reconcile(work.name, lost_tokens=[tokens[1]])] == [2]
    assert [record.sequence for record in store.reconcile(work.name, lost_tokens="all")] == [1, 3]


def test_what_kills_every_worker_is_poison_and_abandoned(store, work, make):
    work.ask(1)
    lost = []
    for _ in range(3):
        assert work.state() == "queued"
        lost.append(work.claim(lease_seconds=-1))
        store.reconcile(work.name, max_losses=3)
    record = store.evaluations(work.name)[0]
    assert (record.state, record.failure_class, record.attempts) == ("abandoned", "poison", 3)
    assert store.complete(lost[0].token, make.answer()), "an answer that was computed after all is not lost"
    assert work.state() == "done"


def test_cancelling_takes_what_is_queued_and_nothing_else(store, work, make):
    work.ask(1, 2, 3, 4)
    first, second = store.claim(work.name, worker="w", limit=2)
    store.fail(second.token, make.failure(retry_after=60))
    assert store.cancel(work.name) == 3
    assert [record.state for record in store.evaluations(work.name)] == ["running", *["cancelled"] * 3]
    assert store.complete(first.token, make.answer())
    assert store.cancel(work.name) == 0


def test_a_cancelled_evaluation_takes_no_answer(store, work, make):
    (record,) = work.ask(1)
    claim = work.claim()
    assert store.cancel(work.name, [record.evaluation_id]) == 1
    assert not store.started(claim.token, "host", 1)
    assert not store.complete(claim.token, make.answer())
    assert store.label_records(work.name) == []


def test_what_was_cancelled_can_be_decided_again(store, work, make):
    work.ask(1)
    store.cancel(work.name)
    (again,) = work.ask(1)
    assert (again.state, again.sequence) == ("queued", 2)
    assert [record.state for record in store.evaluations(work.name)] == ["cancelled", "queued"]


def test_a_label_of_another_campaign_answers_at_once_and_costs_nothing(store, work, make):
    work.ask(1)
    store.complete(work.claim().token, make.answer(5.0))
    store.create_campaign("second", goal="learn", spec={}, seed=1)
    (record,) = store.enqueue("second", [make.decision(1)], required_outputs=["y"])
    assert record.state == "done"
    assert store.claim("second", worker="w") == []
    (label,) = store.label_records("second")
    assert (float(label.values["y"]), label.from_cache) == (5.0, True)
    progress = store.progress("second", {})
    assert (progress.cost, progress.charged, progress.total("done")) == (0.0, {"high": 1}, 1)


def test_a_label_without_a_required_output_does_not_answer(store, work, make):
    work.ask(1)
    store.complete(work.claim().token, make.answer(5.0))
    store.create_campaign("second", goal="learn", spec={}, seed=1)
    (record,) = store.enqueue("second", [make.decision(1)], required_outputs=["y", "forces"])
    assert record.state == "queued"


def test_a_label_of_another_fidelity_does_not_answer(store, work, make):
    work.ask(1, fidelity="low")
    store.complete(work.claim().token, make.answer(5.0))
    assert work.ask(1)[0].state == "queued"


def test_a_token_of_another_database_is_told_apart_from_a_late_answer(store, work, make):
    for act in (
        lambda: store.complete("f" * 32, make.answer()),
        lambda: store.fail("f" * 32, make.failure()),
        lambda: store.started("f" * 32, "host", 1),
    ):
        with pytest.raises(AttemptNotFound, match="another database"):
            act()


def test_a_worker_says_where_it_runs(store, work):
    work.ask(1)
    claim = work.claim()
    assert store.started(claim.token, "node7", 4711)
    attempt = store.attempts(work.name).iloc[0]
    assert (attempt.host, attempt.pid, attempt.state) == ("node7", 4711, "running")
    assert 0 <= attempt.wait_seconds < 30


def test_an_enqueue_that_fails_leaves_nothing_behind(store, work, make):
    broken = make.decision(2, candidate=make.candidate(2, thing=object()))
    with pytest.raises((TypeError, StoreError, Exception), match="not JSON data"):
        store.enqueue(work.name, [make.decision(1), broken], required_outputs=["y"])
    assert store.evaluations(work.name) == []
    assert work.ask(1)[0].sequence == 1


WORKER = """
import sys
import numpy as np
from theoros.db import AnswerRecord, OutputValue, Store

with Store(sys.argv[1], artifacts=sys.argv[2]) as store:
    taken = 0
    while claims := store.claim("reactor", worker=sys.argv[3]):
        answer = AnswerRecord("oracle", "1", {"y": OutputValue(np.array(float(claims[0].sequence)), "eV")}, 1.0)
        taken += store.complete(claims[0].token, answer)
print(taken)
"""


def test_processes_that_race_label_every_evaluation_once(store, url, work, tmp_path):
    work.ask(*range(30))
    command = [sys.executable, "-c", WORKER, url, str(tmp_path / "artifacts")]
    racers = [subprocess.Popen([*command, f"w{n}"], stdout=subprocess.PIPE, text=True) for n in range(2)]
    taken = [int(racer.communicate(timeout=120)[0]) for racer in racers]
    assert sum(taken) == 30
    records = store.label_records(work.name)
    assert [float(record.values["y"]) for record in records] == list(range(1, 31))
    assert len(store.attempts(work.name)) == 30


def test_many_workers_claim_in_one_turn_the_oldest_first(store, work):
    work.ask(1, 2, 3)
    claims = store.claim_for(work.name, ["a", "b", "a", "c"])
    assert [(claim.sequence, claim.worker) for claim in claims] == [(1, "a"), (2, "b"), (3, "a")]
    assert len({claim.token for claim in claims}) == 3
    assert store.claim_for(work.name, ["a"]) == []


def test_many_answers_are_counted_together_each_once(store, work, make):
    work.ask(1, 2, 3)
    first, second, third = store.claim(work.name, worker="w", limit=3)
    store.reconcile(work.name, lost_tokens=[third.token])
    (again,) = store.claim(work.name, worker="w")
    verdicts = store.complete_many(
        [
            (second.token, make.answer(2.0)),
            (first.token, make.answer(1.0, forces=[[1.0, 2.0]])),
            (second.token, make.answer(9.0)),  # twice in one turn
            (third.token, make.answer(8.0)),  # late: its evaluation was claimed again
            ("0" * 32, make.answer(7.0)),  # another database's
            (again.token, make.answer(3.0)),
        ]
    )
    assert [v if isinstance(v, bool) else type(v) for v in verdicts] == [
        True,
        True,
        False,
        False,
        AttemptNotFound,
        True,
    ]
    assert [float(label.values["y"]) for label in store.label_records(work.name)] == [1.0, 2.0, 3.0]
    assert store.progress(work.name, {"high": 1.0}).cost == 3.0


def test_answers_of_one_turn_are_kept_all_or_none(store, work, make):
    work.ask(1, 2)
    first, second = store.claim(work.name, worker="w", limit=2)
    with pytest.raises(AnswerNotFinite):
        store.complete_many([(first.token, make.answer(1.0)), (second.token, make.answer(float("nan")))])
    assert store.label_records(work.name) == []
    assert work.state(0) == "running"


def test_decisions_of_one_turn_share_candidates_and_answers(store, work, make):
    (known,) = work.ask(1)
    store.complete(work.claim().token, make.answer(1.0))
    again, new, twice = work.ask(1, 2, 2)
    assert again.evaluation_id == known.evaluation_id
    assert new.evaluation_id == twice.evaluation_id
    store.create_campaign("other", goal="optimize", spec={}, seed=1)
    cached, new = store.enqueue("other", [make.decision(1), make.decision(7)], required_outputs=["y"])
    assert (cached.state, new.state) == ("done", "queued")
    assert [label.from_cache for label in store.label_records("other")] == [True]


def test_what_waits_is_withdrawn_and_says_why_and_what_runs_is_not(store, work):
    first, second = work.ask(1, 2)
    work.claim()
    ids = [first.evaluation_id, second.evaluation_id]
    assert store.withdraw(work.name, ids, message="the model thinks better") == [second.evaluation_id]
    assert [(e.state, e.message) for e in store.evaluations(work.name)] == [
        ("running", None),
        ("cancelled", "the model thinks better"),
    ]
    (again,) = work.ask(2)
    assert (again.sequence, again.state) == (3, "queued")


def test_a_running_evaluation_is_cancelled_at_what_it_has_cost(store, work):
    (record,) = work.ask(1)
    claim = work.claim()
    assert store.cancel(work.name, [record.evaluation_id], message="hopeless", costs={record.evaluation_id: 0.25}) == 1
    assert store.progress(work.name, {"high": 1.0}).cost == 0.25
    assert store.evaluations_of(work.name, tokens=[claim.token])[0].message == "hopeless"
