"""The posterior against BoTorch's own."""

import pytest
import torch
from botorch.models import SingleTaskGP

from theoros.models.surrogates.posterior import EXACT, Posterior
from theoros.models.surrogates.structure import Structure

DTYPE = torch.float64


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(3)
    X = torch.rand(14, 2, generator=generator, dtype=DTYPE)
    return X, torch.sin(5 * X[:, :1]) + X[:, 1:], torch.rand(9, 2, generator=generator, dtype=DTYPE)


def process(X, Y, noise=1e-3):
    structure = Structure("rbf", 2)
    kernel, mean = structure.kernel(priors=False), structure.mean(priors=False)
    return Posterior.of(kernel, mean, X, Y, torch.full((len(X),), noise, dtype=DTYPE))


def reference(X, Y, noise=1e-3):
    structure = Structure("rbf", 2)
    model = SingleTaskGP(
        X,
        Y,
        train_Yvar=torch.full_like(Y, noise),
        covar_module=structure.kernel(priors=False),
        mean_module=structure.mean(priors=False),
        outcome_transform=None,
    )
    return model.eval()


def test_moments_are_those_of_botorch(data):
    X, Y, new = data
    mean, variance = process(X, Y).moments(new)
    posterior = reference(X, Y).posterior(new)
    assert torch.allclose(mean, posterior.mean, atol=1e-8)
    assert torch.allclose(variance, posterior.variance[:, 0], atol=1e-8)


def test_covariance_is_that_of_botorch(data):
    X, Y, new = data
    expected = reference(X, Y).posterior(new).distribution.covariance_matrix
    assert torch.allclose(process(X, Y).covariance(new, new), expected, atol=1e-7)


@pytest.mark.parametrize("labels", [0, 14])
def test_the_joint_belief_is_the_moments_and_the_covariance(data, labels):
    X, Y, new = data
    posterior = process(X[:labels], Y[:labels])
    mean, variance, covariance = posterior.joint(new)
    assert torch.equal(mean, posterior.moments(new)[0])
    assert torch.equal(variance, posterior.moments(new)[1])
    assert torch.allclose(covariance, posterior.covariance(new, new), atol=1e-14)


def test_conditioning_equals_fitting_all_at_once(data):
    X, Y, new = data
    later = process(X[:9], Y[:9]).conditioned(X[9:], Y[9:], noise=1e-3)
    for got, want in zip(later.moments(new), process(X, Y).moments(new), strict=True):
        assert torch.allclose(got, want, atol=1e-9)


def test_fantasies_share_their_variance_and_differ_in_their_means(data):
    X, Y, new = data
    fantasies = torch.cat([Y[9:], Y[9:] + 1], dim=1)
    both = process(X[:9], Y[:9]).conditioned(X[9:], fantasies, noise=1e-3)
    mean, _ = both.moments(new)
    first, _ = process(X[:9], Y[:9]).conditioned(X[9:], fantasies[:, :1], noise=1e-3).moments(new)
    assert mean.shape == (9, 2)
    assert torch.allclose(mean[:, :1], first)
    assert (mean[:, 1] > mean[:, 0]).any()


def test_samples_have_the_posteriors_moments(data):
    X, Y, new = data
    posterior = process(X[:4], Y[:4])
    drawn = posterior.sample(new, 4096, seed=0)
    mean, variance = posterior.moments(new)
    assert torch.allclose(drawn.mean(1), mean[:, 0], atol=0.01)
    assert torch.allclose(drawn.var(1), variance, atol=0.02)
    assert torch.allclose(torch.cov(drawn), posterior.covariance(new, new), atol=0.03)


def test_moments_are_differentiable(data):
    X, Y, new = data
    new.requires_grad_()
    mean, variance = process(X, Y).moments(new)
    (mean.sum() + variance.sum()).backward()
    assert new.grad.abs().sum() > 0


def test_the_same_point_twice_is_survived(data):
    X, Y, _new = data
    doubled = process(torch.cat([X, X[:3]]), torch.cat([Y, Y[:3]]), noise=EXACT).conditioned(X[:2], Y[:2])
    mean, variance = doubled.moments(X)
    assert torch.allclose(mean, Y, atol=1e-3)
    assert (variance >= 0).all()


def test_without_data_the_posterior_is_the_prior(data):
    X, Y, new = data
    mean, variance = process(X[:0], Y[:0]).moments(new)
    assert torch.equal(mean, torch.zeros(9, 1, dtype=DTYPE))
    assert torch.allclose(variance, torch.ones(9, dtype=DTYPE))
