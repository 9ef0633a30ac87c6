"""The margin of waiting decisions: none to spare for a slow oracle, enough for a fast one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from theoros.orchestrator.agents.pace import Pace

seconds = st.floats(1e-4, 1e5)


def test_an_oracle_of_hours_is_decided_for_as_late_as_possible():
    assert Pace(slots=16, evaluation=3600.0, decision=2.0).margin == 1


def test_a_second_of_oracle_and_a_quarter_of_decision_keep_every_slot_supplied():
    assert Pace(slots=4, evaluation=1.0, decision=0.25).margin == 4


@given(st.integers(1, 1000), seconds, seconds)
def test_the_margin_is_bounded_by_the_slots(slots, evaluation, decision):
    assert 1 <= Pace(slots, evaluation, decision).margin <= slots


@given(st.integers(1, 100), seconds, st.lists(seconds, min_size=1))
def test_slower_decisions_never_shrink_the_margin(slots, evaluation, decisions):
    slow, fast = Pace(slots, evaluation), Pace(slots, evaluation)
    for decision in decisions:
        slow.decided(2 * decision)
        fast.decided(decision)
    assert slow.margin >= fast.margin


def test_before_anything_is_measured_one_decision_waits():
    assert Pace(slots=8).margin == 1


def test_decisions_are_thought_over_only_where_that_makes_no_slot_wait():
    slow, fast = Pace(slots=4), Pace(slots=4)
    slow.evaluated(60.0)
    fast.evaluated(0.3)
    for pace in (slow, fast):
        pace.decided(0.2)
    assert slow.calm(1)
    assert not fast.calm(4)
    assert fast.calm(8), "who looks far ahead has the time"


def test_a_first_decision_that_waited_for_its_model_worker_says_nothing_about_the_next():
    pace = Pace(slots=3)
    pace.evaluated(2.0)
    pace.decided(20.0)
    assert not pace.calm(6)
    pace.decided(0.1)
    pace.decided(0.1)
    assert pace.calm(6)


def test_quick_evaluations_are_given_ahead_and_in_groups_and_one_long_one_ends_that():
    pace = Pace(slots=2, guided=False)
    assert (pace.groups, pace.at_once(64, 2)) == (1, 1), "nothing is known of the oracle yet"
    pace.evaluated(0.001)
    assert (pace.groups, pace.at_once(64, 2)) == (2, 32)
    assert pace.at_once(6, 2) == 3, "no slot takes the share of another"
    pace.evaluated(30.0)
    assert (pace.groups, pace.at_once(64, 2)) == (1, 1)
