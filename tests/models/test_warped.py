"""Warped inputs: a function that changes faster at one end is described better, and a stationary one no worse."""

import math

import numpy as np
import pytest
import torch
from botorch.models.transforms.utils import kumaraswamy_warp
from scipy.stats import norm

from theoros.models.checks import check_surrogate
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.input_warp import EDGE, WarpedKernel, WarpedPosterior, kumaraswamy
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.warped import WarpedGaussianProcess
from theoros.oracles.spaces import Categorical, Parameters, Real


def densities(problem, dataset, new):
    """The mean log density that ``warped_gp`` and ``gp`` give to labels they have not seen."""
    found = []
    for surrogate in (WarpedGaussianProcess(), GaussianProcess()):
        prediction = surrogate.fit(problem, dataset, seed=0).predict(new.points)
        found.append(norm.logpdf(new.values, prediction.mean, prediction.label_std).mean())
    return found


def test_a_chirp_is_described_better(make_problem, label):
    """``sin(25 x⁴)`` swings ever faster; 20 labels, on five sets of them."""
    line = Parameters(x=Real(0, 1))
    problem, gains = make_problem(line, goal="learn"), []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        data = [label(problem, line.sample(n, rng), lambda d: math.sin(25 * d["x"] ** 4)) for n in (20, 200)]
        warped, plain = densities(problem, *data)
        gains.append(warped - plain)
    assert np.median(gains) > 1.0


def test_in_two_dimensions_each_parameter_has_a_warp_of_its_own(square, make_problem, label):
    problem, gains = make_problem(square, goal="learn"), []
    function = lambda d: math.sin(14 * d["x"] ** 3) + math.cos(6 * math.sqrt(d["y"]))  # noqa: E731
    for seed in range(5):
        rng = np.random.default_rng(seed)
        data = [label(problem, square.sample(n, rng), function) for n in (40, 200)]
        warped, plain = densities(problem, *data)
        gains.append(warped - plain)
    assert np.median(gains) > 1.0
    told = WarpedGaussianProcess().fit(problem, data[0], seed=0).hyperparameters()["y"]["input_warps"]
    assert told["x"][0] > 1.5 > 1.0 > told["y"][0]


def test_a_function_that_is_alike_everywhere_is_described_as_well(square, make_problem, label):
    problem, gains = make_problem(square, goal="learn"), []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        function = lambda d: math.sin(6 * d["x"]) + math.cos(5 * d["y"])  # noqa: E731
        data = [label(problem, square.sample(n, rng), function) for n in (30, 200)]
        warped, plain = densities(problem, *data)
        gains.append(warped - plain)
    assert np.median(gains) > -0.5


def test_the_warp_and_its_derivatives():
    rng = np.random.default_rng(0)
    x, a, b = rng.random((9, 3)), np.array([0.5, 1.0, 3.0]), np.array([2.0, 1.0, 0.4])
    value, by_a, by_b = kumaraswamy(x, a, b)
    theirs = kumaraswamy_warp(torch.from_numpy(x), torch.from_numpy(b), torch.from_numpy(a), EDGE).numpy()
    assert value == pytest.approx(theirs)
    assert value[:, 1] == pytest.approx(x[:, 1], abs=1e-6)  # the identity
    step = 1e-6
    up, down = kumaraswamy(x, a * math.exp(step), b)[0], kumaraswamy(x, a * math.exp(-step), b)[0]
    assert by_a == pytest.approx((up - down) / (2 * step), abs=1e-7)
    up, down = kumaraswamy(x, a, b * math.exp(step))[0], kumaraswamy(x, a, b * math.exp(-step))[0]
    assert by_b == pytest.approx((up - down) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("family", ["rbf", "matern"])
def test_the_gradient_is_that_of_the_value(family):
    rng = np.random.default_rng(3)
    X, C, y = rng.random((12, 3)), rng.integers(0, 3, (12, 1)).astype(float), rng.standard_normal(12)
    fixed = 0.1 * rng.random(12)
    function = WarpedPosterior(family, X, C, y, Warp(1, float(y.min())), (-4.0, 1.0), 1e-8, fixed=fixed, warped=(0, 2))
    theta = function.start() + 0.3 * rng.standard_normal(len(function.start()))
    step = 1e-5 * np.eye(len(theta))
    differences = [(function.value(theta + e)[0] - function.value(theta - e)[0]) / 2e-5 for e in step]
    assert function.value(theta)[1] == pytest.approx(differences, rel=1e-5, abs=1e-6)


def test_the_kernel_sees_warped_columns_and_no_others():
    scales, one = torch.ones(2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    inner = ArdKernel("rbf", (0, 2), scales, (1,), one, 1.0)
    kernel = WarpedKernel(inner, (2,), 2 * one, one)  # x² in the last column
    x = torch.tensor([[0.2, 1.0, 0.5], [0.9, 0.0, 0.8]], dtype=torch.float64, requires_grad=True)
    expected = inner(torch.stack([x[:, 0], x[:, 1], x[:, 2] ** 2], dim=1))
    assert torch.allclose(kernel(x), expected, atol=1e-6)
    (gradient,) = torch.autograd.grad(kernel(x)[0, 1], x)
    assert gradient[:, 2].abs().min() > 0


def test_it_keeps_the_contract_and_warps_what_is_continuous(mixed, make_problem, label):
    problem = make_problem(mixed)
    dataset = label(problem, mixed.sample(12, np.random.default_rng(0)), lambda d: d["v"] + d["n"])
    assert check_surrogate(WarpedGaussianProcess(), problem, dataset) == []
    told = WarpedGaussianProcess().fit(problem, dataset, seed=0).hyperparameters()["y"]
    assert set(told["input_warps"]) == {"t", "v"}


def test_a_space_without_continuous_parameters_is_no_obstacle(make_problem, label):
    space = Parameters(base=Categorical("a", "b", "c"), other=Categorical("x", "y"))
    problem = make_problem(space)
    dataset = label(problem, space.sample(6, np.random.default_rng(0)), lambda d: float(d["base"] == "a"))
    model = WarpedGaussianProcess().fit(problem, dataset, seed=0)
    assert not model.fell_back
    assert "input_warps" not in model.hyperparameters()["y"]
