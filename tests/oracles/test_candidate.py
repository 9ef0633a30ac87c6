"""A candidate's hash depends on what it is, and on nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.candidate import Candidate, canonical_value

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_candidate_that_went_through_json_is_the_same(data):
    candidate = Candidate("parameters", data)
    assert Candidate("parameters", json.loads(json.dumps(candidate.data))) == candidate


@given(st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-6))
def test_rounding_in_the_last_digits_does_not_make_another_candidate(x):
    assert Candidate("parameters", {"x": x * (1 + 1e-16)}) == Candidate("parameters", {"x": x})


def test_the_order_of_names_does_not_matter():
    assert Candidate("parameters", {"a": 1, "b": 2}) == Candidate("parameters", {"b": 2, "a": 1})


def test_kind_and_value_tell_candidates_apart():
    assert Candidate("parameters", {"smiles": "C"}) != Candidate("molecule", {"smiles": "C"})
    assert Candidate("parameters", {"x": 1.0}) != Candidate("parameters", {"x": 1.0000001})


def test_minus_zero_is_zero():
    assert Candidate("parameters", {"x": -0.0}) == Candidate("parameters", {"x": 0.0})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_can_not_hold_is_refused(value):
    with pytest.raises(ValueError):
        Candidate("parameters", {"x": value})


def test_numpy_values_become_plain_ones():
    assert canonical_value({"a": np.float32(0.5), "b": np.arange(2), "c": np.bool_(True)}) == {
        "a": 0.5, "b": [0, 1], "c": True
    }  # fmt: skip
