"""Constraints that are not linear, and parameters that count only sometimes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Categorical, Integer, Parameters, Real
from theoros.oracles.spaces.conditions import When
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.expressions import ExpressionConstraint, is_linear
from theoros.oracles.spaces.parse import space_from_dict

numbers = st.floats(-5, 5, allow_nan=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@given(numbers, numbers)
def test_an_expression_means_what_it_says(x, y):
    circle = ExpressionConstraint("sqrt(x**2 + y**2) <= 2")
    assert circle.satisfied({"x": x, "y": y}) == (math.hypot(x, y) <= 2 * (1 + 1e-9))
    assert circle.names == ("x", "y")
    ratio = ExpressionConstraint("x / (1 + abs(y)) >= -max(x, 0.5)")
    assert ratio.satisfied({"x": x, "y": y}) == (x / (1 + abs(y)) >= -max(x, 0.5) - 1e-9)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_rows_are_judged_as_one_by_one(rows):
    constraint = ExpressionConstraint("x * y <= log(x)")
    columns = {"x": np.array([x for x, _ in rows]), "y": np.array([y for _, y in rows])}
    assert constraint.satisfied_rows(columns).tolist() == [constraint.satisfied({"x": x, "y": y}) for x, y in rows]


def test_where_an_expression_has_no_value_it_does_not_hold():
    assert not ExpressionConstraint("log(x) <= 100").satisfied({"x": -1.0})
    assert not ExpressionConstraint("1 / x <= 100").satisfied({"x": 0.0})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x * y == 1", "not one comparison"),
        ("0 <= x * y <= 1", "not one comparison"),
        ("__import__('os').system('true') <= x * 1", "not arithmetic|no function"),
        ("x.real * y <= 1", "not arithmetic"),
        ("[x][0] * y <= 1", "not arithmetic"),
        ("eval(x) <= 1", "eval is no function"),
        ("max(x, y, 1) <= 2", "takes 2 arguments"),
        ("'a' * x * y <= 1", "not arithmetic"),
        ("(lambda: x)() <= 1", "not arithmetic"),
        ("x ** y <= " + "1 + " * 400 + "1", "more than 500"),
    ],
)
def test_nothing_but_arithmetic_is_understood(text, said):
    with pytest.raises(SpaceError, match=said):
        ExpressionConstraint(text)


def test_what_is_linear_stays_linear():
    assert is_linear("x + 2*y - z/3 <= 4")
    assert not any(is_linear(text) for text in ("x*y <= 1", "1/x <= 2", "x**2 <= 3", "sqrt(x) <= 1"))


def test_candidates_keep_constraints_of_both_kinds(rng):
    space = Parameters(x=Real(0, 1), y=Real(0, 1), n=Integer(0, 3), constraints=["x + y <= 1", "x * y * n >= 0.1"])
    drawn = space.sample(50, rng)
    assert len(drawn) == 50
    assert all(c.data["x"] + c.data["y"] <= 1 and c.data["x"] * c.data["y"] * c.data["n"] >= 0.0999 for c in drawn)
    with pytest.raises(InvalidCandidate, match=r"x \* y \* n >= 0.1"):
        space.candidate({"x": 0.1, "y": 0.1, "n": 3})
    assert space_from_dict(space.to_dict()) == space


def test_constraints_that_nothing_satisfies_are_refused():
    with pytest.raises(SpaceError, match=r"no random candidate satisfies x \* y >= 2"):
        Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x * y >= 2"])
    with pytest.raises(SpaceError, match="Did you mean 'y'"):
        Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x * yy <= 2"])


@pytest.fixture
def reactor():
    """A ligand has a load, and only one kind of it a second additive."""
    return Parameters(
        {
            "ligand": Categorical("none", "phosphine", "carbene"),
            "load": Real(0.5, 10.0),
            "additive": Categorical("no", "yes"),
            "grams": Real(1.0, 2.0),
            "heat": Real(20, 90),
        },
        conditions={
            "grams": When("additive", ("yes",)),
            "load": When("ligand", ("phosphine", "carbene")),
            "additive": When("ligand", ("carbene",)),
        },
    )


def test_what_does_not_count_makes_no_difference(reactor):
    bare = reactor.candidate({"ligand": "none", "heat": 50})
    assert bare == reactor.candidate({"ligand": "none", "heat": 50, "load": 7.0, "additive": "yes", "grams": 1.7})
    assert bare.data == {"additive": "no", "grams": 1.0, "heat": 50.0, "ligand": "none", "load": 0.5}
    assert reactor.candidate({"ligand": "phosphine", "heat": 50, "load": 2.0}).data["load"] == 2.0


def test_what_counts_has_to_be_said(reactor):
    with pytest.raises(InvalidCandidate, match="load"):
        reactor.candidate({"ligand": "phosphine", "heat": 50})
    with pytest.raises(InvalidCandidate, match="outside"):
        reactor.candidate({"ligand": "phosphine", "heat": 50, "load": 20})


def test_candidates_are_drawn_in_their_one_form(reactor, rng):
    drawn = reactor.sample(200, rng)
    assert len({c.hash for c in drawn}) == 200
    for candidate in drawn:
        reactor.check(candidate)
    assert {c.data["load"] for c in drawn if c.data["ligand"] == "none"} == {0.5}
    assert space_from_dict(reactor.to_dict()) == reactor


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"ligan": "A"}, "no parameter"),
        ({"heat": 3}, "no choices"),
        ({"ligand": "C"}, "not one of A, B"),
        ({"ligand": []}, "names no value"),
        ({"ligand": "A", "base": "x"}, "one parameter"),
        ({"load": "low"}, "no choices"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(when, said):
    declared = {
        "ligand": {"categorical": ["A", "B"]},
        "base": {"categorical": ["x", "y"]},
        "heat": {"real": [0, 1]},
        "load": {"real": [0, 1], "when": when},
    }
    with pytest.raises(SpaceError, match=said):
        space_from_dict({"parameters": declared})


def test_a_circle_of_conditions_is_refused():
    with pytest.raises(SpaceError, match="depends on itself"):
        Parameters(
            {"a": Categorical(1, 2), "b": Categorical(1, 2)}, conditions={"a": When("b", (1,)), "b": When("a", (1,))}
        )
