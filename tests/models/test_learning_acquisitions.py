"""Acquisitions for learning, and entropy search, against information theory and BoTorch."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from theoros.models import registry
from theoros.models.acquisition.committee import QueryByCommittee
from theoros.models.acquisition.epig import RESOLUTION, ExpectedPredictiveInformationGain
from theoros.models.acquisition.mes import MaxValueEntropySearch
from theoros.models.data import Prediction
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.random_forest import RandomForest


def wave(data):
    return math.sin(6 * data["x"]) * math.cos(4 * data["y"])


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def fitted(square, make_problem, label, rng):
    problem = make_problem(square, goal="learn")
    dataset = label(problem, square.sample(12, rng), wave)
    return problem, GaussianProcess().fit(problem, dataset, seed=0), dataset, square.sample(80, rng)


def test_epig_is_the_mean_mutual_information_with_predictions_elsewhere(fitted):
    problem, model, dataset, new = fitted
    acquisition = ExpectedPredictiveInformationGain(references=40)
    found = acquisition.scorer(problem, model, dataset, [], seed=2)(new[:5])
    domain = model.encode(problem.space.sample(40, np.random.default_rng(2)))
    process = model.output("y")
    for candidate, value in zip(new[:5], found, strict=True):
        x = model.encode([candidate])
        gains = []
        for r in domain:
            joint = process.posterior.covariance(torch.stack([x[0], r]), torch.stack([x[0], r])).numpy()
            joint += np.diag([process.noise + RESOLUTION, RESOLUTION])
            entropies = 0.5 * np.log(np.diag(joint)).sum() - 0.5 * np.linalg.slogdet(joint)[1]
            gains.append(entropies)
        assert value == pytest.approx(np.mean(gains), rel=1e-4)


def test_epig_from_draws_agrees_with_its_closed_form(fitted, monkeypatch):
    problem, model, dataset, new = fitted
    closed = ExpectedPredictiveInformationGain().scorer(problem, model, dataset, [], seed=2)(new)
    monkeypatch.setattr("theoros.models.acquisition.epig.offers_posterior", lambda model: False)
    drawn = ExpectedPredictiveInformationGain(draws=512).scorer(problem, model, dataset, [], seed=2)(new)
    assert np.corrcoef(closed, drawn)[0, 1] > 0.9


def test_a_pending_label_leaves_little_to_tell_beside_it(fitted, at):
    problem, model, dataset, new = fitted
    for name in ("epig", "committee"):
        acquisition = registry.acquisition(name)
        score = acquisition.scorer(problem, model, dataset, [], seed=1)(new)
        best = int(np.argmax(score))
        after = acquisition.scorer(problem, model, dataset, at(problem, [new[best]]), seed=1)(new)
        assert after[best] < 0.2 * score[best], name


class Scattering:
    """A model whose noise is large on the left, and whose deviation is the same everywhere."""

    name = "scattering"

    def predict(self, points):
        x = np.array([point.candidate.data["x"] for point in points])[:, None]
        return Prediction(("y",), 0 * x, 0 * x + 1.0, np.where(x < 0.5, 3.0, 0.1))


def test_bald_asks_where_a_label_tells_something_of_the_model(square, make_problem, label, rng):
    problem = make_problem(square, goal="learn")
    dataset = label(problem, square.sample(5, rng), wave)
    new = square.sample(30, rng)
    score = registry.acquisition("bald").scorer(problem, Scattering(), dataset, [], seed=0)(new)
    left = np.array([c.data["x"] < 0.5 for c in new])
    assert score[left] == pytest.approx(0.5 * math.log(1 + 1 / 9))
    assert score[~left] == pytest.approx(0.5 * math.log(101))
    uniform = registry.acquisition("std").scorer(problem, Scattering(), dataset, [], seed=0)(new)
    assert np.ptp(uniform) == 0, "the standard deviation alone can't tell"


def test_the_committees_spread_is_the_posterior_deviation(fitted, at):
    problem, model, dataset, new = fitted
    score = QueryByCommittee(members=400).scorer(problem, model, dataset, [], seed=0)(new)
    assert np.allclose(score, model.predict(at(problem, new)).std[:, 0], rtol=0.25)


def test_a_batch_by_committee_does_not_ask_twice_for_the_same(square, make_problem, label, rng):
    problem = make_problem(square, goal="learn")
    dataset = label(problem, square.sample(12, rng), wave)
    model = RandomForest().fit(problem, dataset, seed=0)
    new = square.sample(60, rng)
    twins = [problem.space.candidate({"x": c.data["x"] + 1e-7, "y": c.data["y"]}) for c in new if c.data["x"] < 0.9]
    pool = [*new, *twins]
    picks = QueryByCommittee().batch(problem, model, dataset, [], pool, 6, seed=0)
    chosen = [(round(pool[p.place].data["x"], 5), pool[p.place].data["y"]) for p in picks]
    assert len(set(chosen)) == 6
    assert [p.value for p in picks] == sorted((p.value for p in picks), reverse=True)


def test_mes_is_the_entropy_that_a_cut_takes_away(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(12, rng), wave)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(40, rng)
    function = MaxValueEntropySearch().build(problem, model, dataset, [], seed=4)
    process = model.output("y")
    mean, variance = process.posterior.moments(process.inputs(model.encode(new), 0))
    room = ((function.best - mean) / variance.sqrt().unsqueeze(-1)).numpy()
    expected = (0.5 * room * norm.pdf(room) / norm.cdf(room) - norm.logcdf(room)).mean(1)
    with torch.no_grad():
        assert np.allclose(function.values(model.encode(new)).numpy(), expected, rtol=1e-6, atol=1e-12)
    known, _ = process.posterior.moments(process.posterior.X)
    assert (function.best > known.max()).all()


@pytest.mark.parametrize("name", ["epig", "integrated_variance", "committee"])
def test_what_is_learned_by_choice_is_more_than_by_chance(square, make_problem, label, at, name):
    """Mean logarithm of the error over five seeds: six labels at random and eight by choice, or fourteen at random."""
    problem = make_problem(square, goal="learn")
    test = square.sample(300, np.random.default_rng(99))
    truth = np.array([wave(c.data) for c in test])

    def error(dataset):
        model = GaussianProcess().fit(problem, dataset, seed=0)
        return float(np.sqrt(np.mean((model.predict(at(problem, test)).mean[:, 0] - truth) ** 2)))

    acquisition = registry.acquisition(name)
    guided, chance = [], []
    for seed in range(5):
        own = np.random.default_rng(seed)
        start = square.sample(6, own)
        dataset = label(problem, start, wave)
        for i in range(8):
            model = GaussianProcess().fit(problem, dataset, seed=i)
            pool = square.sample(100, own)
            best = pool[int(np.argmax(acquisition.scorer(problem, model, dataset, [], seed=i)(pool)))]
            dataset = label(problem, [*(p.candidate for p in dataset.points), best], wave)
        guided.append(error(dataset))
        chance.append(error(label(problem, [*start, *square.sample(8, own)], wave)))
    assert np.mean(np.log(guided)) < np.mean(np.log(chance)) - 0.1
