"""One number out of several outputs: what it is, what a candidate is expected to add, and what is chosen by it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from theoros.models import registry
from theoros.models.acquisition.log_desirability import LogExpectedDesirability
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.thompson import Thompson
from theoros.models.checks import check_acquisition
from theoros.models.data import OutcomeConstraint, Point
from theoros.models.decide import propose, select
from theoros.models.desirability import Desirability, Desirable
from theoros.models.labelled import labelled_best_first, labelled_utilities
from theoros.models.objective import Objective
from theoros.models.surrogates.gaussian_process import GaussianProcess

GAP, COST = Desirable("gap", 2.0, 3.0, weight=3.0), Desirable("cost", 5.0, 1.0)
values = st.floats(-10, 10)


def first(data):
    return math.sin(5 * data["x"]) + data["y"]


def second(data):
    return math.sin(5 * data["x"] + 0.8) + 1.2 * data["y"] ** 2


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def believed(square, make_problem, label, rng):
    """Build (problem, model, dataset, new candidates) for wishes about the outputs a and b."""

    def build(*wishes, n=10, **more):
        worth = Desirability(wishes)
        outputs = tuple(dict.fromkeys([*(wish.output for wish in wishes), *more.pop("bounded", ())]))
        goals = tuple(wish.objective for wish in wishes)
        problem = make_problem(square, outputs=outputs, objectives=goals, desirability=worth, **more)
        dataset = label(problem, square.sample(n, rng), *([first, second][: len(outputs)]))
        return problem, GaussianProcess().fit(problem, dataset, seed=0), dataset, square.sample(150, rng)

    return build


def test_desirability_is_the_weighted_geometric_mean_of_linear_ones():
    both = Desirability((GAP, COST))
    # Half of what is wanted of the gap, which counts three times, and three quarters of what is wanted of the cost.
    assert both.of({"gap": 2.5, "cost": 2.0}) == pytest.approx((0.5**3 * 0.75) ** 0.25)
    assert both.of({"gap": 9.0, "cost": 0.0}) == 1.0
    assert both.of({"gap": 1.9, "cost": 0.0}) == 0.0
    assert both.of({"gap": [2.0, 3.0], "cost": [1.0, 1.0]}).tolist() == [0.0, 1.0]


def test_a_target_is_best_in_between():
    wish = Desirable("pH", 6.0, 9.0, target=7.0)
    assert wish.of([5.0, 6.0, 6.5, 7.0, 8.0, 9.0, 9.5]) == pytest.approx([0, 0, 0.5, 1, 0.5, 0, 0])
    assert wish.of([5.0, 6.5, 8.0]).tolist() == Desirable("pH", 9.0, 6.0, target=7.0).of([5.0, 6.5, 8.0]).tolist()


@given(values, values)
def test_desirability_lies_between_its_parts_and_never_leaves_zero_to_one(gap, cost):
    found = float(Desirability((GAP, COST)).of({"gap": gap, "cost": cost}))
    parts = sorted([float(GAP.of(gap)), float(COST.of(cost))])
    assert parts[0] - 1e-12 <= found <= parts[1] + 1e-12
    assert 0 <= found <= 1


@given(values, st.floats(-5, 5), st.floats(0.1, 10), st.sampled_from([None, 2.2]))
def test_it_does_not_depend_on_the_unit(value, offset, scale, target):
    wish = Desirable("gap", 2.0, 3.0, target)
    elsewhere = wish.standardised(offset, scale).of((value - offset) / scale)
    assert elsewhere == pytest.approx(float(wish.of(value)), abs=1e-9)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"low": 1.0, "high": 1.0}, "as desirable at low as at high"),
        ({"low": 1.0, "high": 2.0, "target": 2.0}, "does not lie between"),
        ({"low": 1.0, "high": 2.0, "weight": 0.0}, "is not positive"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(wish, message):
    with pytest.raises(ValueError, match=message):
        Desirable("gap", **wish)


def test_what_is_of_no_use_is_told_apart_by_how_near_it_is():
    both = Desirability((GAP, COST))
    far, near, good = both.graded({"gap": [0.0, 1.9, 2.1], "cost": [3.0, 3.0, 3.0]})
    assert far < near < 0 < good
    assert good == both.of({"gap": 2.1, "cost": 3.0})


def test_labels_are_ranked_by_it(believed):
    problem, _, dataset, _ = believed(Desirable("a", -1.0, 2.0), Desirable("b", 2.5, -1.0), n=30)
    worth = problem.desirability.of({"a": dataset.values[:, 0], "b": dataset.values[:, 1]})
    place = {point.candidate.hash: row for row, point in enumerate(dataset.points)}
    order = [place[candidate.hash] for candidate in labelled_best_first(problem, dataset)]
    assert (np.diff(worth[order]) <= 1e-12).all()
    assert labelled_utilities(problem, dataset)[1].shape == (30, 1)


@pytest.mark.parametrize(("low", "high"), [(-20.0, 20.0), (20.0, -20.0)])
def test_with_one_output_and_room_to_both_sides_it_is_expected_improvement(believed, make_problem, square, low, high):
    problem, model, dataset, new = believed(Desirable("a", low, high))
    single = make_problem(square, outputs=("a",), objectives=(problem.objective,))
    ours = LogExpectedDesirability(points=1024).scorer(problem, model, dataset, [], seed=1)(new)
    theirs = LogExpectedImprovement().scorer(single, model, dataset, [], seed=1)(new)
    likely = theirs > theirs.max() - 5
    assert likely.sum() > 8
    assert spearmanr(ours[likely], theirs[likely]).statistic > 0.99
    # The same gain in another unit: a line of height 1 over 40 units of the output.
    unit = math.log(40.0 / float(model.output("a").scale[-1]))
    assert ours[likely] + unit == pytest.approx(theirs[likely], abs=0.15)


def test_it_is_the_mean_gain_over_independent_beliefs(believed, rng):
    problem, model, dataset, new = believed(Desirable("a", -1.0, 2.0, weight=2.0), Desirable("b", 3.0, 0.0, target=1.0))
    best = float(labelled_utilities(problem, dataset)[1].max())
    prediction = model.predict([Point(candidate, problem.target) for candidate in new])
    draws = rng.standard_normal((40_000, 2))
    gains = []
    for mean, std in zip(prediction.mean, prediction.std, strict=True):
        a, b = (mean + std * draws).T
        gains.append(np.maximum(problem.desirability.of({"a": a, "b": b}) - best, 0).mean())
    gains = np.array(gains)
    ours = np.exp(LogExpectedDesirability(points=4096).scorer(problem, model, dataset, [], seed=0)(new))
    worthwhile = gains > 1e-3
    assert worthwhile.sum() > 10
    assert ours[worthwhile] == pytest.approx(gains[worthwhile], rel=0.1)


def test_it_keeps_a_slope_where_nothing_is_desirable(believed):
    problem, model, dataset, new = believed(Desirable("a", 50.0, 60.0), Desirable("b", -50.0, -60.0))
    function = LogExpectedDesirability().build(problem, model, dataset, [], seed=0)
    features = model.encode(new).requires_grad_(True)
    value = function.values(features)
    (gradient,) = torch.autograd.grad(value.sum(), features)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient.abs().amax(1) > 1e-6).float().mean() > 0.9
    prediction = model.predict([Point(candidate, problem.target) for candidate in new])
    nearness = prediction.mean[:, 0] - prediction.mean[:, 1]
    assert spearmanr(value.detach().numpy(), nearness).statistic > 0.5


@pytest.mark.parametrize("deterministic", [True, False])
def test_its_gradient_is_the_slope_of_its_values(believed, square, rng, deterministic):
    wishes = (Desirable("a", -1.0, 2.0), Desirable("b", 3.0, 0.0, target=1.0))
    problem, model, dataset, new = believed(*wishes, deterministic=deterministic)
    pending = [Point(candidate, problem.target) for candidate in square.sample(2, rng)]
    function = LogExpectedDesirability().build(problem, model, dataset, pending, seed=0)
    features = model.encode(new[:20]).numpy()
    values, gradient = function.with_gradient(features)
    step = 1e-6
    for axis in range(features.shape[1]):
        moved = np.stack([features + side * step * np.eye(features.shape[1])[axis] for side in (-1, 1)])
        with torch.no_grad():
            low, high = (function.values(torch.from_numpy(rows)).numpy() for rows in moved)
        sure = values > -15
        assert gradient[sure, axis] == pytest.approx((high - low)[sure] / (2 * step), rel=2e-2, abs=2e-2)


def test_a_pending_point_is_worth_less_than_it_was(believed):
    problem, model, dataset, new = believed(Desirable("a", -1.0, 2.0), Desirable("b", 3.0, -1.0))
    alone = LogExpectedDesirability().scorer(problem, model, dataset, [], seed=0)(new)
    best = int(np.argmax(alone))
    beside = LogExpectedDesirability().scorer(problem, model, dataset, [Point(new[best], problem.target)], seed=0)
    assert beside([new[best]])[0] < alone[best] - 1


def test_constraints_count_by_their_probability(believed):
    wish, bound = Desirable("a", -1.0, 2.0), OutcomeConstraint("b", "<=", 0.5)
    problem, model, dataset, new = believed(wish, bounded=("b",), constraints=(bound,), n=14)
    scores = LogExpectedDesirability().scorer(problem, model, dataset, [], seed=0)(new)
    chosen = new[int(np.argmax(scores))]
    assert second(chosen.data) <= 0.7


def test_what_is_declared_holds(believed):
    problem, model, dataset, new = believed(Desirable("a", -1.0, 2.0), Desirable("b", 3.0, -1.0))
    assert problem.aim == "desirability"
    assert registry.default_acquisition(problem) == "log_desirability"
    assert registry.default_acquisition(problem, "random_forest") == "thompson"
    assert check_acquisition(LogExpectedDesirability(), problem, model, dataset, new) == []
    assert check_acquisition(Thompson(), problem, model, dataset, new) == []
    with pytest.raises(ValueError, match="log_desirability"):
        registry.compatible("gp", "log_ei", problem.aim)


def test_it_works_over_two_fidelities(square, make_problem, label, join, rng):
    wishes = (Desirable("a", -1.0, 2.0), Desirable("b", 3.0, -1.0))
    problem = make_problem(
        square,
        outputs=("a", "b"),
        objectives=tuple(wish.objective for wish in wishes),
        desirability=Desirability(wishes),
        fidelities=("cheap", "truth"),
        costs=(0.1, 1.0),
    )
    cheap = label(problem, square.sample(8, rng), first, second, fidelity="cheap")
    dataset = join(cheap, label(problem, square.sample(5, rng), first, second))
    model = GaussianProcess().fit(problem, dataset, seed=0)
    assert check_acquisition(LogExpectedDesirability(), problem, model, dataset, square.sample(10, rng)) == []


def test_it_must_be_told_what_is_desirable(believed, make_problem, square):
    problem, model, dataset, _ = believed(Desirable("a", -1.0, 2.0))
    plain = make_problem(square, outputs=("a",), objectives=(Objective("a"),))
    with pytest.raises(ValueError, match="told what is desirable"):
        LogExpectedDesirability().build(plain, model, dataset, [], seed=0)
    assert problem.objective == Objective("a", "maximize")


def test_thompson_draws_desirabilities(believed):
    wishes = (Desirable("a", -1.0, 2.0), Desirable("b", 3.0, -1.0))
    problem, model, dataset, new = believed(*wishes, n=14)
    drawn = Thompson().scorer(problem, model, dataset, [], seed=0)(new)
    truth = problem.desirability.of({"a": [first(c.data) for c in new], "b": [second(c.data) for c in new]})
    assert (drawn <= 1).all()
    assert spearmanr(drawn, truth).statistic > 0.8


def test_a_few_decisions_find_what_is_desirable(believed, label):
    """a = 1.2 and b as small as can be: the best of the square is found with ten labels more."""
    wishes = (Desirable("a", 0.6, 1.8, target=1.2), Desirable("b", 2.0, -1.0))
    problem, model, dataset, _ = believed(*wishes, n=8)
    grid = problem.space.sample(4000, np.random.default_rng(0))
    possible = problem.desirability.of({"a": [first(c.data) for c in grid], "b": [second(c.data) for c in grid]}).max()
    candidates = [point.candidate for point in dataset.points]
    proposers = [registry.proposer(name) for name in registry.default_proposers(problem)]
    acquisition = registry.acquisition("log_desirability")
    for step in range(10):
        seen = frozenset(candidate.hash for candidate in candidates)
        found = propose(problem, proposers, dataset, model, acquisition, [], seen, 1, step)
        (choice,) = select(problem, found, dataset, model, acquisition, [], set(), 1, step)
        candidates.append(choice.point.candidate)
        dataset = label(problem, candidates, first, second)
        model = GaussianProcess().fit(problem, dataset, seed=step, previous=model)
    assert labelled_utilities(problem, dataset)[1].max() > possible - 0.05
