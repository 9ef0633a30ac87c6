"""Tallies save counting and change no answer; what people ask of a campaign is right with and without them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select, true

from tests.db.conftest import Make
from theoros.db import campaigns, overview, tallies
from theoros.db.errors import StoreReadOnly
from theoros.db.pulse import Spell, busy_share
from theoros.db.ranking import Ranking, Standing
from theoros.db.records import ModelVersionRecord, ScoreRecord
from theoros.db.schema import Tally
from theoros.db.store import Store

NAME = "machine"
UP = Ranking("y", "maximize", "high")


def keep(store: Store, name: str, ranking: Ranking = UP, every: int = 1) -> bool:
    return store._write(lambda c: tallies.keep(c, campaigns.identify(c, name, lock=True), ranking, every=every))


def covered(store: Store, name: str) -> tallies.Standings:
    with store.reading() as connection:
        return tallies.latest(connection, campaigns.identify(connection, name))


def values(store: Store, name: str, ranking: Ranking, n: int) -> list[float]:
    return [float(label.values[ranking.output]) for label, _ in overview.best(store, name, ranking, n)]


class TalliedMachine(RuleBasedStateMachine):
    """A queue to which anything may happen, and tallies kept at any moment, so small that all their limits are met."""

    def __init__(self):
        super().__init__()
        self.limits = tallies.MOST_PENDING, tallies.FARTHEST, tallies.KEPT
        tallies.MOST_PENDING, tallies.FARTHEST, tallies.KEPT = 2, 3, 2
        self.folder = tempfile.TemporaryDirectory(prefix="theoros-tallies-")
        self.store = Store(Path(self.folder.name) / "campaigns.db")
        self.store.create_campaign(NAME, goal="learn", spec={}, seed=0)
        self.tokens: list[str] = []

    def teardown(self):
        tallies.MOST_PENDING, tallies.FARTHEST, tallies.KEPT = self.limits
        self.store.close()
        self.folder.cleanup()

    @rule(count=st.integers(1, 4), claimed=st.integers(0, 4))
    def ask(self, count, claimed):
        first = len(self.store.evaluations(NAME)) + 1
        self.store.enqueue(NAME, [Make.decision(first + i) for i in range(count)], required_outputs=["y"])
        if claimed:
            self.tokens += [claim.token for claim in self.store.claim(NAME, worker="w", limit=claimed)]

    @precondition(lambda self: self.tokens)
    @rule(which=st.integers(0, 99), value=st.integers(0, 5))
    def answer(self, which, value):
        self.store.complete(self.tokens[which % len(self.tokens)], Make.answer(value))

    @precondition(lambda self: self.tokens)
    @rule(which=st.integers(0, 99), again=st.booleans())
    def fail(self, which, again):
        failure = Make.failure(retry_after=0.0 if again else None, cost=0.5)
        self.store.fail(self.tokens[which % len(self.tokens)], failure)

    @precondition(lambda self: self.tokens)
    @rule(which=st.integers(0, 99))
    def lose(self, which):
        self.store.reconcile(NAME, lost_tokens=[self.tokens[which % len(self.tokens)]], max_losses=1)

    @rule(which=st.sets(st.integers(1, 20), max_size=3))
    def cancel(self, which):
        self.store.cancel(NAME, which)

    @rule(every=st.integers(1, 3), sense=st.sampled_from(["maximize", "minimize", "match"]))
    def tally(self, every, sense):
        before = covered(self.store, NAME).sequence
        kept = keep(self.store, NAME, Ranking("y", sense, "high", target=2.5), every)
        assert covered(self.store, NAME).sequence - before >= (every if kept else 0)

    @invariant()
    def what_is_added_up_is_what_is_counted(self):
        with self.store.reading() as connection:
            campaign_id = campaigns.identify(connection, NAME)
            counted = tallies._sum(connection, campaign_id, [true()], tallies.Totals())
            added = tallies.totals(connection, campaign_id)
        assert {k: {s: n for s, n in v.items() if n} for k, v in added.counts.items()} == counted.counts
        assert added.failures == counted.failures
        assert math.isclose(added.cost, counted.cost, abs_tol=1e-9)

    @invariant()
    def the_best_are_those_of_all_labels(self):
        every = sorted(float(label.values["y"]) for label in self.store.label_records(NAME))
        for n in (1, 2, 3):
            assert values(self.store, NAME, UP, n) == every[::-1][:n]
            assert values(self.store, NAME, Ranking("y", "minimize", "high"), n) == every[:n]


TestTalliedMachine = TalliedMachine.TestCase
TestTalliedMachine.settings = settings(
    max_examples=15, stateful_step_count=25, derandomize=True, suppress_health_check=list(HealthCheck)
)


def answer_all(work, store, make, *answers) -> None:
    for answer in answers:
        store.complete(work.claim().token, make.answer(answer) if isinstance(answer, float) else make.answer(**answer))


def test_a_late_answer_of_a_quarantined_evaluation_is_counted_after_a_tally_too(work, store, make):
    work.ask(0, 1)
    claim = work.claim()
    store.complete(work.claim().token, make.answer(2.0))
    store.reconcile(work.name, lost_tokens=[claim.token], max_losses=1)
    assert keep(store, work.name)
    assert covered(store, work.name).pending == (1,)
    assert store.progress(work.name, {}).counts == {"high": {"abandoned": 1, "done": 1}}
    assert store.complete(claim.token, make.answer(3.0))
    assert store.progress(work.name, {}).counts == {"high": {"done": 2}}
    assert store.progress(work.name, {}).cost == 2.0
    assert values(store, work.name, UP, 5) == [3.0, 2.0]


def test_what_still_runs_does_not_keep_the_rest_from_being_tallied(work, store, make):
    work.ask(*range(6))
    running = work.claim()
    answer_all(work, store, make, *map(float, range(5)))
    assert keep(store, work.name)
    tally = covered(store, work.name)
    assert (tally.sequence, tally.pending) == (6, (1,))
    assert tally.totals.counts == {"high": {"done": 5}}
    assert store.complete(running.token, make.answer(9.0))
    assert store.progress(work.name, {}).total("done") == 6
    assert not keep(store, work.name)  # there is nothing new to cover


def test_a_tally_waits_until_it_is_worth_it(work, store, make):
    work.ask(0, 1)
    answer_all(work, store, make, 1.0, 2.0)
    assert not keep(store, work.name, every=3)
    with store.reading() as connection:
        assert connection.execute(select(Tally.sequence)).all() == []


def test_tallies_are_appended(work, store, make):
    for number in range(3):
        work.ask(number)
        answer_all(work, store, make, float(number))
        assert keep(store, work.name)
    with store.reading() as connection:
        assert connection.execute(select(Tally.sequence).order_by(Tally.sequence)).scalars().all() == [1, 2, 3]


def test_reading_keeps_no_tally(work, store, make):
    with Store(store.url, read_only=True) as reader, pytest.raises(StoreReadOnly):
        keep(reader, work.name)


@pytest.mark.parametrize("tallied", [False, True])
def test_the_best_keep_all_bounds_at_the_fidelity_that_counts(work, store, make, tallied):
    work.ask(*range(5))
    work.ask(9, fidelity="low")
    gaps = (1.0, 4.0, 5.0, 3.9, 6.0)
    answer_all(work, store, make, *({"value": float(y), "gap": gap} for y, gap in enumerate(gaps)))
    answer_all(work, store, make, {"value": 99.0, "gap": 5.0})
    ranking = Ranking("y", "maximize", "high", (("gap", ">=", 4.0), ("gap", "<=", 5.5)))
    if tallied:
        assert keep(store, work.name, ranking)
        assert covered(store, work.name).best == (Standing(2.0, 3, 3), Standing(1.0, 2, 2))
    assert values(store, work.name, ranking, 10) == [2.0, 1.0]
    assert values(store, work.name, UP, 2) == [4.0, 3.0]  # another question than the tally's is answered too


@pytest.mark.parametrize("tallied", [False, True])
def test_of_two_equal_labels_the_earlier_is_better(work, store, make, tallied):
    work.ask(0, 1, 2)
    answer_all(work, store, make, 5.0, 7.0, 7.0)
    if tallied:
        assert keep(store, work.name)
    assert [label.sequence for label, _ in overview.best(store, work.name, UP, 3)] == [2, 3, 1]


def test_the_best_come_with_what_was_believed_of_them(work, store, make):
    work.ask(0, predictions=[make.prediction(1.0, 0.5)])
    work.ask(1)
    answer_all(work, store, make, 5.0, 4.0)
    assert [beliefs for _, beliefs in overview.best(store, work.name, UP, 3)] == [[make.prediction(1.0, 0.5)], []]


def test_arrays_among_the_outputs_do_not_disturb_the_ranking(work, store, make):
    work.ask(0, 1)
    answer_all(work, store, make, {"value": 1.0, "forces": np.ones((30, 3))}, {"value": 2.0, "forces": np.ones(3)})
    assert values(store, work.name, UP, 3) == [2.0, 1.0]


@pytest.mark.parametrize("tallied", [False, True])
def test_the_pulse_says_who_works_what_waits_and_what_fails(work, store, make, tallied):
    work.ask(*range(7), seconds=0.5)
    answer_all(work, store, make, 1.0, 2.0)
    store.fail(work.claim().token, make.failure("timeout", retry_after=None))
    store.reconcile(work.name, lost_tokens=[work.claim().token], max_losses=1)
    store.claim_for(work.name, ["a", "b"])
    assert not tallied or keep(store, work.name)
    pulse = overview.pulse(store, work.name)
    assert pulse.working == 2
    assert (pulse.last_minute, pulse.last_hour) == (2, 2)
    assert 0.0 <= pulse.queue_age < 60.0
    assert pulse.failures == {"timeout": 1, "infrastructure": 1, "poison": 1}
    assert pulse.examples == {"timeout": "it took too long", "infrastructure": "worker lost"}
    assert pulse.decision_seconds == 0.5


def test_a_new_campaign_has_a_pulse_without_figures(store, campaign):
    pulse = overview.pulse(store, campaign)
    assert (pulse.working, pulse.last_minute, pulse.last_hour, pulse.queue_age) == (0, 0, 0, None)
    assert pulse.failures == pulse.examples == {}
    assert math.isnan(pulse.worker_use)
    assert math.isnan(pulse.decision_seconds)


def test_what_was_labelled_long_ago_is_not_counted_as_today(work, store, make):
    work.ask(0, 1)
    answer_all(work, store, make, 1.0, 2.0)
    moved = "UPDATE evaluations SET ended_at = '2020-01-01 00:00:00.000000' WHERE sequence = 1"
    store._write(lambda connection: connection.exec_driver_sql(moved))
    assert overview.pulse(store, work.name).last_hour == 1


def test_worker_use_is_busy_over_available_time():
    one = [Spell("a", 0.0, 6.0), Spell("a", 8.0, 10.0)]
    assert busy_share(one, whole=True) == pytest.approx(0.8)
    assert busy_share([*one, Spell("b", 5.0, 10.0)], whole=True) == pytest.approx(13 / 20)


def test_worker_use_of_late_work_does_not_count_what_ended_before_as_idle():
    """Two workers, always busy: of the last spells the first begin at different times."""
    late = [Spell("a", 0.0, 10.0), Spell("b", 9.0, 19.0), Spell("a", 10.0, 20.0), Spell("b", 19.0, 20.0)]
    assert busy_share(late, whole=False) == pytest.approx(1.0)
    assert busy_share(late, whole=True) < 0.8


def test_the_last_model_comes_with_its_scores(store, campaign):
    assert overview.last_model(store, campaign) is None
    for number in (1, 2):
        scores = (ScoreRecord("y", "rmse", 0.1 * number, 5),)
        store.add_model_version(campaign, ModelVersionRecord(number, "gp", 5, 7, 0.3, scores=scores))
    last = overview.last_model(store, campaign)
    assert last == store.model_versions(campaign)[-1]
    assert last.scores[0].value == 0.2
