"""How wide predictions are told, after what earlier ones taught."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from theoros.models.forecast import Forecast
from theoros.models.widening import FIRST, HEAVIEST, LEVELS, Widening, Widths

errors = st.lists(st.floats(-1e3, 1e3), max_size=30)


def inside(drawn: np.ndarray, level: float) -> float:
    """The share of labels within the intervals that are told of them, one after another."""
    known, hits = Widening(), []
    for error in drawn:
        low, high = known.told("y", 0.0, 1.0).interval(level)
        hits.append(low <= error <= high)
        known = known.checked([("y", *known.told("y", 0.0, 1.0)[:2], float(error))])
    return float(np.mean(hits))


def test_a_forecast_has_the_intervals_of_its_distribution():
    assert Forecast(1.0, 2.0).interval(0.9) == pytest.approx((1 - 2 * 1.6448536, 1 + 2 * 1.6448536))
    assert Forecast(0.0, 1.0, tail=1.0).interval(0.5) == pytest.approx((-1, 1))  # Cauchy's quartiles


def test_before_the_first_check_both_intervals_are_somewhat_wider_than_the_model_would_have_them():
    told = Widening().told("y", 5.0, 2.0)
    for level, first in zip(LEVELS, FIRST, strict=True):
        half = first * 2.0 * norm.ppf(0.5 + level / 2)
        assert told.interval(level) == pytest.approx((5 - half, 5 + half), rel=1e-3)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "errors_of",
    [
        pytest.param(lambda rng: rng.standard_normal(400), id="as the model says"),
        pytest.param(lambda rng: 5 * rng.standard_normal(400), id="five times as large"),
        pytest.param(lambda rng: 0.2 * rng.standard_normal(400), id="a fifth"),
        pytest.param(lambda rng: 2 * rng.standard_t(1.5, 400), id="heavy tails"),
        pytest.param(lambda rng: np.geomspace(2, 0.5, 400) * rng.standard_normal(400), id="ever smaller"),
        pytest.param(lambda rng: 0.5 + rng.standard_normal(400), id="rather too low"),
    ],
)
def test_intervals_come_to_hold_what_they_say_whatever_the_errors(errors_of, level):
    shares = [inside(errors_of(np.random.default_rng(seed)), level) for seed in range(4)]
    assert np.mean(shares) == pytest.approx(level, abs=0.03)


def test_tails_of_normal_errors_become_light_and_those_of_others_stay_heavy():
    rng = np.random.default_rng(1)
    assert Widening().learned("y", rng.standard_normal(2000)).shape("y").tail > 8
    assert Widening().learned("y", rng.standard_t(1.5, 2000)).shape("y").tail < 3


@given(errors)
def test_whatever_comes_a_distribution_is_told(own):
    factor, tail = Widening().learned("y", own).shape("y")
    assert 0 < factor < math.inf
    assert tail >= HEAVIEST


@given(errors, errors)
def test_it_does_not_matter_in_how_many_pieces_errors_come(first, second):
    assert Widening().learned("y", first).learned("y", second) == Widening().learned("y", first + second)


def test_one_absurd_label_widens_no_more_than_any_other_outside():
    calm = Widening().learned("y", [0.5] * 20)
    assert calm.learned("y", [1e9]) == calm.learned("y", [10.0])
    assert calm.learned("y", [1e9]).shape("y").factor < 1.5 * calm.shape("y").factor


@pytest.mark.parametrize("ratio", [3.0, 4.0, 6.0])
def test_what_is_told_has_both_half_widths(ratio):
    told = Widening({"y": Widths(7, 0.8, 0.8 * ratio)}).told("y", 0.0, 1.0)
    assert student.ppf(0.75, told.tail) * told.std == pytest.approx(0.8, rel=1e-3)
    assert student.ppf(0.95, told.tail) * told.std == pytest.approx(0.8 * ratio, rel=1e-3)


def test_lighter_tails_than_normal_are_told_as_normal():
    assert Widening({"y": Widths(7, 1.0, 1.5)}).shape("y").tail == math.inf


def test_outputs_are_apart_and_a_record_brings_everything_back():
    known = Widening().learned("y", [9.0, -8.0]).learned("z", [0.1])
    assert known.shape("y").factor > Widening().shape("y").factor > known.shape("z").factor
    assert Widening.recorded(json.loads(json.dumps(known.record()))) == known
    assert Widening.recorded(None) == Widening()


def test_a_record_of_another_kind_teaches_nothing():
    assert Widening.recorded({"y": {"factor": 1.4, "checks": 9, "squares": 20.0}}) == Widening()
