"""How much wider predictions are told than a model would have them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models.widening import FARTHEST, PRIOR, Widening

errors = st.lists(st.floats(-1e3, 1e3), max_size=30)


def test_nothing_is_widened_before_the_first_check():
    assert Widening().factor("y") == 1.0


@given(errors)
def test_the_factor_is_the_root_of_the_posterior_mean_of_the_variance(own):
    squares = sum(min(e * e, FARTHEST**2) for e in own)
    assert Widening().learned("y", own).factor("y") == pytest.approx(((PRIOR + squares) / (PRIOR + len(own))) ** 0.5)


@given(errors, errors)
def test_it_does_not_matter_in_how_many_pieces_errors_come(first, second):
    pieces, whole = Widening().learned("y", first).learned("y", second), Widening().learned("y", first + second)
    assert pieces.factor("y") == pytest.approx(whole.factor("y"))


def test_it_finds_how_much_too_narrow_intervals_are():
    rng = np.random.default_rng(0)
    known = Widening()
    for _ in range(100):  # a model whose errors are three times as large as it says
        std = 0.1 * known.factor("y")
        known = known.told([("y", 0.0, std, 0.3 * rng.standard_normal())])
    assert known.factor("y") == pytest.approx(3, rel=0.2)


def test_one_absurd_label_widens_little():
    assert Widening().learned("y", [0.5] * 20 + [1e9]).factor("y") < 1.2


def test_outputs_are_apart_and_a_record_brings_everything_back():
    known = Widening().learned("y", [3.0, -2.0]).learned("z", [0.1])
    assert known.factor("y") > 1 > known.factor("z")
    assert Widening.recorded(json.loads(json.dumps(known.record()))) == known
    assert Widening.recorded(None) == Widening()
