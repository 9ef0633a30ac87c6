"""When a cheap level is no longer asked."""

import numpy as np
import pytest

from theoros.models.agreement import LEAST_CORRELATION, LEAST_SHARED, dropped
from theoros.models.data import Dataset, Point, Problem
from theoros.models.objective import Objective
from theoros.oracles.spaces import Parameters, Real

SPACE = Parameters(x=Real(0, 1))


def asked(cheap, truth, outputs=("y",)) -> Dataset:
    """Each candidate at both levels, the cheap one first."""
    points, values = [], []
    for i, (low, high) in enumerate(zip(np.atleast_2d(cheap.T).T, np.atleast_2d(truth.T).T, strict=True)):
        candidate = SPACE.candidate({"x": i / len(cheap)})
        points += [Point(candidate, "cheap"), Point(candidate, "truth")]
        values += [low, high]
    return Dataset(tuple(points), outputs, np.array(values).reshape(-1, len(outputs)))


def problem(outputs=("y",)) -> Problem:
    objectives = tuple(Objective(name, "minimize") for name in outputs)
    return Problem("optimize", SPACE, tuple(outputs), objectives, ("cheap", "truth"), (0.1, 1.0))


@pytest.fixture
def truth():
    return np.random.default_rng(0).standard_normal(40)


def test_a_level_in_any_monotone_unit_is_kept(truth):
    assert dropped(problem(), asked(np.exp(3 * truth) - 7, truth)) == {}


def test_a_level_that_ranks_the_other_way_is_dropped_as_soon_as_it_is_judged(truth):
    few = asked(-truth[:LEAST_SHARED], truth[:LEAST_SHARED])
    assert dropped(problem(), asked(-truth[: LEAST_SHARED - 1], truth[: LEAST_SHARED - 1])) == {}
    assert dropped(problem(), few) == {
        "cheap": "cheap is no longer asked: it ranks 8 candidates otherwise than the truth (rank correlation -1.00)"
    }


def test_an_unrelated_level_is_dropped_and_stays_so(truth):
    """Later labels that agree do not call it back: whether it was dropped once is what counts."""
    noise = np.random.default_rng(1).standard_normal(40)
    first = next(n for n in range(1, 41) if dropped(problem(), asked(noise[:n], truth[:n])))
    mended = np.concatenate([noise[:first], truth[first:]])
    assert "cheap" in dropped(problem(), asked(mended, truth))


def test_chance_drops_few_levels_that_rank_well():
    """Levels with a rank correlation of about 0.7 that are judged up to 30 times."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = rng.standard_normal(30)
        wrong += bool(dropped(problem(), asked(truth + rng.standard_normal(30), truth)))
    assert wrong <= 5
    assert LEAST_CORRELATION < 0.5


def test_with_two_objectives_a_level_stays_while_it_ranks_one(truth):
    other = np.random.default_rng(2).standard_normal(40)
    both = asked(np.stack([-truth, other], 1), np.stack([truth, other], 1), ("a", "b"))
    neither = asked(np.stack([-truth, -other], 1), np.stack([truth, other], 1), ("a", "b"))
    assert dropped(problem(("a", "b")), both) == {}
    assert set(dropped(problem(("a", "b")), neither)) == {"cheap"}


def test_constant_and_missing_labels_say_nothing(truth):
    assert dropped(problem(), asked(np.zeros(40), truth)) == {}
    assert dropped(problem(), asked(np.full(40, np.nan), truth)) == {}
