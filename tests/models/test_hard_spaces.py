"""The default loop in spaces with curved constraints, compositions and parameters that count only sometimes."""

import numpy as np
import pytest

from theoros.models import registry
from theoros.models.checks import check_proposer
from theoros.models.data import Dataset, Point
from theoros.models.decide import propose, select
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Categorical, Parameters, Real
from theoros.oracles.spaces.conditions import When


def best_after(problem, function, n, seed=0):
    """The best of six random labels and `n` chosen by the defaults, one at a time."""
    rng = np.random.default_rng(seed)
    acquisition = registry.acquisition(registry.default_acquisition(problem))
    proposers = [registry.proposer(name) for name in registry.default_proposers(problem)]
    candidates = problem.space.sample(6, rng)
    model = None
    for i in range(n):
        points = tuple(Point(c, problem.target) for c in candidates)
        dataset = Dataset(points, problem.outputs, np.array([[function(c.data)] for c in candidates]))
        model = GaussianProcess().fit(problem, dataset, seed=i, previous=model)
        seen = {c.hash for c in candidates}
        found = propose(problem, proposers, dataset, model, acquisition, [], seen, 1, i)
        (choice,) = select(problem, found, dataset, model, acquisition, [], set(), 1, i)
        problem.space.check(choice.point.candidate)
        candidates.append(choice.point.candidate)
    return max(candidates, key=lambda c: function(c.data))


def test_the_best_of_a_composition_is_found(make_problem):
    names = ["Fe", "Ni", "Cr", "Mo"]
    best = np.array([0.45, 0.3, 0.2, 0.05])
    space = Parameters({name: Real(0, 1) for name in names}, constraints=["Fe + Ni + Cr + Mo == 1"])
    found = best_after(
        make_problem(space), lambda d: -sum((d[n] - b) ** 2 for n, b in zip(names, best, strict=True)), 14
    )
    assert np.abs([found.data[n] - b for n, b in zip(names, best, strict=True)]).max() < 0.05


def test_the_best_within_a_circle_lies_on_its_edge_and_is_found(make_problem):
    space = Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x**2 + y**2 <= 0.5"])
    found = best_after(make_problem(space), lambda d: d["x"] + 2 * d["y"], 12)
    assert found.data["x"] + 2 * found.data["y"] > 0.97 * np.sqrt(5 * 0.5)


def test_the_best_branch_and_what_counts_on_it_are_found(make_problem):
    space = Parameters(
        {"kind": Categorical("plain", "doped"), "dose": Real(0, 1), "heat": Real(0, 1)},
        conditions={"dose": When("kind", ("doped",))},
    )

    def function(data):
        gain = 1.0 - 4 * (data["dose"] - 0.7) ** 2 if data["kind"] == "doped" else 0.0
        return gain - (data["heat"] - 0.4) ** 2

    found = best_after(make_problem(space), function, 14)
    assert found.data["kind"] == "doped"
    assert found.data["dose"] == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_designs_keep_to_such_spaces(make_problem, name):
    space = Parameters(
        {"kind": Categorical("plain", "doped"), "dose": Real(0, 1), "heat": Real(0, 1)},
        constraints=["dose * heat <= 0.3"],
        conditions={"dose": When("kind", ("doped",))},
    )
    assert check_proposer(registry.proposer(name), make_problem(space)) == []
