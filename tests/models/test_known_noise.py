"""Labels that come with their own standard errors are weighed by them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.data import Dataset, LabelNoise, Point
from theoros.models.encoders import encoder_for
from theoros.models.surrogates.gaussian_process import GaussianProcess, TanimotoGaussianProcess
from theoros.models.surrogates.labels import Labels, standard_errors
from theoros.models.surrogates.marginal import MEAN_VARIANCE
from theoros.oracles.spaces import Parameters, Real


def wave(data):
    return math.sin(4 * data["x"])


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def line():
    return Parameters(x=Real(0, 1))


@pytest.fixture
def problem(line, make_problem):
    """Labels of y come with their standard errors in y_error."""
    return make_problem(line, deterministic=False, noise=(LabelNoise("y", "y_error"),))


def with_errors(dataset, errors):
    """The dataset with one more column."""
    values = np.column_stack([dataset.values, np.asarray(errors, dtype=float)])
    return Dataset(dataset.points, (*dataset.outputs, "y_error"), values)


def test_of_two_labels_the_precision_weighted_mean_is_believed(problem, line):
    """mean = sum(y / v) / (1 / k + sum(1 / v)) for a prior N(0, k) and labels y with variances v."""
    point = Point(line.candidate({"x": 0.5}), "truth")
    values, errors = np.array([1.0, 1.3]), np.array([0.1, 0.3])
    dataset = Dataset((point, point), ("y", "y_error"), np.column_stack([values, errors]))
    model = GaussianProcess().fit(problem, dataset, seed=0)
    told, scale = model.hyperparameters()["y"], values.std(ddof=1)
    v = (errors / scale) ** 2 + told["noise_variance"]
    k = told["output_scales"][0] + MEAN_VARIANCE
    precision = 1 / k + (1 / v).sum()
    expected = values.mean() + scale * ((values - values.mean()) / scale / v).sum() / precision
    prediction = model.predict([point])
    assert prediction.mean[0, 0] == pytest.approx(expected, abs=1e-6)
    assert prediction.std[0, 0] == pytest.approx(scale / math.sqrt(precision), rel=1e-4)
    assert prediction.mean[0, 0] < values.mean()  # nearer to the label that is better known


def test_a_label_with_a_large_error_counts_for_little(problem, line, label, at, rng):
    candidates, new = line.sample(15, rng), at(problem, line.sample(50, rng))
    good = with_errors(label(problem, candidates, wave), np.full(15, 1e-3))
    bad = replace(good, values=good.values.copy())
    bad.values[4] += [5.0, 20.0]
    trusted = replace(bad, values=np.column_stack([bad.values[:, 0], good.values[:, 1]]))
    truth = np.array([wave(point.candidate.data) for point in new])
    errors = [
        np.abs(GaussianProcess().fit(problem, data, seed=0).predict(new).mean[:, 0] - truth).max()
        for data in (good, bad, trusted)
    ]
    assert errors[1] < 0.05
    assert errors[1] < 0.2 * errors[2]


def test_one_standard_deviation_for_all_labels_is_what_predictions_say_of_new_ones(line, make_problem, label, at, rng):
    problem = make_problem(line, deterministic=False, noise=(LabelNoise("y", 0.2),))
    dataset = label(problem, line.sample(60, rng), lambda d: wave(d) + 0.2 * rng.standard_normal())
    prediction = GaussianProcess().fit(problem, dataset, seed=0).predict(at(problem, line.sample(20, rng)))
    assert prediction.noise == pytest.approx(0.2, rel=0.05)
    assert prediction.std.max() < 0.15


def test_the_same_error_in_a_column_and_in_the_question_is_the_same(line, problem, make_problem, label, at, rng):
    dataset = label(problem, line.sample(12, rng), wave)
    new = at(problem, line.sample(10, rng))
    once = make_problem(line, deterministic=False, noise=(LabelNoise("y", 0.1),))
    one = GaussianProcess().fit(once, dataset, seed=0).predict(new)
    other = GaussianProcess().fit(problem, with_errors(dataset, np.full(12, 0.1)), seed=0).predict(new)
    assert np.allclose(one.mean, other.mean)
    assert np.allclose(one.noise, other.noise)


def test_a_label_without_a_usable_error_has_the_median_of_the_others(problem, line, label, rng):
    dataset = with_errors(label(problem, line.sample(5, rng), wave), [0.1, 0.3, 0.2, np.nan, -1.0])
    level = np.zeros(5, dtype=np.int64)
    encoded = encoder_for(line).encode([point.candidate for point in dataset.points])
    assert Labels.of(problem, dataset, "y", encoded, level).errors == pytest.approx([0.1, 0.3, 0.2, 0.2, 0.2])


def test_without_a_single_error_noise_is_learned(problem, line, label, rng):
    dataset = with_errors(label(problem, line.sample(5, rng), wave), [np.nan] * 5)
    assert standard_errors(problem, dataset, "y") is None
    assert not GaussianProcess().fit(problem, dataset, seed=0).fell_back


def test_molecules_and_several_fidelities_are_weighed_too(molecules, smiles_candidates, make_problem, label, rng):
    """Both go through GPyTorch: a label that is known badly does not pull what is believed of its molecule."""
    problem = make_problem(
        molecules,
        fidelities=("cheap", "truth"),
        costs=(0.1, 1.0),
        deterministic=False,
        noise=(LabelNoise("y", "y_error"),),
    )
    exact = with_errors(label(problem, smiles_candidates[:14], lambda d: float(len(d["smiles"]))), np.full(14, 0.1))
    off = replace(exact, values=exact.values.copy())
    off.values[3] += [10.0, 30.0]
    model = TanimotoGaussianProcess().fit(problem, off, seed=0)
    prediction = model.predict(off.points)
    assert not model.fell_back
    assert abs(prediction.mean[3, 0] - exact.values[3, 0]) < 0.4 * 10
    assert np.abs(np.delete(prediction.mean[:, 0] - exact.values[:, 0], 3)).max() < 1.0
    assert 0.1 <= prediction.noise.max() < 1.0  # as all others, and not as the one of 30


def test_improvement_is_counted_on_what_is_believed_and_not_on_a_lucky_label(problem, line, label, rng):
    """A label far above its surroundings with an error as large does not stop the search where the mean is best."""
    dataset = with_errors(label(problem, line.sample(15, rng), wave), np.full(15, 0.01))
    dataset.values[2] = [wave(dataset.points[2].candidate.data) + 3.0, 3.0]
    model = GaussianProcess().fit(problem, dataset, seed=0)
    candidates = [line.candidate({"x": x}) for x in np.linspace(0, 1, 101)]
    scores = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)(candidates)
    assert abs(candidates[int(np.argmax(scores))].data["x"] - math.pi / 8) < 0.15
