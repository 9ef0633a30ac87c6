"""What model workers compute, as pure functions: stale decisions, hopeless evaluations, and what they remember."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models import registry, restarts
from theoros.models.contest import Contest
from theoros.models.data import Dataset, Origin, OutcomeConstraint, Point, Problem
from theoros.models.objective import Objective
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Molecules
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


def test_what_one_acquisition_of_a_portfolio_chose_is_not_taken_back_in_the_turn_of_another(belief):
    plan, model = belief
    waiting = [point(0.701), point(0.02)]
    asked_before = {p.candidate.hash for p in waiting}
    assert modelling.stale(replace(plan, acquisition="portfolio"), model, waiting, [], asked_before, seed=3) == []


def test_the_chance_to_beat_the_best_is_high_at_the_top_and_nil_where_the_model_is_sure(belief):
    plan, model = belief
    top, flat = modelling.chances(plan, model, [point(0.7), point(0.05)])
    assert top > 0.2
    assert flat < 1e-3


def test_what_a_search_that_began_anew_has_chosen_is_held_against_its_own_labels():
    ended = restarts.PATIENCE + restarts.BEST + 1
    space = Molecules(heavy_atoms=(1, 12))
    plan = ModelPlan(problem(space=space), "tanimoto_gp", "log_ei", ("genetic", "random"), "random")
    molecules = [Point(one, "only") for one in space.sample(ended + restarts.FIRST + 4, np.random.default_rng(0))]
    labels = np.array([1.0] * restarts.BEST + [0.1 * (i % 5) for i in range(ended - restarts.BEST)] + [0.3] * 10)

    def trained(n: int) -> Belief:
        data = Dataset(tuple(molecules[:n]), ("y",), labels[:n, None])
        return modelling.train(plan, data, range(1, n + 1), seed=1, previous=None)[0]

    waiting = molecules[-4:]
    asked_before = {point.candidate.hash for point in molecules}
    drawing, going_on = trained(ended), trained(len(labels))
    assert modelling.chances(plan, drawing, waiting) == [1.0] * 4  # nothing is known of the new search
    assert modelling.stale(plan, drawing, waiting, [], asked_before, seed=3) == []
    assert modelling.best_utility(plan.problem, going_on.dataset) == 1.0
    assert min(modelling.chances(plan, going_on, waiting)) > 0.01  # 0.3 is the best of its own


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


def steps(n: int) -> Dataset:
    """A function of two among three parameters that jumps, so that trees know it better than a smooth process."""
    space = space_from_dict({"parameters": {f"x{i}": {"real": [0, 1]} for i in range(3)}}, None)
    points = tuple(Point(candidate, "only") for candidate in space.sample(n, np.random.default_rng(0)))
    values = [10.0 * (p.candidate.data["x0"] > 0.3) + 3.0 * (p.candidate.data["x1"] > 0.7) for p in points]
    return Dataset(points, ("y",), np.array(values)[:, None])


def first(data: Dataset, n: int) -> Dataset:
    return Dataset(data.points[:n], data.outputs, data.values[:n])


@pytest.fixture(scope="module")
def contested() -> tuple[ModelPlan, list[tuple[Belief, modelling.FitReport]]]:
    """A process and a forest, trained on ever more labels of a function that jumps."""
    data, previous, made = steps(70), None, []
    space = space_from_dict({"parameters": {f"x{i}": {"real": [0, 1]} for i in range(3)}}, None)
    plan = ModelPlan(problem(space=space), "gp", "ucb", ("sobol",), "sobol", ("gp", "random_forest"))
    for n in (9, 20, 45, 70):
        previous, report = modelling.train(plan, first(data, n), range(1, n + 1), seed=n, previous=previous)
        made.append((previous, report))
    return plan, made


def test_the_model_is_the_leader_of_its_contest_and_the_report_says_why(contested):
    _, made = contested
    assert (made[0][0].model.name, made[-1][0].model.name) == ("gp", "random_forest")
    for (before, _), (after, report) in pairwise(made):
        changed = before.model.name != after.model.name
        assert (f"labels better than {before.model.name!r}" in report.message) == changed
    for belief, report in made:
        told = report.hyperparameters[modelling.CONTEST]
        assert told["leader"] == report.surrogate == belief.model.name
        assert set(told["gains"]) == {"gp", "random_forest"}
    assert made[-1][1].hyperparameters[modelling.CONTEST]["gains"]["random_forest"] > 0


def test_a_contest_that_was_lost_with_its_worker_is_held_again_and_ends_alike(contested):
    plan, made = contested
    last, report = made[-1]
    afresh, _ = modelling.train(plan, last.dataset, sorted(last.sequences), seed=70, previous=None)
    assert afresh.contest == last.contest
    assert afresh.model.name == last.model.name
    stored = Contest.recorded(plan.rivals, json.loads(json.dumps(report.hyperparameters))[modelling.CONTEST])
    assert stored == last.contest


def test_a_surrogate_that_was_named_has_no_rivals(belief):
    plan, model = belief
    assert model.contest is None
    _, report = modelling.train(plan, model.dataset, range(1, 16), seed=1, previous=model)
    assert modelling.CONTEST not in report.hyperparameters


def test_a_new_leader_that_cannot_be_fitted_leaves_the_place_to_the_one_before(contested, monkeypatch):
    plan, made = contested
    (old, _), (new, _) = made[0], made[-1]
    forest = registry.surrogate("random_forest")
    failing = replace(forest.fit(plan.problem, new.dataset, seed=0), fell_back=True, message="no trees")
    monkeypatch.setattr(type(forest), "fit", lambda *_, **__: failing)
    belief, report = modelling.train(
        plan, new.dataset, sorted(new.sequences), seed=3, previous=replace(old, contest=new.contest)
    )
    assert belief.model.name == "gp"
    assert "'random_forest' leads and could not be fitted (no trees), so 'gp' stays" in report.message


def test_labels_tell_who_chose_them_as_far_as_that_is_known():
    memory = Labels(("y",))
    memory.learn(News(0, [Labelled(1, point(0.1), (1.0,)), Labelled(2, point(0.2), (2.0,), Origin("sobol", ""))]))
    assert memory.dataset(None)[0].origins == (None, Origin("sobol", ""))
    assert memory.dataset(1)[0].origins == ()


def _own(model, point):
    """Mean and standard deviation of a label, as the model itself has them."""
    prediction = model.model.predict([point])
    return float(prediction.mean[0, 0]), float(prediction.label_std[0, 0])


def test_predictions_are_told_as_wide_as_earlier_ones_should_have_been(belief):
    plan, model = belief
    told = replace(model, widening=Widening().learned("y", [5.0] * 4))  # all four were far outside
    proposals = modelling.propose(plan, model, [], frozenset(), n=1, seed=5)
    (choice,), (wider,) = (
        modelling.select(plan, own, proposals, [], frozenset(), ["only"], n=1, seed=5).choices for own in (model, told)
    )
    assert wider.point == choice.point
    (before, after) = (own.predictions["y"].interval(0.9) for own in (choice, wider))
    assert after[0] < before[0] < before[1] < after[1]
    assert wider.predictions["y"] == told.widening.told("y", *_own(model, choice.point))


def test_each_version_learns_from_the_checks_of_the_one_before(belief):
    plan, model = belief
    off = 1.0 + model.model.predict([point(0.33)]).mean[0, 0]  # far from what is believed
    points, values = (*model.dataset.points, point(0.33)), np.vstack([model.dataset.values, [[off]]])
    after, report = modelling.train(plan, Dataset(points, ("y",), values), range(1, 17), seed=2, previous=model)
    assert after.widening == Widening().learned("y", [1.0 / _own(model, point(0.33))[1]])
    assert report.hyperparameters[modelling.WIDENING]["y"]["checks"] == 1
    told = model.widening.told("y", *_own(model, point(0.33)))
    assert (report.checks[0].mean, report.checks[0].std, report.checks[0].tail) == pytest.approx(told)
    resumed, _ = modelling.train(
        plan,
        after.dataset,
        range(1, 17),
        seed=2,
        previous=None,
        widening=Widening.recorded(report.hyperparameters[modelling.WIDENING]),
    )
    assert resumed.widening == after.widening


def test_a_level_that_ranks_the_other_way_is_asked_no_more_and_the_report_says_so():
    """Labels of x at the truth and of -x at the cheap level, which would else be asked at a thousandth of the cost."""
    two = problem(fidelities=("cheap", "truth"), costs=(0.001, 1.0))
    plan = ModelPlan(two, "gp", "log_ei", ("sobol",), "sobol")
    xs = [i / 12 for i in range(1, 11)]
    points = [Point(Candidate("parameters", {"x": x}), level) for x in xs for level in ("cheap", "truth")]
    data = Dataset(tuple(points), ("y",), np.array([sign * x for x in xs for sign in (-1, 1)])[:, None])
    model, report = modelling.train(plan, data, range(1, 21), seed=1, previous=None)
    assert list(report.dropped) == ["cheap"]
    assert "cheap is no longer asked: it ranks 8 candidates otherwise" in report.message
    proposals = modelling.propose(plan, model, [], frozenset(), n=4, seed=2)
    told = modelling.select(plan, model, proposals, [], frozenset(), ("cheap", "truth"), n=4, seed=3)
    assert {choice.point.fidelity for choice in told.choices} == {"truth"}
    left = modelling.select(plan, model, proposals, [], frozenset(), ("cheap",), n=1, seed=3)
    assert [choice.point.fidelity for choice in left.choices] == ["cheap"]
