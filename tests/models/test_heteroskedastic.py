"""Noise that is not the same everywhere is found, and used."""

import math

import numpy as np
import pytest
from scipy.special import digamma
from scipy.stats import norm

from theoros.models.checks import check_surrogate
from theoros.models.data import LabelNoise
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.heteroskedastic import LEAST, LOG_SQUARE_MEAN, HeteroskedasticGaussianProcess
from theoros.oracles.spaces import Parameters, Real


def deviation(data):
    """From 0.02 at x = 0 to 0.42 at x = 1."""
    return 0.02 + 0.4 * data["x"] ** 2


@pytest.fixture
def line():
    return Parameters(x=Real(0, 1))


@pytest.fixture
def scattered(line, make_problem, label):
    """Labels of a sine that scatter by `deviation`, and the problem."""

    def make(n, seed, width=deviation):
        rng, problem = np.random.default_rng(seed), make_problem(line, goal="learn", deterministic=False)
        value = lambda d: math.sin(5 * d["x"]) + width(d) * rng.standard_normal()  # noqa: E731
        return problem, label(problem, line.sample(n, rng), value)

    return make


def test_noise_that_grows_along_a_parameter_is_found(scattered, line, at):
    """On four sets of labels; at the ends the true deviations are 0.02 and 0.42, 21 times as large."""
    ratios = []
    for seed in range(4):
        problem, dataset = scattered(60, seed)
        model = HeteroskedasticGaussianProcess().fit(problem, dataset, seed=0)
        ends = at(problem, [line.candidate({"x": x}) for x in (0.02, 0.98)])
        low, high = model.predict(ends).noise[:, 0]
        ratios.append(high / low)
    assert 5 < np.median(ratios) < 45  # the prior holds them together


def test_new_labels_are_likelier_than_under_noise_that_is_alike_everywhere(scattered, at):
    gains = []
    for seed in range(4):
        problem, dataset = scattered(60, seed)
        _, new = scattered(200, seed + 100)
        density = []
        for surrogate in (HeteroskedasticGaussianProcess(), GaussianProcess()):
            prediction = surrogate.fit(problem, dataset, seed=0).predict(new.points)
            density.append(norm.logpdf(new.values, prediction.mean, prediction.label_std).mean())
        gains.append(density[0] - density[1])
    assert np.median(gains) > 0.3  # nats a label


def test_noise_that_is_alike_everywhere_stays_so(scattered, line, at):
    errors = []
    for seed in range(4):
        problem, dataset = scattered(60, seed, width=lambda d: 0.2)
        model = HeteroskedasticGaussianProcess().fit(problem, dataset, seed=0)
        noise = model.predict(at(problem, [line.candidate({"x": x}) for x in np.linspace(0, 1, 21)])).noise
        errors.append(np.abs(np.log(noise / 0.2)).mean())
    assert np.median(errors) < 0.3


def test_few_labels_are_treated_as_by_gp(scattered):
    problem, dataset = scattered(LEAST - 1, 0)
    own, plain = (s.fit(problem, dataset, seed=0) for s in (HeteroskedasticGaussianProcess(), GaussianProcess()))
    assert np.allclose(own.predict(dataset.points).mean, plain.predict(dataset.points).mean)


def test_what_is_known_of_the_noise_is_not_learned_again(line, make_problem, label):
    problem = make_problem(line, deterministic=False, noise=(LabelNoise("y", 0.1),))
    dataset = label(problem, line.sample(30, np.random.default_rng(0)), lambda d: math.sin(5 * d["x"]))
    prediction = HeteroskedasticGaussianProcess().fit(problem, dataset, seed=0).predict(dataset.points)
    assert prediction.noise == pytest.approx(0.1, rel=0.05)


def test_the_mean_logarithm_of_a_squared_normal_number():
    assert pytest.approx(digamma(0.5) + math.log(2)) == LOG_SQUARE_MEAN


def test_it_keeps_the_contract(mixed, make_problem, label):
    problem = make_problem(mixed, deterministic=False)
    dataset = label(problem, mixed.sample(24, np.random.default_rng(0)), lambda d: d["v"] + d["n"])
    assert check_surrogate(HeteroskedasticGaussianProcess(), problem, dataset) == []
