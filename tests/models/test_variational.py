"""The sparse variational Gaussian process: cheap for thousands of labels, exact where it could be."""

import math

import numpy as np
import pytest
import torch

from theoros.models.checks import check_surrogate
from theoros.models.surrogates import gaussian_process
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import Structure
from theoros.models.surrogates.variational import VariationalGaussianProcess, _Bound


def smooth(data):
    return math.sin(3 * data["x"]) + data["y"] ** 2


@pytest.fixture
def sparse(monkeypatch):
    """Inducing points for any number of labels."""
    monkeypatch.setattr(gaussian_process, "MOST_LABELS", 1)


@pytest.fixture
def bound():
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.random((20, 2)))
    y = torch.sin(4 * X[:, 0]) + X[:, 1]
    return _Bound(Structure("rbf", 2, noise="noisy"), X, (y - y.mean()) / y.std(), X)


def test_with_all_points_inducing_it_is_the_exact_process(bound):
    kernel, noise = bound.kernel(torch.tensor([-0.7, -0.3, -3.0, 0.0], dtype=torch.float64))
    mean = bound.posterior(kernel, noise).mean
    variances = torch.full((20,), float(noise), dtype=torch.float64)
    exact = Posterior.of(kernel, mean, bound.X, bound.y.unsqueeze(-1), variances)
    new = torch.from_numpy(np.random.default_rng(1).random((15, 2)))
    for mine, theirs in zip(bound.posterior(kernel, noise).moments(new), exact.moments(new), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)


def test_the_bound_is_the_evidence_when_all_points_are_inducing_and_never_above_it(bound):
    theta = torch.tensor([-0.7, -0.3, -3.0, 0.0], dtype=torch.float64)
    kernel, noise = bound.kernel(theta)
    covariance = kernel(bound.X) + noise * torch.eye(20, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(torch.zeros(20, dtype=torch.float64), covariance)
    evidence = normal.log_prob(bound.y) + 10 * math.log(2 * math.pi)
    fewer = _Bound(bound.structure, bound.X, bound.y, bound.X[:4])
    prior = bound.value(theta) * 20 + evidence
    assert float(fewer.value(theta) * 20) > float(bound.value(theta) * 20)
    assert float(prior) == pytest.approx(0.5 * _prior(theta), abs=0.01)


def _prior(theta):
    location = math.sqrt(2) + 0.5 * math.log(2)
    lengths = ((theta[:2] - location) ** 2 / 3).sum()
    return float(lengths + (theta[2] + 4) ** 2 + theta[3] ** 2)


def test_pending_points_are_conditioned_on_as_in_the_exact_process(bound):
    kernel, noise = bound.kernel(torch.tensor([-0.7, -0.3, -3.0, 0.0], dtype=torch.float64))
    posterior = bound.posterior(kernel, noise)
    place = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    known = posterior.conditioned(place, torch.tensor([[2.0]], dtype=torch.float64))
    mean, variance = known.moments(place)
    assert float(mean) == pytest.approx(2.0, abs=1e-3)
    assert float(variance) < 1e-3


def test_thousands_of_labels_are_predicted_well(square, make_problem, label, at):
    rng = np.random.default_rng(0)
    problem = make_problem(square, deterministic=False)
    dataset = label(problem, square.sample(4_000, rng), lambda d: smooth(d) + 0.1 * rng.standard_normal())
    model = VariationalGaussianProcess(inducing=64).fit(problem, dataset, seed=0)
    new = square.sample(200, rng)
    truth = np.array([smooth(candidate.data) for candidate in new])
    prediction = model.predict(at(problem, new))
    assert np.abs(prediction.mean[:, 0] - truth).max() < 0.05
    assert np.median(prediction.noise) == pytest.approx(0.1, rel=0.1)


def test_it_keeps_the_contract(sparse, mixed, make_problem, label):
    problem = make_problem(mixed)
    dataset = label(problem, mixed.sample(24, np.random.default_rng(0)), lambda d: d["v"] + d["n"])
    assert check_surrogate(VariationalGaussianProcess(inducing=12), problem, dataset) == []


def test_fidelities_enter_as_a_category(sparse, square, make_problem, label, join, at):
    rng = np.random.default_rng(0)
    problem = make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    cheap = label(problem, square.sample(60, rng), lambda d: smooth(d) + 5, fidelity="cheap")
    dataset = join(cheap, label(problem, square.sample(30, rng), smooth))
    model = VariationalGaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(50, rng)
    truth = np.array([smooth(candidate.data) for candidate in new])
    assert np.abs(model.predict(at(problem, new)).mean[:, 0] - truth).mean() < 0.1
