"""Acquisitions that read a twin's draws, against energy distances that are known."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import energy_distance

from tests.models.exact_twin import ExactTwin
from theoros.models import registry
from theoros.models.acquisition.distribution_distance import DistributionDistance, sliced_energy_distance
from theoros.models.acquisition.violation import Violation
from theoros.models.checks import check_acquisition
from theoros.models.data import Point
from theoros.models.objective import Objective

ONE = np.ones((1, 1))


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def learn(square, make_problem):
    return make_problem(square, goal="learn", outputs=("y", "z"), objectives=(Objective("y"), Objective("z")))


@pytest.fixture
def labels(learn, square, label):
    candidates = square.sample(20, np.random.default_rng(0))
    return label(learn, candidates, lambda d: d["x"], lambda d: d["y"])


def test_the_distance_is_scipys_for_two_members_of_one_output(rng):
    X, Y = rng.normal(size=3_000), rng.normal(0.7, 2.0, size=3_000)
    found = sliced_energy_distance(np.array([X, Y])[:, :, None, None], ONE)
    assert found[0] == pytest.approx(energy_distance(X, Y) ** 2, abs=0.01)


def test_the_distance_of_members_that_are_points_is_twice_their_mean_difference():
    draws = np.repeat(np.array([0.0, 1.0, 4.0])[:, None, None, None], 5, axis=1)
    assert sliced_energy_distance(draws, ONE)[0] == pytest.approx(2 * (1 + 4 + 3) / 3)


def test_members_that_agree_have_no_distance_in_the_mean_however_large_their_noise(rng):
    draws = 50.0 * rng.normal(size=(4, 16, 4_000, 1))
    found = sliced_energy_distance(draws, ONE)
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(4_000)


def test_slices_see_members_that_differ_in_a_correlation_alone(rng):
    base, other = rng.normal(size=(2, 2_000, 1, 2))
    turned = np.stack([other[..., 0], 0.9 * other[..., 0] + math.sqrt(1 - 0.81) * other[..., 1]], axis=-1)
    directions = rng.normal(size=(32, 2))
    assert sliced_energy_distance(np.array([base, turned]), directions)[0] > 0.02
    assert abs(sliced_energy_distance(np.array([base, other]), directions)[0]) < 0.01


def test_a_single_member_disagrees_with_nobody():
    assert sliced_energy_distance(np.zeros((1, 5, 3, 1)), ONE).tolist() == [0.0, 0.0, 0.0]


def test_it_asks_where_members_disagree_and_not_where_they_scatter(learn, labels, square, rng):
    twin = ExactTwin(offsets=(-0.3, 0.0, 0.3), noise=0.5, quiet=0.5)
    new = square.sample(60, rng)
    score = DistributionDistance(draws=200).scorer(learn, twin, labels, [], seed=1)(new)
    loud = np.array([c.data["x"] >= 0.5 for c in new])
    assert np.median(score[loud]) > 5 * np.median(score[~loud])


def test_more_noise_hides_the_same_disagreement(learn, labels, square, rng):
    new = square.sample(20, rng)
    clear, hidden = (
        DistributionDistance(draws=200)
        .scorer(learn, ExactTwin(offsets=(-0.3, 0.3), noise=noise), labels, [], seed=1)(new)
        .mean()
        for noise in (0.05, 1.0)
    )
    assert clear > 4 * hidden


def test_a_pending_point_settles_what_is_in_question_as_it_is_there(learn, labels, square, at, rng):
    twin = ExactTwin(offsets=(-0.3, 0.0, 0.3), noise=0.1, quiet=0.5)
    loud = [c for c in square.sample(60, rng) if c.data["x"] > 0.5]
    acquisition = DistributionDistance()
    before = acquisition.scorer(learn, twin, labels, [], seed=1)(loud[1:])
    after = acquisition.scorer(learn, twin, labels, at(learn, loud[:1]), seed=1)(loud[1:])
    assert (after < 0.1 * before).all()


class TwoQuestions(ExactTwin):
    """The members' offsets are of y on the left and of z on the right: two things to be found out."""

    def means(self, points):
        x = np.array([[p.candidate.data["x"], p.candidate.data["y"]] for p in points]).reshape(-1, 2)
        left = x[:, 0] < 0.5
        return np.array([np.stack([x[:, 0] + o * left, x[:, 1] + 0.8 * o * ~left], axis=-1) for o in self.offsets])


def test_a_batch_asks_both_questions_before_it_asks_one_twice(learn, labels, square, rng):
    pool = square.sample(40, rng)
    picks = DistributionDistance().batch(learn, TwoQuestions((-0.5, 0.5), 0.05), labels, [], pool, 2, seed=1)
    assert {pool[pick.place].data["x"] < 0.5 for pick in picks} == {True, False}


def test_the_contract_is_kept(learn, labels, square, rng):
    twin = ExactTwin(offsets=(-0.3, 0.1, 0.3), noise=0.1, quiet=0.5)
    assert check_acquisition(DistributionDistance(), learn, twin, labels, square.sample(12, rng)) == []


def test_it_needs_a_surrogate_that_draws_answers():
    with pytest.raises(ValueError, match="needs 'generative', which the surrogate 'gp' lacks"):
        registry.compatible("gp", "distribution_distance", "learn")


class Lawful(ExactTwin):
    """It breaks one law on the right, in tiny units, and another one below, in large ones."""

    def violations(self, candidates, *, seed):
        x = np.array([[c.data["x"], c.data["y"]] for c in candidates]).reshape(-1, 2)
        return {"energy": np.tile(1e-9 * (x[:, 0] > 0.8), (2, 1)), "momentum": np.tile(1e9 * (x[:, 1] < 0.2), (2, 1))}


def test_it_asks_where_any_law_is_broken_whatever_its_unit(learn, labels, square, rng):
    new = square.sample(200, rng)
    score = Violation().scorer(learn, Lawful((-0.3, 0.3)), labels, [], seed=1)(new)
    broken = np.array([c.data["x"] > 0.8 or c.data["y"] < 0.2 for c in new])
    both = np.array([c.data["x"] > 0.8 and c.data["y"] < 0.2 for c in new])
    assert score[broken].min() > 0
    assert score[~broken].max() == 0
    assert both[int(np.argmax(score))]


def test_a_law_that_holds_everywhere_asks_for_nothing(learn, labels, square, rng):
    class Perfect(ExactTwin):
        def violations(self, candidates, *, seed):
            return {"energy": np.zeros((2, len(candidates)))}

    assert (Violation().scorer(learn, Perfect((-0.3, 0.3)), labels, [], seed=1)(square.sample(9, rng)) == 0).all()


def test_a_model_that_was_taught_no_law_is_refused(learn, labels):
    with pytest.raises(ValueError, match=r"the surrogate 'exact_twin' was taught none\. Give it residuals, or use"):
        Violation().scorer(learn, ExactTwin((-0.3, 0.3)), labels, [], seed=1)


def test_violation_keeps_the_contract(learn, labels, square, rng):
    assert check_acquisition(Violation(), learn, Lawful((-0.3, 0.3)), labels, square.sample(12, rng)) == []


def test_it_asks_where_the_arrays_are_unknown_too(learn, labels, square, rng):
    """Members that agree on all scalars, and whose arrays differ where x is large."""

    @dataclass(frozen=True)
    class WithArrays(ExactTwin):
        arrays = ("film",)
        reduced = 2

        def sample_reduced(self, points, n, *, seed):
            scalars = self.sample(points, n, seed=seed)
            x = np.array([p.candidate.data["x"] for p in points])
            apart = np.array([0.0, 1.0])[:, None, None] * np.where(x >= 0.5, x, 0.0)
            numbers = np.broadcast_to(apart, scalars.shape[:3])
            return np.concatenate([scalars, np.stack([numbers, 0.0 * numbers], axis=-1)], axis=-1)

        def sample_arrays(self, points, n, *, seed):
            raise AssertionError("whole arrays are dear, and nobody looks at them")

    new = square.sample(60, rng)
    far = np.array([c.data["x"] >= 0.5 for c in new])
    pending = [Point(new[int(np.flatnonzero(far)[0])], "truth")]
    for asked in ([], pending):
        distance = DistributionDistance().scorer(learn, WithArrays((0.0, 0.0)), labels, asked, seed=1)(new)
        assert np.median(distance[~far]) < 0.1
        assert (np.median(distance[far]) > 0.4) == (not asked), "a pending label settles what members differ in"
    scalars = DistributionDistance().scorer(learn, ExactTwin((0.0, 0.0)), labels, [], seed=1)(new)
    assert scalars.max() < 0.1
