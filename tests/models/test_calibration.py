"""Scores of uncertainty against what is known analytically."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from theoros.models.calibration import coverage, miscalibration_area, observed_levels, scores

N = 20_000


@pytest.fixture
def draws():
    rng = np.random.default_rng(0)
    mean, std = rng.standard_normal(N), rng.uniform(0.5, 2, N)
    return mean, std, mean + std * rng.standard_normal(N)


def test_a_calibrated_gaussian_has_no_miscalibration_area(draws):
    found = scores(*draws)
    assert found["miscalibration_area"] < 0.01
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.015)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.01)


def test_halved_deviations_cover_as_the_normal_distribution_says(draws):
    mean, std, observed = draws
    expected = 2 * norm.cdf(norm.ppf(0.95) / 2) - 1  # 0.589
    assert coverage(mean, std / 2, observed, 0.9) == pytest.approx(expected, abs=0.01)


def test_the_area_of_a_wrong_scale_is_the_integral_of_the_curves_distance(draws):
    mean, std, observed = draws
    level = np.linspace(0, 1, 20_001)[1:-1]
    curve = 2 * norm.cdf(norm.ppf(0.5 + level / 2) / 3) - 1
    assert miscalibration_area(mean, std / 3, observed) == pytest.approx(np.mean(np.abs(curve - level)), abs=0.01)


def test_the_worst_possible_areas_are_one_half():
    mean, observed = np.zeros(50), np.ones(50)
    assert miscalibration_area(mean, np.full(50, 1e-9), observed) == pytest.approx(0.5)
    assert miscalibration_area(mean, np.full(50, 1e9), observed) == pytest.approx(0.5)


def test_likelihood_is_the_gaussian_density(draws):
    mean, std, observed = draws
    expected = np.mean(0.5 * np.log(2 * np.pi * std**2) + (observed - mean) ** 2 / (2 * std**2))
    assert scores(mean, std, observed)["nll"] == pytest.approx(expected)


def test_errors_of_known_residuals():
    found = scores([0.0, 0.0, 0.0, 0.0], [1.0] * 4, [3.0, -3.0, 1.0, 1.0])
    assert found["rmse"] == pytest.approx(np.sqrt(5))
    assert found["mae"] == pytest.approx(2)


@given(hnp.arrays(float, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_scores_of_anything_are_finite_and_in_range(table):
    found = scores(table[:, 0], np.abs(table[:, 1]), table[:, 2])
    assert 0 <= found["miscalibration_area"] <= 0.5 + 1e-9
    assert 0 <= found["coverage_50"] <= found["coverage_90"] <= 1
    assert found["rmse"] >= found["mae"] * (1 - 1e-9) - 1e-150  # squares of smaller errors underflow
    assert np.isfinite(found["nll"])


def test_rows_that_are_not_numbers_are_left_out():
    assert scores([0.0, np.nan], [1.0, 1.0], [1.0, 5.0])["rmse"] == 1.0
    assert scores([], [], []) == {}
    assert scores([np.nan], [1.0], [1.0]) == {}


def test_a_zero_deviation_is_no_infinite_score():
    assert np.isfinite(scores([0.0, 1.0], [0.0, 0.0], [0.0, 2.0])["nll"])


def test_the_curve_rises(draws):
    curve = observed_levels(*draws, np.linspace(0.01, 0.99, 50))
    assert (np.diff(curve) >= 0).all()


def test_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        scores([0.0, 1.0], [1.0], [1.0])
