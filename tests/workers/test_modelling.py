"""What model workers compute, as pure functions: stale decisions, hopeless evaluations, and what they remember."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models.contract import Dataset, OutcomeConstraint, Point, Problem
from theoros.models.objective import Objective
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.parse import space_from_dict
from theoros.workers import modelling
from theoros.workers.memory import Asked, Labelled, Labels, News, asked, closed, withdrawn
from theoros.workers.modelling import Belief, ModelPlan

SPACE = space_from_dict({"parameters": {"x": {"real": [0, 1]}}}, None)


def point(x: float) -> Point:
    return Point(Candidate("parameters", {"x": float(x)}), "only")


def problem(**changes) -> Problem:
    fields = {
        "goal": "optimize",
        "space": SPACE,
        "outputs": ("y",),
        "objectives": (Objective("y"),),
        "fidelities": ("only",),
        "costs": (1.0,),
    }
    return Problem(**(fields | changes))


@pytest.fixture(scope="module")
def belief() -> tuple[ModelPlan, Belief]:
    """A model of a bump at x = 0.7, well known."""
    plan = ModelPlan(problem(), "gp", "log_ei", ("sobol",), "sobol")
    xs = np.linspace(0, 1, 15)
    data = Dataset(tuple(point(x) for x in xs), ("y",), np.exp(-30 * (xs - 0.7) ** 2)[:, None])
    return plan, modelling.train(plan, data, range(1, 16), seed=1, previous=None)[0]


def test_a_decision_far_from_what_matters_now_is_stale_and_a_good_one_is_not(belief):
    plan, model = belief
    good, bad = point(0.701), point(0.02)
    asked_before = {p.candidate.hash for p in (good, bad)}
    assert modelling.stale(plan, model, [good, bad], [], asked_before, seed=3) == [1]


def test_the_chance_to_beat_the_best_is_high_at_the_top_and_nil_where_the_model_is_sure(belief):
    plan, model = belief
    top, flat = modelling.chances(plan, model, [point(0.7), point(0.05)])
    assert top > 0.2
    assert flat < 1e-3


def test_the_best_is_the_best_feasible_label_at_the_target(belief):
    _, model = belief
    assert modelling.best_utility(problem(), model.dataset) == pytest.approx(float(model.dataset.values.max()))
    small, near = (Objective("y", "minimize"),), (Objective("y", "match", 0.4),)
    assert modelling.best_utility(problem(objectives=small), model.dataset) == pytest.approx(
        -float(model.dataset.values.min())
    )
    assert modelling.best_utility(problem(objectives=near), model.dataset) == pytest.approx(
        -float(np.abs(model.dataset.values - 0.4).min())
    )
    bound = OutcomeConstraint("y", "<=", 0.5)
    assert modelling.best_utility(problem(constraints=(bound,)), model.dataset) < 0.5
    never = OutcomeConstraint("y", "<=", -1.0)
    assert modelling.best_utility(problem(constraints=(never,)), model.dataset) is None


def test_a_constraint_that_cannot_hold_leaves_no_chance(belief):
    plan, model = belief
    bound = OutcomeConstraint("y", "<=", 0.5)
    held = ModelPlan(problem(constraints=(bound,)), plan.surrogate, plan.acquisition, plan.proposers, "sobol")
    assert modelling.chances(held, model, [point(0.7)])[0] < 1e-3


entries = st.lists(
    st.tuples(st.sampled_from([asked, closed, withdrawn]), st.sampled_from("abc"), st.sampled_from(["low", "high"])),
    max_size=20,
).map(lambda items: [kind(candidate, fidelity) for kind, candidate, fidelity in items])


@given(entries, st.lists(st.integers(0, 20), max_size=6))
def test_a_log_that_comes_in_overlapping_pieces_is_learned_as_one_that_comes_whole(log, cuts):
    whole, pieces = Asked("high"), Asked("high")
    whole.learn(News(0, log))
    sent = 0
    for cut in [*sorted(cuts), len(log)]:
        end = max(sent, min(cut, len(log)))
        start = max(0, sent - 2)  # some of it for the second time
        pieces.learn(News(start, log[start:end]))
        sent = end
    assert (pieces.candidates, pieces.points) == (whole.candidates, whole.points)


def test_labels_come_in_any_order_and_are_read_up_to_a_number_in_that_of_their_decisions():
    memory = Labels(("y",))
    memory.learn(News(0, [Labelled(3, point(0.3), (3.0,)), Labelled(1, point(0.1), (1.0,))]))
    memory.learn(News(1, [Labelled(1, point(0.1), (1.0,)), Labelled(2, point(0.2), (math.nan,))]))
    data, sequences = memory.dataset(2)
    assert sequences == [1, 2]
    assert data.points == (point(0.1), point(0.2))
    assert np.array_equal(data.values, [[1.0], [math.nan]], equal_nan=True)
    assert memory.dataset(None)[1] == [1, 2, 3]
    assert Labels(("y", "z")).dataset(None)[0].values.shape == (0, 2)
