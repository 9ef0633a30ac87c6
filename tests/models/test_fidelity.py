"""A cheap level that seems to tell nothing of the truth, by few candidates, is tried before it is given up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theoros.models.agreement import LEAST_SHARED
from theoros.models.data import Point
from theoros.models.fidelity import CHEAP, choose_fidelity
from theoros.models.surrogates.gaussian_process import GaussianProcess


def wave(data):
    return math.sin(3 * data["x"]) + 0.1 * data["y"]


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def asked(square, make_problem, label, join, rng):
    """Asks for a level, where a first design of `n` candidates came out the other way round at the cheap one."""

    def ask(n: int, cost: float = 0.02, pending: int = 0):
        problem = make_problem(square, fidelities=("cheap", "truth"), costs=(cost, 1.0))
        design = square.sample(n, rng)
        cheap, truth = label(problem, design, lambda d: -wave(d), fidelity="cheap"), label(problem, design, wave)
        dataset = join(cheap, truth)
        model = GaussianProcess().fit(problem, dataset, seed=0)
        waiting = [Point(c, "cheap") for c in square.sample(pending, rng)]
        return choose_fidelity(problem, model, square.sample(1, rng)[0], dataset, waiting, problem.fidelities)

    return ask


def test_after_few_candidates_it_is_tried_once_more(asked):
    choice = asked(5)
    assert choice.fidelity == "cheap"
    assert choice.reason == "seems to tell nothing of the target, by 5 candidates: tried once more"


def test_what_waits_counts(asked):
    assert asked(5, pending=LEAST_SHARED - 6).fidelity == "cheap"
    assert asked(5, pending=LEAST_SHARED - 5).fidelity == "truth"


def test_after_more_the_model_is_believed(asked):
    choice = asked(LEAST_SHARED)
    assert choice.fidelity == "truth"
    assert choice.reason.startswith("explains")


def test_a_level_that_costs_much_is_not_tried(asked):
    assert asked(5, cost=CHEAP).fidelity == "cheap"
    assert asked(5, cost=CHEAP + 0.01).fidelity == "truth"
