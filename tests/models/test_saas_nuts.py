"""The fully Bayesian sparse process: its density is the textbook's, its draws are the density's, its limits hold."""

import math
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import halfcauchy, lognorm

from theoros.models import registry
from theoros.models.checks import check_surrogate
from theoros.models.data import LabelNoise
from theoros.models.surrogates import saas_nuts
from theoros.models.surrogates.nuts import SamplingFailed, sampled
from theoros.models.surrogates.saas import SparseGaussianProcess
from theoros.models.surrogates.saas_nuts import SparseMixture
from theoros.models.surrogates.saas_posterior import GLOBAL_SCALE, SaasPosterior
from theoros.oracles.failures import MissingDependency
from theoros.oracles.spaces import Parameters, Real

WIDE = Parameters(**{f"x{i:02d}": Real(0, 1) for i in range(20)})


def bowl(data):
    return math.sin(5 * data["x03"])


def jittered(potential, start, *, warmup, samples, seconds, seed):
    """Places about the start: what the sampler gives, without its time."""
    return list(start + 0.3 * np.random.default_rng(seed).standard_normal((samples, len(start))))


@pytest.fixture
def problem(make_problem):
    return make_problem(WIDE, goal="learn")


@pytest.fixture
def dataset(problem, label):
    return label(problem, WIDE.sample(12, np.random.default_rng(0)), bowl)


@pytest.fixture
def target(problem, dataset):
    return SaasPosterior.of(SparseGaussianProcess().fit(problem, dataset, seed=0).models[0])


def test_the_gradient_is_that_of_the_potential(target):
    place = target.start + 0.1 * np.random.default_rng(0).standard_normal(len(target.start))
    step = 1e-5 * np.eye(len(place))
    differences = [(target.potential(place + e)[0] - target.potential(place - e)[0]) / 2e-5 for e in step]
    assert target.potential(place)[1] == pytest.approx(differences, rel=1e-5, abs=1e-5)


def test_the_priors_are_half_cauchy_and_log_normal(target):
    """Between two places with one likelihood, densities of the logarithms differ by those of the priors."""

    def log_prior(place):
        beta, noise, output, tau = np.exp(place[:20]), *np.exp(place[20:])
        location, width = target.marginal.noise_prior
        density = halfcauchy.logpdf(beta).sum() + halfcauchy(scale=GLOBAL_SCALE).logpdf(tau)
        density += lognorm(width, scale=math.exp(location)).logpdf(noise) + lognorm(1).logpdf(output)
        return density + place.sum()  # densities of logarithms

    def log_likelihood(place):
        return -target.marginal.likelihood(target._theta(place)[0])[0]

    one, other = target.start, target.start + 0.2 * np.random.default_rng(1).standard_normal(23)
    expected = log_prior(one) + log_likelihood(one) - log_prior(other) - log_likelihood(other)
    assert target.potential(other)[0] - target.potential(one)[0] == pytest.approx(expected)


def test_draws_have_the_moments_of_a_known_density():
    """A normal density of two correlated numbers with the means 1 and -2."""
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    inverse, centre = np.linalg.inv(covariance), np.array([1.0, -2.0])
    draws = np.array(
        sampled(
            lambda x: (0.5 * float((x - centre) @ inverse @ (x - centre)), inverse @ (x - centre)),
            np.zeros(2),
            warmup=60,
            samples=300,
            seconds=60,
            seed=0,
        )
    )
    assert draws.mean(0) == pytest.approx(centre, abs=0.2)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.25)


def test_from_few_labels_its_intervals_hold_what_the_modes_promise_in_vain(problem, label):
    """From twelve labels of two parameters among twenty: the 90 % intervals of new ones, a mean of three designs."""
    value = lambda d: math.sin(5 * d["x03"]) + 2 * (d["x07"] - 0.4) ** 2  # noqa: E731
    covered = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        dataset, new = (label(problem, WIDE.sample(n, rng), value) for n in (12, 200))
        for surrogate in (SparseMixture(warmup=30, samples=16), SparseGaussianProcess()):
            prediction = surrogate.fit(problem, dataset, seed=0).predict(new.points)
            covered.append((np.abs(new.values - prediction.mean) <= 1.645 * prediction.label_std).mean())
    assert np.mean(covered[::2]) > 0.8
    assert np.mean(covered[1::2]) < 0.6


def test_without_time_for_a_single_draw_the_mode_stands_in_and_says_so(problem, dataset):
    model = SparseMixture(seconds=0.0).fit(problem, dataset, seed=0)
    assert model.fell_back
    assert "the mode stands for all draws (no draw within 0 s)" in model.message
    mode = SparseGaussianProcess().fit(problem, dataset, seed=0)
    assert np.allclose(model.predict(dataset.points).std, mode.predict(dataset.points).std)


def test_draws_that_came_in_time_are_kept():
    def slow(x):
        time.sleep(0.002)
        return 0.5 * float(x @ x), x

    draws = sampled(slow, np.zeros(2), warmup=4, samples=10**6, seconds=1.0, seed=0)
    assert 0 < len(draws) < 10**6


def test_a_density_that_breaks_is_told():
    def broken(x):
        raise np.linalg.LinAlgError("singular")

    with pytest.raises(SamplingFailed, match="singular"):
        sampled(broken, np.zeros(2), warmup=4, samples=4, seconds=10, seed=0)


def test_without_pyro_the_campaign_is_refused_with_what_installs_it(monkeypatch, problem):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'theoros\[nuts\]'"):
        registry.check_surrogate_name("saas_nuts", problem)
    monkeypatch.setitem(sys.modules, "pyro.infer.mcmc", None)
    with pytest.raises(MissingDependency, match=r"pip install 'theoros\[nuts\]'"):
        sampled(lambda x: (0.0, x), np.zeros(1), warmup=1, samples=1, seconds=1, seed=0)


def test_a_mixture_adds_the_spread_between_its_draws(monkeypatch, problem, dataset):
    monkeypatch.setattr(saas_nuts, "sampled", jittered)
    model = SparseMixture(draws=5).fit(problem, dataset, seed=0)
    parts = [draw.predict(dataset.points) for draw in model.draws]
    means = np.stack([part.mean for part in parts])
    prediction = model.predict(dataset.points)
    assert len(model.draws) == 5
    assert prediction.mean == pytest.approx(means.mean(0))
    assert prediction.std**2 == pytest.approx(np.mean([part.std**2 for part in parts], axis=0) + means.var(0))
    told = model.hyperparameters()["y"]
    low, high = told["length_scale_quartiles"]["x03"]
    assert low <= told["length_scales"]["x03"] <= high


def test_it_keeps_the_contract(monkeypatch, mixed, make_problem, label):
    monkeypatch.setattr(saas_nuts, "sampled", jittered)
    problem = make_problem(mixed)
    dataset = label(problem, mixed.sample(10, np.random.default_rng(0)), lambda d: d["v"] + d["n"])
    assert check_surrogate(SparseMixture(draws=3, samples=3), problem, dataset) == []


def test_known_errors_stay_with_the_labels(monkeypatch, problem, dataset, make_problem):
    monkeypatch.setattr(saas_nuts, "sampled", jittered)
    told = replace(problem, deterministic=False, noise=(LabelNoise("y", 0.2),))
    prediction = SparseMixture(draws=4).fit(told, dataset, seed=0).predict(dataset.points)
    assert prediction.noise == pytest.approx(0.2, rel=0.1)
