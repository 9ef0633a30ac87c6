"""Spaces of named parameters: what they accept, refuse and draw."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Categorical, Integer, LinearConstraint, Ordinal, Parameters, Real, SpaceError

REACTOR = Parameters(
    temperature=Real(20, 120, unit="degC"),
    pressure=Real(1e-3, 10, log=True, unit="bar"),
    stages=Integer(1, 5),
    base=Categorical("K2CO3", "Cs2CO3"),
    size=Ordinal("small", "medium", "large"),
)
GOOD = {"temperature": 50, "pressure": 1.0, "stages": 3, "base": "K2CO3", "size": "large"}


def test_a_candidate_is_canonical_whatever_its_numbers_types():
    assert REACTOR.candidate(GOOD) == REACTOR.candidate(
        {"stages": 3.0, "temperature": np.float64(50), "pressure": 1, "base": np.str_("K2CO3"), "size": "large"}
    )
    data = REACTOR.candidate(GOOD).data
    assert isinstance(data["temperature"], float)
    assert isinstance(data["stages"], int)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 121}, r"'temperature'.*121 is outside \[20, 120\] degC"),
        ({"temperature": float("nan")}, "not a finite number"),
        ({"temperature": "hot"}, "not a finite number"),
        ({"temperature": True}, "not a finite number"),
        ({"stages": 2.5}, "not a whole number"),
        ({"stages": 6}, r"6 is outside 1\.\.5"),
        ({"base": "K2CO"}, "Did you mean 'K2CO3'"),
        ({"solvent": "water"}, "there is no parameter 'solvent'"),
    ],
)
def test_a_refusal_names_the_parameter_the_value_and_what_is_allowed(change, said):
    with pytest.raises(InvalidCandidate, match=said):
        REACTOR.candidate(GOOD | change)


def test_a_missing_value_is_refused():
    with pytest.raises(InvalidCandidate, match="lacks a value for \\['base'\\]"):
        REACTOR.candidate({name: value for name, value in GOOD.items() if name != "base"})


def test_rounding_beyond_a_bound_is_clipped():
    assert REACTOR.candidate(GOOD | {"temperature": 120 + 1e-8}).data["temperature"] == 120.0


def test_true_and_one_are_different_choices():
    flags = Parameters(on=Categorical(True, False))
    with pytest.raises(InvalidCandidate):
        flags.candidate({"on": 1})


def test_check_refuses_other_kinds_and_forms():
    with pytest.raises(InvalidCandidate, match="kind"):
        REACTOR.check(Candidate("molecule", {"smiles": "C"}))
    with pytest.raises(InvalidCandidate, match="canonical"):
        REACTOR.check(Candidate("parameters", GOOD | {"temperature": 120 + 1e-8}))


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Real(1.2, 0.8), "low 1.2 is not below high 0.8"),
        (lambda: Real(0, 1, log=True), "no logarithm"),
        (lambda: Real(0, float("inf")), "not a finite number"),
        (lambda: Real(0, 1, step=2), "does not fit"),
        (lambda: Real(1, 2, log=True, step=0.1), "exclude each other"),
        (lambda: Integer(0.5, 2), "not whole"),
        (lambda: Categorical("a"), "no choice"),
        (lambda: Categorical("a", "b", "a"), "occurs twice"),
        (lambda: Categorical("a", None), "can't be a choice"),
        (lambda: Parameters(), "there are none"),
        (lambda: Parameters(x=3), "is no parameter"),
        (lambda: Parameters(constraints=Real(0, 1)), "reserved"),
        (lambda: Parameters({"constraints": Real(0, 1)}), "reserved"),
        (lambda: Parameters(x=Real(0, 1), constraints=["X <= 1"]), "'X' is no parameter.*'x'"),
        (lambda: Parameters(x=Categorical("a", "b"), constraints=["x <= 1"]), "not numeric"),
        (
            lambda: Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x + y >= 3"]),
            "no candidate satisfies x \\+ y >= 3",
        ),
        (lambda: Parameters(n=Integer(0, 5), constraints=["2*n == 3"]), "no candidate satisfies"),
        (lambda: Parameters(x=Real(0, 1, step=0.5), constraints=["x == 0.25"]), "no candidate satisfies"),
    ],
)
def test_an_impossible_declaration_is_refused(declare, said):
    with pytest.raises(SpaceError, match=said):
        declare()


def test_parameters_are_in_the_order_of_their_names_whatever_order_they_came_in():
    one = Parameters(b=Real(0, 1), a=Real(0, 1))
    assert list(one.parameters) == ["a", "b"]
    assert one == Parameters({"a": Real(0, 1), "b": Real(0, 1)})
    assert hash(one) == hash(Parameters({"a": Real(0, 1), "b": Real(0, 1)}))


def test_a_space_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(REACTOR)) == REACTOR


def test_cardinality_counts_combinations():
    assert Parameters(n=Integer(1, 5), c=Categorical("a", "b"), x=Real(0, 1, step=0.25)).cardinality == 50
    assert REACTOR.cardinality is None


def test_a_stepped_parameter_has_only_its_settings():
    dial = Real(0, 1, step=0.1)
    assert dial.cardinality == 11
    space = Parameters(x=dial)
    assert {c.data["x"] for c in space.sample(11, np.random.default_rng(0))} == {round(0.1 * i, 10) for i in range(11)}
    assert space.candidate({"x": 0.34}).data["x"] == pytest.approx(0.3)


def column(space: Parameters, name: str, n: int = 2000, seed: int = 0) -> np.ndarray:
    return np.array([candidate.data[name] for candidate in space.sample(n, np.random.default_rng(seed))])


def test_reals_are_drawn_uniformly_and_logarithmically():
    assert stats.kstest((column(REACTOR, "temperature") - 20) / 100, "uniform").pvalue > 1e-3
    assert stats.kstest((np.log10(column(REACTOR, "pressure")) + 3) / 4, "uniform").pvalue > 1e-3


def test_choices_and_integers_are_drawn_evenly():
    for name in ("stages", "base", "size"):
        counts = np.unique(column(REACTOR, name), return_counts=True)[1]
        assert stats.chisquare(counts).pvalue > 1e-3


def test_logarithmic_integers_are_drawn_by_their_share_of_the_axis():
    space = Parameters(n=Integer(1, 1000, log=True), x=Real(0, 1))
    low = (column(space, "n") <= 10).mean()
    assert low == pytest.approx(np.log(10.5 / 0.5) / np.log(1000.5 / 0.5), abs=0.04)


def test_the_same_seed_draws_the_same_candidates():
    assert REACTOR.sample(50, np.random.default_rng(3)) == REACTOR.sample(50, np.random.default_rng(3))


def test_a_small_space_is_drawn_whole_and_no_candidate_twice():
    space = Parameters(n=Integer(1, 3), c=Categorical("a", "b"))
    drawn = space.sample(100, np.random.default_rng(0))
    assert len(drawn) == len(set(drawn)) == 6


def test_a_mixture_on_the_simplex_is_drawn_uniformly():
    space = Parameters(x=Real(0, 1), y=Real(0, 1), z=Real(0, 1), constraints=["x + y + z == 1"])
    drawn = space.sample(1500, np.random.default_rng(1))
    assert len(drawn) == 1500
    for candidate in drawn:
        space.check(candidate)
    x = np.array([candidate.data["x"] for candidate in drawn])
    assert stats.kstest(x, stats.beta(1, 2).cdf).pvalue > 1e-3  # a marginal of the uniform Dirichlet distribution


def test_a_narrow_wedge_that_rejection_can_not_find_is_drawn_uniformly():
    space = Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["y >= 0.999999*x", "y <= x", "x <= 1"])
    drawn = space.sample(800, np.random.default_rng(2))
    assert len(drawn) == 800
    x = np.array([candidate.data["x"] for candidate in drawn])
    # The wedge's width grows with x, so its area up to x is x^2.
    assert stats.kstest(x, lambda value: value**2).pvalue > 1e-3


def test_whole_numbers_under_an_equality_are_drawn_evenly():
    space = Parameters(a=Integer(0, 4), b=Integer(0, 4), x=Real(0, 1), constraints=["a + b == 4"])
    assert stats.chisquare(np.unique(column(space, "a", 1000), return_counts=True)[1]).pvalue > 1e-3


def test_a_tight_bond_between_whole_numbers_of_a_huge_space_is_drawn_evenly():
    """Rejection finds one in a thousand, and there are too many combinations to list."""
    space = Parameters(a=Integer(0, 99), b=Integer(0, 99), c=Integer(0, 10**6), constraints=["a + b == 3"])
    drawn = space.sample(400, np.random.default_rng(0))
    assert len(drawn) == 400
    counts = np.unique([candidate.data["a"] for candidate in drawn], return_counts=True)[1]
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 1e-3


def test_bounds_that_meet_are_told_to_be_written_as_an_equality():
    space = Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x + y <= 1", "x + y >= 1"])
    with pytest.raises(SpaceError, match="=="):
        space.sample(3, np.random.default_rng(0))


def test_mixed_equalities_of_whole_and_real_numbers_are_kept():
    space = Parameters(n=Integer(0, 3), x=Real(0, 1), y=Real(0, 1), constraints=["n + x + y == 3"])
    drawn = space.sample(300, np.random.default_rng(0))
    assert len(drawn) == 300
    for candidate in drawn:
        space.check(candidate)
    # n = 1 and n = 3 leave only the corners (1, 1) and (0, 0), which have no length.
    assert {candidate.data["n"] for candidate in drawn} == {2}


bounds = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(bounds, st.integers(0, 2**32 - 1))
def test_every_draw_lies_in_its_space(limits, seed):
    space = Parameters(x=Real(*limits), n=Integer(-3, 3), c=Categorical("a", 2, 0.5, False))
    for candidate in space.sample(10, np.random.default_rng(seed)):
        space.check(candidate)


@given(st.floats(0.2, 3.0), st.integers(0, 1000))
def test_every_draw_keeps_its_constraints(bound, seed):
    constraint = LinearConstraint.parse(f"x + 2*y <= {bound!r}")
    space = Parameters(x=Real(0, 1), y=Real(0, 1), constraints=[constraint])
    drawn = space.sample(10, np.random.default_rng(seed))
    assert len(drawn) == 10
    assert all(constraint.satisfied(candidate.data) for candidate in drawn)
