"""Linear constraints read as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.spaces import LinearConstraint, SpaceError


@pytest.mark.parametrize(
    ("text", "coefficients", "op", "bound"),
    [
        ("x <= 1", {"x": 1}, "<=", 1),
        ("x + 2*y <= 3", {"x": 1, "y": 2}, "<=", 3),
        ("x+y+z==1", {"x": 1, "y": 1, "z": 1}, "==", 1),
        ("2*x - 3 >= y / 4", {"x": 2, "y": -0.25}, ">=", 3),
        ("-x + 1e-3*y <= -2.5", {"x": -1, "y": 1e-3}, "<=", -2.5),
        ("2 * 3 * x <= 6", {"x": 6}, "<=", 6),
        ("x + x <= 1", {"x": 2}, "<=", 1),
        ("1 <= x", {"x": -1}, "<=", -1),
        ("x - -y <= 1", {"x": 1, "y": 1}, "<=", 1),
        ("länge_1 <= 1", {"länge_1": 1}, "<=", 1),
    ],
)
def test_text_reads_as_mathematics(text, coefficients, op, bound):
    constraint = LinearConstraint.parse(text)
    assert (constraint.coefficients, constraint.op, constraint.bound) == (coefficients, op, bound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x < 1", "Write '<='"),
        ("x = 1", "Write '=='"),
        ("x*y <= 1", "not linear"),
        ("1/x <= 1", "linear"),
        ("x/0 <= 1", "zero"),
        ("(x + y) <= 1", "parentheses"),
        ("0 <= x <= 1", "two constraints"),
        ("x + <= 1", "number or a parameter"),
        ("x + y", "operator"),
        ("x y <= 1", "operator"),
        ("x - x <= 1", "no parameter is left"),
        ("", "number or a parameter"),
        ("x & y <= 1", "no meaning"),
        ("f(x) <= 1", "operator is needed"),
        ("x ** 2 <= 1", "number or a parameter"),
    ],
)
def test_what_is_not_linear_is_refused_with_a_mend(text, said):
    with pytest.raises(SpaceError, match=said.replace("(", r"\(")):
        LinearConstraint.parse(text)


numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(
    st.dictionaries(st.sampled_from("abcxyz"), numbers.filter(bool), min_size=1),
    st.sampled_from(["<=", ">=", "=="]),
    numbers,
)
def test_what_a_constraint_writes_reads_as_itself(coefficients, op, bound):
    constraint = LinearConstraint(coefficients, op, bound)
    assert LinearConstraint.parse(str(constraint)) == constraint


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_constraint_holds_where_its_mathematics_does(x, y):
    excess = x + 2 * y - 3
    if abs(excess) > 1e-6:
        assert LinearConstraint.parse("x + 2*y <= 3").satisfied({"x": x, "y": y}) == (excess < 0)
        assert LinearConstraint.parse("x + 2*y >= 3").satisfied({"x": x, "y": y}) == (excess > 0)
    assert LinearConstraint.parse("x + 2*y == 3").satisfied({"x": x, "y": (3 - x) / 2})


def test_names_that_text_can_not_hold_are_kept_as_data():
    constraint = LinearConstraint({"flow rate": 1.0}, "<=", 2.0)
    assert constraint.to_dict() == {"coefficients": {"flow rate": 1.0}, "op": "<=", "bound": 2.0}
