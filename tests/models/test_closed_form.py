"""The closed-form Gaussian process: its likelihood is the textbook's, its transforms are what they say."""

import math

import numpy as np
import pytest
import torch
from gpytorch.kernels import MaternKernel, RBFKernel
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm, multivariate_normal, norm

from theoros.models.acquisition.exhausted import PATIENCE, demanded
from theoros.models.surrogates import marginal
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.closed_form import afresh
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.marginal import MarginalPosterior
from theoros.models.surrogates.outcome import IDENTITY, FittedWarp, Warp


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def posterior(rng, family="rbf", sign=0, categories=2, n=12):
    X, C = rng.random((n, 3)), rng.integers(0, 3, (n, categories)).astype(float)
    y = rng.standard_normal(n)
    y = (y - y.mean()) / y.std()
    return MarginalPosterior(family, X, C, y, Warp(sign, float(sign * (sign * y).min())), (-4.0, 1.0), 1e-8)


@pytest.mark.parametrize("family", ["rbf", "matern"])
@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("categories", [0, 2])
def test_the_gradient_is_that_of_the_value(rng, family, sign, categories):
    function = posterior(rng, family, sign, categories)
    theta = function.start() + 0.3 * rng.standard_normal(len(function.start()))
    step = 1e-5 * np.eye(len(theta))
    differences = [(function.value(theta + e)[0] - function.value(theta - e)[0]) / 2e-5 for e in step]
    assert function.value(theta)[1] == pytest.approx(differences, rel=1e-6, abs=1e-6)


def test_the_value_is_the_normal_density_of_the_labels_and_the_log_normal_one_of_the_hyperparameters(rng):
    function = posterior(rng, categories=0)
    theta = function.start() + 0.1
    found = function.read(theta)
    kernel = ArdKernel("rbf", (0, 1, 2), torch.from_numpy(found.length_scales), (), torch.zeros(0), found.output_scale)
    covariance = kernel(torch.from_numpy(function.X)).numpy() + marginal.MEAN_VARIANCE + found.noise * np.eye(12)
    location = math.sqrt(2) + 0.5 * math.log(3)
    expected = multivariate_normal(np.zeros(12), covariance).logpdf(function.y)
    expected += lognorm(math.sqrt(3), scale=math.exp(location)).logpdf(found.length_scales).sum()
    expected += lognorm(1, scale=math.exp(-4)).logpdf(math.exp(theta[3])) + lognorm(1).logpdf(found.output_scale)
    other = function.start()
    shift = -function.value(theta)[0] - expected  # a constant, as the priors are not normalised
    found = function.read(other)
    kernel = ArdKernel("rbf", (0, 1, 2), torch.from_numpy(found.length_scales), (), torch.zeros(0), found.output_scale)
    covariance = kernel(torch.from_numpy(function.X)).numpy() + marginal.MEAN_VARIANCE + found.noise * np.eye(12)
    expected = multivariate_normal(np.zeros(12), covariance).logpdf(function.y)
    expected += lognorm(math.sqrt(3), scale=math.exp(location)).logpdf(found.length_scales).sum()
    expected += lognorm(1, scale=math.exp(-4)).logpdf(math.exp(other[3])) + lognorm(1).logpdf(found.output_scale)
    assert -function.value(other)[0] - expected == pytest.approx(shift, abs=1e-6)


@pytest.mark.parametrize(("family", "theirs"), [("rbf", RBFKernel), ("matern", lambda **k: MaternKernel(2.5, **k))])
def test_the_kernel_is_gpytorchs(rng, family, theirs):
    x, y = torch.from_numpy(rng.random((7, 3))), torch.from_numpy(rng.random((5, 3)))
    scales = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    kernel = theirs(ard_num_dims=3).double()
    kernel.lengthscale = scales
    mine = ArdKernel(family, (0, 1, 2), scales, (), torch.zeros(0), 2.0, 0.5)
    assert torch.allclose(mine(x, y), 2 * kernel(x, y).to_dense() + 0.5, atol=1e-10)
    assert torch.allclose(mine(x, diag=True), mine(x).diagonal())


@given(st.floats(-3, 3), st.floats(1e-3, 1e2), st.sampled_from([-1, 1]), st.floats(0, 50))
def test_a_warp_increases_and_its_inverse_undoes_it(best, d, sign, above):
    warp = FittedWarp(sign, best, d, 0.4, 1.7)
    z = np.array([best + sign * above])
    assert warp.inverse(warp.forward(z)) == pytest.approx(z, rel=1e-6, abs=1e-6)
    assert warp.forward(z + 1.0)[0] > warp.forward(z)[0] - 1e-12


def test_the_density_of_warped_labels_counts_what_the_warp_stretches(rng):
    """The normal density of transformed labels times the Jacobian integrates to one over the labels."""
    warp = Warp(1, 0.0)
    y = np.array([0.0, 0.3, 1.0, 2.5])
    labels, jacobian, _, _ = warp.standardised(y, np.array([-1.0]))
    fitted = warp.fitted(y, np.array([-1.0]))
    slopes = (fitted.forward(y + 1e-6) - fitted.forward(y)) / 1e-6
    assert labels == pytest.approx(fitted.forward(y), abs=1e-9)
    assert jacobian == pytest.approx(-np.log(slopes).sum(), abs=1e-3)


def test_orders_of_magnitude_are_seen_through_a_logarithm_and_a_sine_is_not(square, make_problem, label, at, rng):
    problem = make_problem(square, maximize=False)
    candidates, new = square.sample(30, rng), square.sample(100, rng)
    steep = lambda data: math.exp(8 * (data["x"] - 0.4) ** 2 + 8 * data["y"])  # noqa: E731
    model = GaussianProcess().fit(problem, label(problem, candidates, steep), seed=0)
    plain = GaussianProcess(outcome="plain").fit(problem, label(problem, candidates, steep), seed=0)
    truth = np.log([steep(candidate.data) for candidate in new])
    errors = [
        np.median(np.abs(np.log(np.maximum(m.predict(at(problem, new)).mean[:, 0], 1e-9)) - truth))
        for m in (model, plain)
    ]
    assert model.models[0].warp.sign == 1
    assert errors[0] < 0.2 * errors[1]
    wave = GaussianProcess().fit(problem, label(problem, candidates, lambda d: math.sin(6 * d["x"])), seed=0)
    assert wave.models[0].warp is IDENTITY


def test_intervals_of_a_transformed_output_hold_what_they_promise(square, make_problem, label, rng):
    """Sixty-eight in a hundred draws of the belief lie within one half-width of the median."""
    problem = make_problem(square, maximize=False)
    dataset = label(problem, square.sample(12, rng), lambda d: math.exp(5 * d["x"] + math.sin(5 * d["y"])))
    model = GaussianProcess().fit(problem, dataset, seed=0)
    candidates = square.sample(40, rng)
    drawn = model.paths("y", "truth", 512, seed=1)(candidates)
    prediction = model.predict([type(dataset.points[0])(c, "truth") for c in candidates])
    inside = np.abs(drawn - prediction.mean[:, 0]) <= prediction.std[:, 0]
    assert inside.mean() == pytest.approx(2 * norm.cdf(1) - 1, abs=0.08)


def test_a_rough_function_gets_the_rough_kernel_and_a_smooth_one_the_smooth(make_problem, label, square, rng):
    problem = make_problem(square, goal="learn")
    kernel = lambda f: (  # noqa: E731
        GaussianProcess()
        .fit(problem, label(problem, square.sample(60, rng), f), seed=0)
        .hyperparameters()["y"]["kernel"]
    )
    assert kernel(lambda d: abs(d["x"] - 0.5) + abs(d["y"] - 0.3)) == "matern"
    assert kernel(lambda d: math.sin(5 * d["x"]) * math.cos(4 * d["y"])) == "rbf"


def test_an_exhausted_place_is_left_and_a_yielding_one_is_not(square, make_problem, label, join, rng):
    problem = make_problem(square, maximize=False)
    far = label(problem, [square.candidate({"x": x, "y": 0.9}) for x in (0.1, 0.5, 0.9)], lambda d: 1.0 + d["x"])
    near = lambda f: label(  # noqa: E731
        problem, [square.candidate({"x": 0.3 + 1e-3 * i, "y": 0.3}) for i in range(PATIENCE + 2)], f
    )
    yielding = join(far, near(lambda d: -100 * (d["x"] - 0.3)))
    exhausted = join(far, near(lambda d: 1e-9 * d["x"]))
    model = GaussianProcess().fit(problem, yielding, seed=0)
    assert demanded(problem, model, far) == 0
    assert demanded(problem, model, yielding) == 0
    assert demanded(problem, GaussianProcess().fit(problem, exhausted, seed=0), exhausted) > 0


def test_fits_begin_afresh_at_every_fourth_label_first_and_ever_more_rarely():
    fresh = [n for n in range(1, 1500) if afresh(n)]
    assert fresh[:5] == [4, 8, 12, 16, 20]
    gaps = np.diff(fresh)
    assert (np.diff(gaps) >= 0).all()
    assert all(0.02 < gap / n <= 0.11 for gap, n in zip(gaps, fresh[1:], strict=True) if n >= 80)
