"""Twins of processes whose answers have an array: a damped oscillator's displacement, of which all is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import qmc

from theoros.db.outputs import HeldArray
from theoros.models import registry
from theoros.models.data import Dataset, Point
from theoros.models.feasibility import SUCCEEDS
from theoros.models.twins.array_components import MOST, Components
from theoros.models.twins.contract import DrawsArrays
from theoros.models.twins.physics import residual
from theoros.models.twins.training import Training
from theoros.models.twins.unseen_arrays import UnseenArrays
from theoros.models.twins.unseen_exam import examined
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real

NAMES = ["cvae", "cgan", "conditional_flow", "flow_matching"]
#: Times at which the displacement is measured, and the deviation of its noise.
TIMES, NOISE = np.linspace(0, 4, 64), 0.02


def displacement(damping, stiffness):
    """Of a unit mass that is let go at 1, exactly: ``exp(-d t / 2) (cos w t + d / 2w sin w t)``."""
    w = np.sqrt(stiffness - damping**2 / 4)
    return np.exp(-damping * TIMES / 2) * (np.cos(w * TIMES) + damping / (2 * w) * np.sin(w * TIMES))


def period(damping, stiffness):
    return 2 * np.pi / np.sqrt(stiffness - damping**2 / 4)


def asked(n, seed):
    """Values of damping and stiffness, ``n x 2``, evenly over the space, and their points."""
    x = qmc.scale(qmc.Sobol(2, seed=seed).random(n), [0.1, 4.0], [1.0, 16.0])
    points = [Point(Candidate("parameters", {"damping": a, "stiffness": b}), "truth") for a, b in x.tolist()]
    return x, tuple(points)


class Lost:
    """An array that the store has lost."""

    shape = (64,)

    def read(self):
        raise OSError("no such artifact")


def labels(n, seed=1):
    x, points = asked(n, seed)
    rng = np.random.default_rng(seed)
    curves = np.array([displacement(*row) for row in x]) + NOISE * rng.normal(size=(n, 64))
    values = np.array([[period(*row)] for row in x]) + 0.01 * rng.normal(size=(n, 1))
    return Dataset(points, ("period",), values, (), {"displacement": tuple(map(HeldArray, curves))})


def twin(name="cvae", steps=20, reads=("displacement",), members=3):
    base = registry.surrogate(name)
    return replace(base, training=Training(members=members, steps=(steps, steps)), reads=reads)


@pytest.fixture(scope="module")
def problem(make_problem):
    space = Parameters(damping=Real(0.1, 1.0), stiffness=Real(4.0, 16.0))
    return make_problem(space, goal="learn", outputs=("period",), deterministic=False)


@pytest.fixture(scope="module")
def fitted(problem):
    return twin(steps=400, members=4).fit(problem, labels(64), seed=0)


def test_the_mean_curve_is_the_exact_solution(fitted):
    x, points = asked(32, seed=5)
    drawn = fitted.sample_arrays(points, 32, seed=1)["displacement"]
    assert drawn.shape == (4, 32, 32, 64)
    exact = np.array([displacement(*row) for row in x])
    missed = np.sqrt(np.mean((drawn.mean((0, 1)) - exact) ** 2, axis=1))
    assert np.median(missed) < NOISE
    assert np.sqrt(np.mean(missed**2)) < 0.1 * exact.std()


def test_labels_that_are_new_lie_in_the_intervals_of_the_draws(fitted):
    x, points = asked(32, seed=5)
    new = np.array([displacement(*row) for row in x]) + NOISE * np.random.default_rng(3).normal(size=(32, 64))
    drawn = fitted.sample_arrays(points, 32, seed=1)["displacement"].reshape(-1, 32, 64)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    assert np.mean((new > low) & (new < high)) == pytest.approx(0.9, abs=0.07)
    own = fitted.components["displacement"]
    numbers = fitted.sample_reduced(points, 32, seed=1)[..., 1:].reshape(-1, 32, own.count) * own.spread
    low, high = np.quantile(numbers, [0.05, 0.95], axis=0)
    scores = own.scores(new)
    assert np.mean((scores > low) & (scores < high)) == pytest.approx(0.9, abs=0.1)


def test_the_scalar_beside_it_is_still_learned(fitted):
    x, points = asked(32, seed=5)
    error = fitted.predict(points).mean[:, 0] - [period(*row) for row in x]
    assert np.sqrt(np.mean(error**2)) < 0.05  # of periods between 1.6 and 3.2


@pytest.mark.parametrize("name", NAMES)
def test_scalars_and_arrays_of_one_draw_belong_together(problem, name):
    data, rng = labels(32), np.random.default_rng(0)
    values = data.values + 0.5 * rng.normal(size=data.values.shape)
    arrays = tuple(HeldArray(np.array([[value, -2 * value], [3.0, 4.0]])) for value in values[:, 0])
    model = twin(name).fit(problem, replace(data, values=values, structures={"displacement": arrays}), seed=0)
    assert isinstance(model, DrawsArrays)
    some = data.points[:3]
    scalars = model.sample(some, 20, seed=4)
    drawn = model.sample_arrays(some, 20, seed=4)["displacement"]
    assert drawn.shape == (3, 20, 3, 2, 2)
    assert (model.arrays, model.reduced) == (("displacement",), 1)
    assert np.allclose(drawn[..., 1, :], [3.0, 4.0])
    assert np.allclose(drawn[..., 0, 1], -2 * drawn[..., 0, 0])
    reduced, own = model.sample_reduced(some, 20, seed=4), model.components["displacement"]
    assert np.array_equal(reduced[..., :1], scalars)
    assert np.allclose(reduced[..., 1] * own.spread, own.scores(drawn.reshape(-1, 2, 2)).reshape(3, 20, 3))
    alone = model.sample_arrays(some[1:2], 20, seed=4)["displacement"]
    assert np.allclose(alone[:, :, 0], drawn[:, :, 1]), "draws at a point are its own"


def test_noise_that_scalar_and_array_share_is_drawn_as_shared(problem):
    """The array is the noisy scalar, twice."""
    data, rng = labels(128), np.random.default_rng(0)
    values = data.values + 0.5 * rng.normal(size=data.values.shape)
    arrays = tuple(HeldArray(np.array([value, 2 * value])) for value in values[:, 0])
    model = twin(steps=200).fit(problem, replace(data, values=values, structures={"displacement": arrays}), seed=0)
    scalars = model.sample(data.points[:4], 200, seed=4)[..., 0]
    drawn = model.sample_arrays(data.points[:4], 200, seed=4)["displacement"][..., 1]
    within = [np.corrcoef(scalars[m, :, p], drawn[m, :, p])[0, 1] for m in range(3) for p in range(4)]
    assert np.mean(within) > 0.8


def test_without_the_option_nothing_is_read_and_nothing_changes(problem):
    data = labels(16)
    plain = registry.surrogate("cvae")
    plain = replace(plain, training=Training(members=3, steps=(20, 20)))
    with_arrays, without = plain.fit(problem, data, seed=0), plain.fit(problem, replace(data, structures={}), seed=0)
    drawn = with_arrays.sample(data.points, 3, seed=1)
    assert np.array_equal(drawn, without.sample(data.points, 3, seed=1))
    assert np.array_equal(drawn, with_arrays.sample_reduced(data.points, 3, seed=1))
    assert (with_arrays.arrays, with_arrays.sample_arrays(data.points, 3, seed=1)) == ((), {})


def test_arrays_that_cannot_be_learned_stop_no_training_and_are_told(problem):
    data = labels(32)
    arrays = list(data.structures["displacement"])
    arrays[0], arrays[1], arrays[2] = None, HeldArray(np.zeros(32)), HeldArray(np.full(64, np.nan))
    arrays[3] = Lost()
    # One more failed: it has no label, and of what is no label nothing is missed.
    data.values[4], arrays[4] = np.nan, None
    values = np.column_stack([data.values, np.arange(32) != 4])
    damaged = replace(data, outputs=("period", SUCCEEDS), values=values, structures={"displacement": tuple(arrays)})
    model = twin().fit(problem, damaged, seed=0)
    assert not model.fell_back
    assert model.hyperparameters()["components"]["displacement"]["labels"] == 27
    assert model.hyperparameters()["period"]["labels"] == 31
    assert model.message == (
        "displacement: 1 of 31 labels have the shape 32, most 64: a twin learns arrays of one shape, and these are "
        "left out; displacement: 1 of 31 labels have no array; displacement: 1 of 31 labels have an array that can't "
        "be read; displacement: 1 of 31 labels have an array that is empty or not finite, left out"
    )
    assert np.isfinite(model.sample_arrays(data.points, 2, seed=0)["displacement"]).all()


def test_a_twin_that_was_given_no_array_draws_scalars_alone(problem):
    data = replace(labels(16), structures={})
    model = twin().fit(problem, data, seed=0)
    assert model.arrays == ()
    assert model.message == "displacement: 16 of 16 labels have no array"
    assert np.isfinite(model.sample(data.points, 2, seed=0)).all()


@pytest.mark.parametrize("n", [1, 2, 4])
def test_very_few_labels_have_arrays_too(problem, n):
    data = labels(n)
    model = twin().fit(problem, data, seed=0)
    assert model.sample_arrays(data.points, 2, seed=0)["displacement"].shape == (3, 2, n, 64)


def test_a_twin_of_arrays_goes_on_from_an_earlier_version(problem, fitted):
    again = twin().fit(problem, labels(16), seed=0, previous=fitted)
    assert not again.fell_back
    assert again.hyperparameters()["components"]["displacement"]["labels"] == 16


@residual("stiff", balanced=True)
def stiff(situation):
    """Periods times the root of the stiffness are two pi, but for the damping."""
    return situation.outcomes["period"] * situation.conditions["stiffness"].sqrt() / (2 * np.pi) - 1


def test_laws_are_of_scalars_and_are_taught_beside_arrays(problem):
    data = labels(16)
    model = replace(twin(), residuals=(stiff,)).fit(problem, data, seed=0)
    assert not model.fell_back
    mean = model.predict(data.points[:2]).mean[:, 0]
    broken = model.violations([point.candidate for point in data.points[:2]], seed=0)["stiff"]
    assert broken.shape == (3, 2)
    signed = mean * [np.sqrt(p.candidate.data["stiffness"]) / (2 * np.pi) for p in data.points[:2]] - 1
    assert (np.abs(signed) <= broken.mean(0) + 1e-9).all(), "the mean's violation is no more than the members'"


def test_components_are_those_that_made_the_arrays():
    """Two patterns beside noise are found as two, and what is left is the noise, with its size."""
    rng = np.random.default_rng(0)
    patterns = np.linalg.qr(rng.normal(size=(60, 2)))[0].T
    arrays = 5 + rng.normal(size=(200, 2)) @ (np.array([[8.0], [3.0]]) * patterns) + 0.1 * rng.normal(size=(200, 60))
    found = Components.of(arrays.reshape(200, 6, 10))
    assert found.count == 2
    assert np.allclose(np.abs(np.sum(found.axes * patterns, 1)), 1, atol=0.01)
    assert found.kept == pytest.approx((64 + 9) / (64 + 9 + 60 * 0.01), abs=0.005)
    assert found.rests.std() == pytest.approx(0.1, rel=0.05)
    whole = found.arrays(found.scores(arrays.reshape(200, 6, 10)), np.zeros(200, dtype=int)) - found.arrays(
        np.zeros((1, 2)), np.zeros(1, dtype=int)
    )
    assert whole.shape == (200, 6, 10)


def test_arrays_without_noise_are_given_back():
    x = np.linspace(0, 1, 50)
    arrays = np.array([np.sin(2 * np.pi * (x + shift)) for shift in np.linspace(0, 1, 40)])
    found = Components.of(arrays)
    assert found.count == 2
    assert np.allclose(found.arrays(found.scores(arrays), np.zeros(40, dtype=int)), arrays)


def test_arrays_that_are_all_alike_need_no_component():
    found = Components.of(np.full((10, 7), 0.1))
    assert (found.count, found.kept) == (0, 1.0)
    assert np.allclose(found.arrays(np.zeros((3, 0)), np.zeros(3, dtype=int)), 0.1)


def test_there_are_never_more_components_than_are_documented():
    ramps = np.tril(np.ones((100, 100)))
    assert Components.of(ramps).count <= MOST == 16


def test_arrays_that_were_not_seen_are_scored_and_the_draws_of_one_are_kept(problem, fitted):
    """The first label has lost its array; of noise that is known the score is known: its deviation over root pi."""
    data = labels(16, seed=7)
    data = replace(data, structures={"displacement": (Lost(), *data.structures["displacement"][1:])})
    unseen = UnseenArrays.of(fitted, data, range(16), seed=2)
    scores = {(score.output, score.metric): (score.value, score.n) for score in unseen.scores}
    assert scores["displacement", "crps"] == (pytest.approx(NOISE / np.sqrt(np.pi), rel=0.5), 15)
    assert scores["displacement", "draws_coverage_90"] == (pytest.approx(0.9, abs=0.08), 15)
    assert unseen.row == 1
    drawn = fitted.sample_arrays(data.points[1:2], 16, seed=2)["displacement"]
    assert np.array_equal(unseen.drawn["displacement"], drawn[:, 0, 0])


def test_an_exam_keeps_arrays_with_the_evaluation_that_they_are_of(problem, fitted):
    data = labels(4, seed=7)
    exam = examined(fitted, problem, data, [11, 12, 13, 14], {11}, earlier=None, seed=0)
    assert (exam.pictured, exam.arrays["displacement"].shape) == (12, (4, 64))
    assert {score.output for score in exam.scores} == {"period", "displacement"}
    without = twin(reads=()).fit(problem, data, seed=0)
    exam = examined(without, problem, data, [11, 12, 13, 14], {11}, earlier=None, seed=0)
    assert (exam.pictured, dict(exam.arrays)) == (None, {})
