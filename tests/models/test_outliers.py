"""A label that is absurd does not decide what is believed of all others, and one that is merely excellent does."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models import registry
from theoros.models.data import Dataset, Origin, OutcomeConstraint, Point
from theoros.models.decide import propose, select
from theoros.models.objective import Objective
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.outliers import BORNE_OUT, LEAST, fences
from theoros.oracles.spaces import Parameters, Real

SQUARE = Parameters(x=Real(0, 1), y=Real(0, 1))


def wave(data):
    return math.sin(5 * data["x"]) + data["y"] ** 2


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def search(problem, candidates, values, function, n):
    """The values of `n` decisions of the defaults, made one at a time after these labels."""
    candidates, values, first, model = [*candidates], [*values], len(values), None
    origins = [Origin("sobol", "")] * first
    acquisition = registry.acquisition(registry.default_acquisition(problem))
    proposers = [registry.proposer(name) for name in registry.default_proposers(problem)]
    for i in range(n):
        points = tuple(Point(candidate, problem.target) for candidate in candidates)
        dataset = Dataset(points, problem.outputs, np.array(values)[:, None], tuple(origins))
        model = GaussianProcess().fit(problem, dataset, seed=i, previous=model)
        proposals = propose(problem, proposers, dataset, model, acquisition, [], {c.hash for c in candidates}, 1, i)
        (choice,) = select(problem, proposals, dataset, model, acquisition, [], set(), 1, i)
        candidates.append(choice.point.candidate)
        values.append(function(candidates[-1].data))
        origins.append(Origin(choice.proposer, choice.acquisition))
    return values[first:]


def found(problem, y, guided=None):
    """The fences of labels at one fidelity, as two numbers; all are chosen by models unless it is said otherwise."""
    chosen = np.ones(len(y), dtype=bool) if guided is None else guided
    fence = fences(problem, "y", np.asarray(y, dtype=float), np.zeros(len(y), dtype=np.int64), chosen)
    return None if fence is None else (fence.low[0], fence.high[0])


@pytest.mark.parametrize("size", [-1e6, 1e6])
@pytest.mark.parametrize("goal", ["optimize", "learn"])
def test_one_label_of_a_million_leaves_the_rest_as_they_were(square, make_problem, label, at, rng, size, goal):
    problem = make_problem(square, goal=goal)
    dataset, new = label(problem, square.sample(30, rng), wave), square.sample(100, rng)
    absurd = replace(dataset, values=dataset.values.copy())
    absurd.values[3] = size
    model = GaussianProcess().fit(problem, absurd, seed=0)
    prediction = model.predict(at(problem, new))
    error = prediction.mean[:, 0] - [wave(candidate.data) for candidate in new]
    assert np.abs(error).max() < 0.05
    assert prediction.std.max() < 0.1
    assert "1 far beyond all other labels" in model.message


@given(st.lists(st.floats(-1, 1), min_size=LEAST, max_size=40, unique=True), st.floats(-9, 9), st.floats(1e-3, 1e3))
def test_labels_of_one_order_of_magnitude_are_all_believed(make_problem, values, offset, unit):
    y = np.sort(values)
    if y[(3 * len(y)) // 4] - y[len(y) // 4] > 0.25:  # then no gap is ten times as wide
        assert found(make_problem(SQUARE), offset + unit * y) is None


def test_orders_of_magnitude_without_a_gap_are_all_believed(make_problem, square, rng):
    """Values that get a hundred times larger in many steps are a function and not a mistake."""
    for maximize in (True, False):
        assert found(make_problem(square, maximize=maximize), rng.permutation(np.geomspace(1, 1e6, 40))) is None


def test_at_the_bad_end_a_label_is_doubted_at_once_and_at_the_good_end_when_it_is_not_borne_out(make_problem, square):
    usual = np.linspace(0, 1, 2 * BORNE_OUT)
    early, late = np.insert(usual, 3, 1e6), np.append(usual, 1e6)
    high, low = make_problem(square, maximize=True), make_problem(square, maximize=False)
    assert found(low, late) == found(low, early) == (-np.inf, 1.0)
    assert found(high, late) is None
    assert found(high, early) == (-np.inf, 1.0)
    assert found(high, early, guided=np.arange(len(early)) >= BORNE_OUT + 2) is None  # nobody has looked there yet


def test_two_excellent_labels_that_agree_are_believed(make_problem, square):
    """The search went where the first excellent label was, and found another."""
    y = np.insert(np.linspace(0, 1, 25), [3, 6], [5e3, 6e3])
    assert found(make_problem(square, maximize=True), y) is None
    assert found(make_problem(square, maximize=False), y) == (-np.inf, 1.0)


def test_many_labels_far_off_are_no_exception(make_problem, square):
    y = np.concatenate([np.linspace(0, 1, 20), np.full(10, 1e6)])
    assert found(make_problem(square, maximize=False), y) is None


def test_what_the_question_asks_for_is_never_out_of_bounds(make_problem, square):
    """A target of a million, or a bound there, makes a label of a million an answer and no mistake."""
    y = np.insert(np.linspace(0, 1, 20), 3, 1e6)
    match = make_problem(square, objectives=(Objective("y", "match", 9e5),))
    bound = make_problem(square, outputs=("z", "y"), constraints=(OutcomeConstraint("y", ">=", 9e5),))
    other = make_problem(square, outputs=("z", "y"), constraints=(OutcomeConstraint("y", ">=", 0.5),))
    assert found(match, y) is None
    assert found(bound, y) is None
    assert found(other, y) == (-np.inf, 1.0)


def test_constants_and_rounding_errors_are_no_range(make_problem, square):
    assert found(make_problem(square, maximize=False), [3.0] * 19 + [4.0]) is None
    y = 0.1 + 1e-17 * np.arange(20)
    assert found(make_problem(square, maximize=False), np.append(y, 0.9)) is None


def test_an_absurd_label_is_no_bar_to_the_search(make_problem, square, label, rng):
    """It counts as the best label that is believed, and what is better than that is an improvement."""
    problem = make_problem(square)
    dataset = label(problem, square.sample(25, rng), wave)
    dataset.values[3] = 1e6
    model = GaussianProcess().fit(problem, dataset, seed=0)
    seen = model.output("y").standardised(dataset.values[:, 0], -1)
    assert seen[3] == np.delete(seen, 3).max()


@pytest.mark.parametrize("size", [-1e6, 1e6])
def test_a_campaign_with_an_absurd_label_finds_the_optimum(make_problem, square, size):
    """From twelve labels, of which one is absurd, twelve decisions come within 0.01 of the largest value, 2."""
    problem = make_problem(square)
    rng = np.random.default_rng(2)
    candidates = square.sample(12, rng)
    values = [size if i == 1 else wave(candidate.data) for i, candidate in enumerate(candidates)]
    assert max(search(problem, candidates, values, wave, 12)) > 2 - 0.01


def test_a_real_peak_hundreds_of_times_as_high_as_all_else_is_climbed(make_problem, square):
    """It is as narrow as a needle, and stood in the first label; the design after it bears nothing out."""
    problem, rng = make_problem(square), np.random.default_rng(0)

    def peak(data):
        return wave(data) + 1000 * math.exp(-((data["x"] - 0.3) ** 2 + (data["y"] - 0.6) ** 2) / (2 * 0.02**2))

    candidates = [square.candidate({"x": 0.32, "y": 0.62}), *square.sample(15, rng)]
    searched = search(problem, candidates, [peak(candidate.data) for candidate in candidates], peak, 15)
    assert max(searched) > 900


@settings(max_examples=8)
@given(st.integers(0, 2**16), st.sampled_from([-1e12, -1e6, 1e6, 1e12]), st.integers(0, 19))
def test_predictions_stay_finite_wherever_the_absurd_label_stands(make_problem, label, seed, size, place):
    problem = make_problem(SQUARE, deterministic=bool(seed % 2))
    dataset = label(problem, SQUARE.sample(20, np.random.default_rng(seed)), wave)
    dataset.values[place] = size
    prediction = GaussianProcess().fit(problem, dataset, seed=0).predict(dataset.points)
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.label_std).all()
