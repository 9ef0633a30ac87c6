"""Where the oracle fails is learned, and looked for no more."""

import math

import numpy as np
import pytest

from theoros.models import registry
from theoros.models.data import OutcomeConstraint, Point
from theoros.models.feasibility import SUCCEEDS, problem_of
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.workers.memory import Labelled, Labels, News


def value(data):
    return math.exp(-4 * ((data["x"] - 0.9) ** 2 + (data["y"] - 0.5) ** 2))


def fails(data):
    """The half of the square in which the values would be best."""
    return data["x"] > 0.6


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def history(square, rng):
    """The labels and failures of a campaign so far."""
    memory = Labels(("y",))
    entries = [
        Labelled(i, Point(c, "truth"), () if fails(c.data) else (value(c.data),))
        for i, c in enumerate(square.sample(24, rng), start=1)
    ]
    memory.learn(News(0, entries))
    return memory


def test_failures_stand_among_the_labels_with_an_output_that_tells_them_apart(history):
    dataset, sequences = history.dataset(None)
    assert dataset.outputs == ("y", SUCCEEDS)
    assert sequences == list(range(1, 25))
    failed = np.array([fails(point.candidate.data) for point in dataset.points])
    assert np.array_equal(np.isnan(dataset.values[:, 0]), failed)
    assert np.array_equal(dataset.values[:, 1], ~failed)


def test_without_failures_nothing_is_added(square, make_problem, rng):
    memory = Labels(("y",))
    memory.learn(News(0, [Labelled(1, Point(c, "truth"), (1.0,)) for c in square.sample(1, rng)]))
    problem = make_problem(square)
    assert memory.dataset(None)[0].outputs == ("y",)
    assert problem_of(problem, memory.dataset(None)[0]) is problem


def test_what_slow_gates_turned_away_counts_as_failed_from_its_decision_on(square, rng):
    a, b, c, d = (Point(one, "truth") for one in square.sample(4, rng))
    memory = Labels(("y",))
    gated = [Labelled(number, point, (), evaluated=False) for number, point in ((2, c), (3, d), (3, c), (3, a))]
    memory.learn(News(0, [Labelled(1, a, (3.0,)), *gated, Labelled(2, b, (4.0,))]))
    dataset, sequences = memory.dataset(2)
    assert [point.candidate for point in dataset.points] == [a.candidate, b.candidate, c.candidate]
    assert dataset.values[:, 1].tolist() == [1.0, 1.0, 0.0]
    assert sequences == [1, 2], "what was not evaluated has no number"
    assert dataset.decided == len(sequences), "and is no decision"
    dataset, sequences = memory.dataset(None)
    assert [point.candidate for point in dataset.points[2:]] == [c.candidate, d.candidate], "each once; a has a label"
    assert memory.dataset(1)[0].outputs == ("y",)


def test_what_failed_and_was_answered_after_all_counts_as_answered(square, rng):
    a, b = (Point(c, "truth") for c in square.sample(2, rng))
    late, early = Labels(("y",)), Labels(("y",))
    late.learn(News(0, [Labelled(1, a, ()), Labelled(2, b, ()), Labelled(1, a, (3.0,))]))
    early.learn(News(0, [Labelled(1, a, (3.0,)), Labelled(2, b, ()), Labelled(1, a, ())]))
    for memory in (late, early):
        dataset, sequences = memory.dataset(None)
        assert sequences == [1, 2]
        assert np.array_equal(dataset.values, [[3.0, 1.0], [np.nan, 0.0]], equal_nan=True)


@pytest.mark.parametrize("name", ["log_ei", "ei", "ucb", "thompson", "greedy", "std", "integrated_variance"])
def test_every_acquisition_keeps_away_from_where_the_oracle_fails(history, square, make_problem, rng, name):
    dataset, _ = history.dataset(None)
    goal = "learn" if name in ("std", "integrated_variance") else "optimize"
    plain = make_problem(square, goal=goal)
    problem = problem_of(plain, dataset)
    assert problem.constraints == (OutcomeConstraint(SUCCEEDS, ">=", 0.5),)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(200, rng)
    score = registry.acquisition(name).scorer(problem, model, dataset, [], seed=0)(new)
    assert max(new[i].data["x"] for i in np.argsort(-score)[:3]) < 0.7, "not beyond the edge"
    unaware = registry.acquisition(name).scorer(plain, model, dataset, [], seed=0)(new)
    assert max(new[i].data["x"] for i in np.argsort(-unaware)[:3]) > 0.7, "otherwise there is nothing to show"


def test_a_forest_learns_failures_too(history, square, make_problem, rng):
    dataset, _ = history.dataset(None)
    problem = problem_of(make_problem(square), dataset)
    model = registry.surrogate("random_forest").fit(problem, dataset, seed=0)
    new = square.sample(100, rng)
    mean = model.predict([Point(c, "truth") for c in new]).mean[:, 1]
    assert mean[[fails(c.data) for c in new]].mean() < 0.3 < 0.7 < mean[[not fails(c.data) for c in new]].mean()
