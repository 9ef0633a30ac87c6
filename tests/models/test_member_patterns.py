"""Which candidates of a batch ask the same: by how the members of a twin differ at them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from theoros.models.acquisition.member_patterns import less_settled, one_after_another, unsettled

#: Whole numbers: some patterns are parallel, and a label at one settles the other altogether.
PATTERNS = st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=8)


def test_a_label_settles_what_members_differ_about_in_the_same_way():
    own = np.array([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [1.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
    assert unsettled(own, own[:1]).round(12).tolist() == [0, 0, 1, 1]


@given(PATTERNS, st.data())
def test_a_batch_takes_each_candidate_once_and_those_without_a_value_last(rows, data):
    own = np.array(rows, dtype=np.float64)
    numbers = st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0]), min_size=len(own), max_size=len(own))
    values = np.array(data.draw(numbers))
    picks = one_after_another(values, own, len(own))
    assert sorted(pick.place for pick in picks) == list(range(len(own)))
    valued = [bool(np.isfinite(values[pick.place])) for pick in picks]
    assert valued == sorted(valued, reverse=True)
    assert not any(np.isnan(pick.value) for pick in picks)


def test_what_has_no_value_gets_none_beside_a_pending_point_that_settles_it():
    own = np.array([[1.0, -1.0], [3.0, -3.0]])
    assert less_settled(np.array([-np.inf, 1.0]), own, own[:1]).round(12).tolist() == [-np.inf, 0]
