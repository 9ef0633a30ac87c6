"""The sparse Gaussian process: few parameters matter, and the labels say which."""

import numpy as np
import pytest

from theoros.models.checks import check_surrogate
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.marginal import MarginalPosterior
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.saas import TAUS, SparseGaussianProcess
from theoros.oracles.spaces import Parameters, Real


def bowl(data):
    return np.sin(5 * data["x03"]) + 2 * (data["x17"] - 0.4) ** 2


@pytest.fixture
def wide():
    return Parameters(**{f"x{i:02d}": Real(0, 1) for i in range(30)})


def test_the_gradient_is_that_of_the_value():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(10)
    function = MarginalPosterior("rbf", rng.random((10, 3)), np.zeros((10, 0)), y, Warp(), (-4.0, 1.0), 1e-8, tau=0.1)
    theta = function.start() + 0.3
    step = 1e-5 * np.eye(len(theta))
    differences = [(function.value(theta + e)[0] - function.value(theta - e)[0]) / 2e-5 for e in step]
    assert function.value(theta)[1] == pytest.approx(differences, rel=1e-6, abs=1e-6)


def test_two_parameters_of_thirty_are_found_and_serve_better_than_all(wide, make_problem, label, at):
    rng = np.random.default_rng(2)
    problem = make_problem(wide, goal="learn")
    dataset, new = label(problem, wide.sample(50, rng), bowl), wide.sample(200, rng)
    truth = np.array([bowl(candidate.data) for candidate in new])
    sparse, dense = (s.fit(problem, dataset, seed=0) for s in (SparseGaussianProcess(), GaussianProcess()))
    told = sparse.hyperparameters()["y"]
    shortest = sorted(told["length_scales"], key=told["length_scales"].get)[:2]
    errors = [np.abs(m.predict(at(problem, new)).mean[:, 0] - truth).mean() for m in (sparse, dense)]
    assert set(shortest) == {"x03", "x17"}
    assert told["tau"] in TAUS
    assert errors[0] < 0.5 * errors[1]


def test_it_keeps_the_contract(mixed, make_problem, label):
    problem = make_problem(mixed)
    dataset = label(problem, mixed.sample(16, np.random.default_rng(0)), lambda d: d["v"] + d["n"])
    assert check_surrogate(SparseGaussianProcess(), problem, dataset) == []
