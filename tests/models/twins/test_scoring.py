"""Scores of twins, against closed forms and against what is known of exact forecasts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import energy_distance, norm

from tests.models.exact_twin import ExactTwin
from theoros.models.data import Point
from theoros.models.twins.scoring import crps, energy_score, examine, gaussian_crps, own_crps, pooled, ratio
from theoros.models.twins.scoring_calibration import (
    LEAST_IN_BIN,
    central_coverage,
    coverage_by_bin,
    equal_bins,
    pit,
    uniformity,
    worst_bin,
)
from theoros.models.twins.scoring_process import Drift, Residuals, measure_speed, noise_ratio
from theoros.models.twins.scoring_two_samples import classifier_two_sample, maximum_mean_discrepancy


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_crps_of_draws_approaches_the_closed_form_of_a_normal_distribution(rng):
    mean, std, observed = rng.normal(size=(40, 2)), rng.uniform(0.2, 3, (40, 2)), 2 * rng.normal(size=(40, 2))
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None, None]
    assert np.allclose(crps(mean + std * quantiles, observed), gaussian_crps(mean, std, observed), atol=3e-4)


def test_crps_of_a_certain_forecast_is_its_error():
    assert crps(np.full((2, 1, 1), 3.0), [[5.0]]) == pytest.approx(2.0)


def test_crps_is_its_definition_by_all_pairs(rng):
    draws, observed = rng.normal(size=(7, 3, 2)), rng.normal(size=(3, 2))
    pairs = np.abs(draws[:, None] - draws[None]).sum((0, 1)) / (7 * 6)
    assert np.allclose(crps(draws, observed), np.abs(draws - observed).mean(0) - pairs / 2)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(-100, 100), st.floats(-50, 50))
def test_crps_of_draws_moved_with_their_observation_stays(values, observed, by):
    draws = np.array(values)[:, None, None]
    assert crps(draws + by, [[observed + by]])[0, 0] == pytest.approx(crps(draws, [[observed]])[0, 0], abs=1e-9)


def test_few_draws_expect_the_score_of_many(rng):
    """The fair estimator: three draws of the truth score sigma / sqrt(pi) on average, as infinitely many would."""
    found = crps(rng.normal(size=(3, 200_000, 1)), rng.normal(size=(200_000, 1)))
    assert found.mean() == pytest.approx(1 / math.sqrt(math.pi), abs=0.005)


def test_no_forecast_scores_better_than_the_truth(rng):
    observed = rng.normal(size=(4_000, 1))
    truth = gaussian_crps(0.0, 1.0, observed).mean()
    for mean, std in ((0.3, 1.0), (0.0, 0.6), (0.0, 1.6)):
        assert gaussian_crps(mean, std, observed).mean() > truth + 0.01


def test_energy_score_of_one_output_is_its_crps(rng):
    draws, observed = rng.normal(size=(9, 5, 1)), rng.normal(size=(5, 1))
    assert np.allclose(energy_score(draws, observed), crps(draws, observed)[:, 0])
    assert np.allclose(energy_score(draws, observed, 4.0), crps(draws, observed)[:, 0] / 4)


def test_energy_score_sees_a_correlation_that_crps_can_not(rng):
    n = 3_000
    common = rng.normal(size=(2, n, 1))
    observed = np.concatenate([common[0]] * 2, axis=-1)
    right = np.repeat(rng.normal(size=(40, n, 1)), 2, axis=-1)
    wrong = rng.normal(size=(40, n, 2))
    assert crps(right, observed).mean() == pytest.approx(crps(wrong, observed).mean(), rel=0.02)
    assert energy_score(right, observed).mean() < 0.97 * energy_score(wrong, observed).mean()


def test_excess_of_the_score_is_half_the_energy_distance(rng):
    """Mean CRPS less the truth's own is E|X-Y| - E|X-X'|/2 - E|Y-Y'|/2, half the square of SciPy's distance."""
    X, Y = rng.normal(0.5, 1.4, 800), rng.normal(size=800)
    mine, own = (crps(np.broadcast_to(sample[:, None, None], (800, 800, 1)), Y[:, None]).mean() for sample in (X, Y))
    assert mine - own == pytest.approx(energy_distance(X, Y) ** 2 / 2, abs=2e-3)


def test_a_missing_observation_has_no_score_and_spoils_no_other(rng):
    draws, observed = rng.normal(size=(50, 3, 2)), rng.normal(size=(3, 2))
    observed[1, 0] = np.nan
    found = crps(draws, observed)
    assert np.isnan(found).tolist() == [[False, False], [True, False], [False, False]]
    assert ratio(found, found).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("draws", "observed", "message"),
    [
        ((4, 3, 2), (3, 1), r"draws have the shape \(4, 3, 2\) and observations \(3, 1\): S x p x m and p x m fit"),
        ((1, 3, 2), (3, 2), "one draw tells nothing of a distribution; draw two or more"),
    ],
)
def test_what_does_not_fit_is_refused(draws, observed, message):
    with pytest.raises(ValueError, match=message):
        crps(np.zeros(draws), np.zeros(observed))


def test_the_transform_of_the_truth_is_uniform_and_that_of_a_shifted_forecast_is_not(rng):
    draws, observed = rng.normal(size=(200, 2_000)), rng.normal(size=2_000)
    assert uniformity(pit(draws, observed)) > 0.01
    assert uniformity(pit(draws + 0.3, observed)) < 1e-6
    assert central_coverage(pit(draws, observed), 0.9) == pytest.approx(0.9, abs=0.02)
    assert central_coverage(pit(0.5 * draws, observed), 0.9) == pytest.approx(
        2 * norm.cdf(0.5 * norm.ppf(0.95)) - 1, abs=0.03
    )


def test_an_observation_among_its_equals_lies_in_their_middle():
    assert pit(np.zeros((9, 1)), np.zeros(1)).tolist() == [0.5]
    assert np.isnan(pit(np.zeros((9, 1)), np.array([np.nan]))).all()
    assert math.isnan(central_coverage([np.nan], 0.9))
    assert math.isnan(uniformity([]))


def test_bins_tell_where_intervals_are_too_narrow(rng):
    x, observed = rng.uniform(0, 2, 4_000), rng.normal(size=4_000)
    draws = rng.normal(size=(200, 4_000)) * np.where(x < 1, 1.0, 0.5)
    honest, narrow = coverage_by_bin(pit(draws, observed), x, [0, 1, 2], levels=(0.9,))
    assert abs(honest.coverage[0] - 0.9) < 4 * honest.error[0]
    assert narrow.coverage[0] < 0.9 - 10 * narrow.error[0]
    assert honest.n + narrow.n == 4_000


def test_every_observation_is_in_one_bin_and_the_largest_too():
    x = np.array([0.0, 0.5, 1.0, 2.0, 2.0])
    found = coverage_by_bin(np.full(5, 0.5), x, [0.0, 1.0, 2.0])
    assert [b.n for b in found] == [2, 3]
    assert coverage_by_bin(np.full(5, 0.5), x, [5.0, 6.0]) == []


def test_bins_hold_about_the_same_number():
    assert equal_bins(np.arange(101.0), 4).tolist() == [0, 25, 50, 75, 100]
    assert equal_bins([1.0, 1.0, 1.0], 4).tolist() == [1.0]
    assert equal_bins([], 4).tolist() == []


def test_noise_is_told_from_the_members_disagreement(rng):
    members = np.array([-5.0, 0.0, 5.0])[:, None, None, None]
    samples = members + 0.3 * rng.normal(size=(3, 400, 50, 1))
    assert noise_ratio(samples, np.full((50, 1), 0.3)) == pytest.approx(1.0, abs=0.01)
    assert noise_ratio(samples, [0.6]) == pytest.approx(0.5, abs=0.01)


def test_residuals_are_summarised():
    found = Residuals.of([[3.0, -4.0], [np.nan, 1.0]])
    assert (found.bias, found.rms) == (0.0, pytest.approx(math.sqrt(26 / 3)))
    assert found.p99 == pytest.approx(3.98)
    assert math.isnan(Residuals.of([]).rms)


def test_a_leak_is_a_drift_and_a_jitter_is_none():
    steps = np.arange(51)
    leak = Drift.of(np.tile(10.0 * (1 - 1e-4 * steps), (3, 1)))
    assert leak.largest == pytest.approx(5e-3)
    assert leak.final == pytest.approx(5e-3)
    assert leak.per_step == pytest.approx(-1e-4)
    jitter = Drift.of(10.0 + 0.01 * np.array([[0, 1, -1, 1, -1, 0], [0, -1, 1, -1, 1, 0]]))
    assert (jitter.final, jitter.per_step) == (0.0, 0.0)
    assert jitter.largest == pytest.approx(1e-3)
    with pytest.raises(ValueError, match=r"a roll-out is runs x steps, of two steps or more, and the quantity is \(3,"):
        Drift.of(np.ones(3))


def test_speed_is_counted_for_each_answer():
    def work(n):
        return sum(i * i for i in range(200 * n))

    found = measure_speed("loop", lambda k: work(100), lambda n: work(10 * n), batch=10, simulations=5)
    assert found.simulator == "loop"
    assert 3 < found.one_by_one < 30
    assert 3 < found.batched < 30


def test_two_samples_of_one_distribution_are_not_told_apart(rng):
    X, Y = rng.normal(size=(600, 3)) * [1, 100, 1e-3], rng.normal(size=(500, 3)) * [1, 100, 1e-3]
    discrepancy = maximum_mean_discrepancy(X, Y, rng)
    assert discrepancy.p_value > 0.01
    assert abs(discrepancy.statistic) < 0.005
    guess = classifier_two_sample(X, Y, seed=0)
    assert guess.statistic == pytest.approx(0.5, abs=0.06)
    assert guess.p_value > 0.01


def test_two_samples_that_differ_in_a_correlation_are_told_apart(rng):
    X, Y = rng.normal(size=(600, 2)), rng.normal(size=(600, 2))
    Y[:, 1] = 0.8 * Y[:, 0] + 0.6 * Y[:, 1]
    assert maximum_mean_discrepancy(X, Y, rng).p_value < 0.01
    assert classifier_two_sample(X, Y, seed=0).statistic > 0.6


def test_the_discrepancy_is_its_definition_by_all_pairs(rng):
    X, Y = rng.normal(size=(12, 2)), rng.normal(0.5, 1, size=(15, 2))
    unit = np.concatenate([X, Y]).std(0)
    both = np.concatenate([X, Y]) / unit
    squares = ((both[:, None] - both[None]) ** 2).sum(-1)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(27, 1)]))
    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel[:12, :12], kernel[12:, 12:])]
    expected = sum(own) - 2 * kernel[:12, 12:].mean()
    assert maximum_mean_discrepancy(X, Y, rng, permutations=1).statistic == pytest.approx(expected)


def test_samples_that_can_not_be_compared_are_refused(rng):
    with pytest.raises(ValueError, match=r"samples of shapes \(20, 2\) and \(20, 3\) can't be compared"):
        maximum_mean_discrepancy(np.zeros((20, 2)), np.zeros((20, 3)), rng)


def test_a_twin_that_is_the_process_scores_as_the_process(square, rng):
    points = [Point(candidate, "truth") for candidate in square.sample(1_500, rng)]
    twin = ExactTwin(offsets=(0.0, 0.0), noise=0.2)
    observed, *replicates = (twin.answers(points, rng) for _ in range(40))
    found = examine(twin, points, observed, replicates=np.array(replicates), draws=200, seed=1)
    assert found.crps_ratio == pytest.approx([1.0, 1.0], abs=0.03)
    assert found.energy_ratio == pytest.approx(1.0, abs=0.03)
    assert found.noise_ratio == pytest.approx([1.0, 1.0], abs=0.03)
    told = found.figures()["y"]
    assert told["crps"] == pytest.approx(0.2 / math.sqrt(math.pi), rel=0.06)
    assert told["coverage_90"] == pytest.approx(0.9, abs=0.03)


def test_members_that_disagree_are_less_sure_and_score_worse(square, rng):
    points = [Point(candidate, "truth") for candidate in square.sample(400, rng)]
    observed = ExactTwin(offsets=(0.0,), noise=0.2).answers(points, rng)
    found = examine(ExactTwin(offsets=(-1.0, 1.0), noise=0.2), points, observed, seed=1)
    assert found.figures()["y"]["coverage_50"] == 1.0
    assert np.isnan(found.crps_ratio).all()
    assert found.crps.mean() > 2 * 0.2 / math.sqrt(math.pi)
    assert pooled(np.zeros((2, 3, 4, 5))).shape == (6, 4, 5)


def test_a_normal_process_expects_its_deviation_over_the_root_of_pi_of_itself():
    draws = np.random.default_rng(0).normal(3.0, [[1.0, 2.0]], size=(4000, 1, 2))
    assert own_crps(draws)[0] == pytest.approx(np.array([1.0, 2.0]) / math.sqrt(math.pi), rel=0.03)
    few = np.random.default_rng(1).normal(size=(2, 100_000))
    assert own_crps(few).mean() == pytest.approx(1 / math.sqrt(math.pi), rel=0.02), "without bias"


def test_the_worst_bin_is_found_on_whichever_input_it_lies():
    rng = np.random.default_rng(0)
    inputs, pits = rng.random((400, 3)), rng.random(400)
    pits[inputs[:, 1] > 0.75] = 0.99
    place, p = worst_bin(pits, inputs, 0.9)
    assert (place.low, place.high) == pytest.approx((0.75, 1.0), abs=0.05)
    assert place.coverage[0] < 0.2
    assert p < 1e-10


def test_honest_intervals_are_seldom_said_to_be_dishonest_in_their_worst_bin():
    rng = np.random.default_rng(1)
    found = [worst_bin(rng.random(160), rng.random((160, 2)), 0.9)[1] for _ in range(200)]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_a_worst_bin_takes_inputs_that_can_be_parted_and_labels_enough():
    pits, inputs = np.full(2 * LEAST_IN_BIN, 0.5), np.linspace(0, 1, 2 * LEAST_IN_BIN)
    assert worst_bin(pits, inputs[:, None], 0.9)[0].n == LEAST_IN_BIN
    assert worst_bin(pits[1:], inputs[1:, None], 0.9) is None
    assert worst_bin(np.append(pits[1:], np.nan), inputs[:, None], 0.9) is None
    assert worst_bin(pits, np.ones((len(pits), 2)), 0.9) is None
    assert worst_bin(pits, np.empty((len(pits), 0)), 0.9) is None
