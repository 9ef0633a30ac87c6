"""Run times are one more output, and expected improvement is counted per second."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theoros.models import registry
from theoros.models.acquisition.base import FeatureAcquisition
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.per_second import LEAST, LogExpectedImprovementPerSecond
from theoros.models.checks import check_acquisition
from theoros.models.data import RUN_TIME, Dataset
from theoros.models.feasibility import problem_of
from theoros.models.run_time import logarithm
from theoros.models.surrogates.gaussian_process import GaussianProcess


def bumps(data):
    """Two hills of the same height, at x = 0.2 and x = 0.8."""
    return math.exp(-40 * (data["x"] - 0.2) ** 2) + math.exp(-40 * (data["x"] - 0.8) ** 2)


def slow_on_the_right(data):
    return logarithm(10.0 ** (2 * data["x"]))


@pytest.fixture
def timed(square, make_problem, label):
    """Build (problem, model, dataset) from functions of the objective and of the logarithm of the run time."""

    def make(run_time, n=14):
        asked = make_problem(square, timed=True)
        candidates = square.sample(n, np.random.default_rng(4))
        values = [[bumps(c.data), run_time(c.data)] for c in candidates]
        dataset = Dataset(label(asked, candidates, bumps).points, asked.columns, np.array(values))
        problem = problem_of(asked, dataset)
        return problem, GaussianProcess().fit(problem, dataset, seed=0), dataset

    return make


def test_run_times_are_kept_and_modelled_only_where_they_are_asked_for(square, make_problem, label):
    plain, asked = make_problem(square), make_problem(square, timed=True)
    assert plain.columns == ("y",)
    assert asked.columns == ("y", RUN_TIME)
    without = label(plain, square.sample(3, np.random.default_rng(0)), bumps)
    assert problem_of(asked, without).outputs == ("y",)
    with_times = Dataset(without.points, asked.columns, np.column_stack([without.values, np.zeros(3)]))
    assert problem_of(asked, with_times).outputs == ("y", RUN_TIME)
    assert problem_of(plain, with_times).outputs == ("y",)


@pytest.mark.parametrize("seconds", [None, 0.0, -1.0])
def test_a_run_time_that_nobody_knows_is_not_a_number(seconds):
    assert math.isnan(logarithm(seconds))


def test_of_two_equal_hills_the_one_that_costs_less_time_is_preferred(timed, square):
    problem, model, dataset = timed(slow_on_the_right)
    score = LogExpectedImprovementPerSecond().scorer(problem, model, dataset, [], seed=0)
    plain = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)
    left, right = ([square.candidate({"x": x, "y": 0.5})] for x in (0.2, 0.8))
    gain = (score(left) - score(right)) - (plain(left) - plain(right))
    assert gain[0] == pytest.approx(2 * 0.6 * math.log(10), rel=0.1)  # the difference of the logarithms of the times


def test_where_all_take_the_same_time_it_ranks_as_expected_improvement_does(timed, square):
    problem, model, dataset = timed(lambda data: 1.7)
    new = square.sample(50, np.random.default_rng(9))
    ours = LogExpectedImprovementPerSecond().scorer(problem, model, dataset, [], seed=0)(new)
    theirs = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    assert np.allclose(ours - theirs, -1.7, atol=0.05)


def test_its_gradient_is_what_torch_finds(timed):
    problem, model, dataset = timed(slow_on_the_right)
    function = LogExpectedImprovementPerSecond().build(problem, model, dataset, [], seed=0)
    features = np.random.default_rng(2).random((6, 2))
    values, gradients = function.with_gradient(features)
    expected, by_torch = FeatureAcquisition.with_gradient(function, features)
    np.testing.assert_allclose(values, expected, rtol=1e-7)
    np.testing.assert_allclose(gradients, by_torch, rtol=1e-5, atol=1e-7)


def test_few_run_times_are_not_believed(timed, square):
    calls = iter(range(100))
    problem, model, dataset = timed(lambda data: 5.0 if next(calls) < LEAST - 1 else math.nan)
    new = square.sample(20, np.random.default_rng(9))
    ours = LogExpectedImprovementPerSecond().scorer(problem, model, dataset, [], seed=0)(new)
    assert np.array_equal(ours, LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)(new))


def test_it_keeps_the_contract(timed, square):
    problem, model, dataset = timed(slow_on_the_right)
    new = square.sample(12, np.random.default_rng(3))
    assert check_acquisition(registry.acquisition("log_ei_per_second"), problem, model, dataset, new) == []
    assert registry.reads_run_times("log_ei_per_second")
    assert not registry.reads_run_times("log_ei")
