"""Test functions keep their optimum, elsewhere; and fail, wait and err as they are told."""

from __future__ import annotations

import time

import numpy as np
import pytest

from theoros.oracles import Integer
from theoros.oracles.check import check_oracle
from theoros.oracles.failures import NotConverged
from theoros.oracles.reference import OracleOptionError, OracleReference
from theoros.oracles.synthetic import SyntheticOracle

FUNCTIONS = [("Branin", None), ("Hartmann", 6), ("Ackley", 5), ("Rosenbrock", 3), ("SixHumpCamel", None), ("Levy", 4),
             ("AugmentedHartmann", None), ("AugmentedBranin", None)]  # fmt: skip


@pytest.mark.parametrize(("function", "dim"), FUNCTIONS)
@pytest.mark.parametrize("shift", [False, 0, 7])
def test_the_optimum_is_attained_where_it_is_said_to_be(function, dim, shift):
    oracle = SyntheticOracle(function=function, dim=dim, shift=shift)
    assert oracle.optimizers
    for optimum in oracle.optimizers:
        value = oracle.evaluate(optimum, oracle.fidelities[-1].name).values["value"]
        assert value == pytest.approx(oracle.optimal_value, abs=2e-4)


@pytest.mark.parametrize(("function", "dim"), FUNCTIONS)
def test_no_random_candidate_beats_the_optimum(function, dim):
    oracle = SyntheticOracle(function=function, dim=dim)
    best = min(
        oracle.evaluate(candidate, oracle.fidelities[-1].name).values["value"]
        for candidate in oracle.space.sample(300, np.random.default_rng(0))
    )
    assert best >= oracle.optimal_value - 1e-6


def test_a_shifted_optimum_is_not_at_the_centre():
    assert set(SyntheticOracle(function="Ackley", shift=False).optimizers[0].data.values()) == {0.0}
    places = set()
    for seed in range(5):
        oracle = SyntheticOracle(function="Ackley", shift=seed)
        place = np.array(list(oracle.optimizers[0].data.values())) / 32.768
        assert (np.abs(place) > 0.15).all()
        places.add(tuple(place))
    assert len(places) == 5


def test_a_shift_keeps_the_function_onto_its_whole_range():
    """The corners stay corners, so nothing of the function is lost."""
    plain, moved = SyntheticOracle(shift=False), SyntheticOracle(shift=3)
    corners = [{"x1": x1, "x2": x2} for x1 in (-5, 10) for x2 in (0, 15)]
    values = [sorted(o.evaluate(o.space.candidate(c), "full").values["value"] for c in corners) for o in (plain, moved)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_negation_turns_minima_into_maxima():
    plain, negated = SyntheticOracle(), SyntheticOracle(negate=True)
    candidate = plain.space.sample(1, np.random.default_rng(0))[0]
    assert negated.evaluate(candidate, "full").values["value"] == -plain.evaluate(candidate, "full").values["value"]
    assert negated.optimal_value == -plain.optimal_value


def test_several_objectives_and_constraints_are_outputs():
    assert list(SyntheticOracle(function="BraninCurrin").outputs) == ["value_1", "value_2"]
    vessel = SyntheticOracle(function="PressureVessel")
    assert list(vessel.outputs) == ["value", *[f"constraint_{i}" for i in range(1, 5)]]
    values = vessel.evaluate(vessel.space.sample(1, np.random.default_rng(0))[0], "full").values
    assert values.keys() == vessel.outputs.keys()


def test_discrete_coordinates_are_integers_and_are_not_moved():
    oracle = SyntheticOracle(function="Labs", dim=8)
    assert all(isinstance(parameter, Integer) for parameter in oracle.space.parameters.values())
    plain = SyntheticOracle(function="Labs", dim=8, shift=False)
    for candidate in oracle.space.sample(20, np.random.default_rng(0)):
        assert oracle.evaluate(candidate, "full").values == plain.evaluate(candidate, "full").values


def test_lower_fidelities_differ_from_the_truth_and_cost_less():
    levels = [{"name": "rough", "s": 0.2, "cost": 0.05}, {"name": "fine", "s": 1, "cost": 1}]
    oracle = SyntheticOracle(function="AugmentedHartmann", fidelities=levels)
    assert [(level.name, level.cost) for level in oracle.fidelities] == [("rough", 0.05), ("fine", 1.0)]
    assert len(oracle.space.parameters) == 6
    candidate = oracle.space.sample(1, np.random.default_rng(0))[0]
    assert oracle.evaluate(candidate, "rough").values != oracle.evaluate(candidate, "fine").values


def test_noise_has_its_standard_deviation_and_repeats_in_a_new_process():
    noisy, clean = SyntheticOracle(noise=2.0), SyntheticOracle()
    candidate = noisy.space.sample(1, np.random.default_rng(0))[0]
    truth = clean.evaluate(candidate, "full").values["value"]
    draws = np.array([noisy.evaluate(candidate, "full").values["value"] - truth for _ in range(400)])
    assert draws.std() == pytest.approx(2.0, rel=0.15)
    assert abs(draws.mean()) < 0.4
    assert not noisy.deterministic
    again = SyntheticOracle(noise=2.0)
    assert [again.evaluate(candidate, "full").values["value"] - truth for _ in range(3)] == pytest.approx(draws[:3])


def failures(oracle: SyntheticOracle, candidates) -> list[bool]:
    failed = []
    for candidate in candidates:
        try:
            oracle.evaluate(candidate, "full")
            failed.append(False)
        except NotConverged:
            failed.append(True)
    return failed


def test_failures_belong_to_the_candidate_and_come_at_their_rate():
    oracle = SyntheticOracle(failure_rate=0.2)
    candidates = oracle.space.sample(500, np.random.default_rng(0))
    first = failures(oracle, candidates)
    assert first == failures(SyntheticOracle(failure_rate=0.2), candidates)
    assert first != failures(SyntheticOracle(failure_rate=0.2, seed=1), candidates)
    assert np.mean(first) == pytest.approx(0.2, abs=0.05)


def test_it_takes_its_time():
    oracle = SyntheticOracle(function="AugmentedBranin", delay="0.1 s")
    candidate = oracle.space.sample(1, np.random.default_rng(0))[0]
    start = time.perf_counter()
    oracle.evaluate(candidate, "high")
    middle = time.perf_counter()
    oracle.evaluate(candidate, "low")
    assert 0.1 <= middle - start < 1.0
    assert time.perf_counter() - middle < middle - start  # a tenth of the cost, a tenth of the time


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"function": "Brannin"}, ("function",), "Did you mean 'Branin'"),
        ({"function": "DTLZ1"}, ("dim",), "needs a number of dimensions"),
        ({"function": "Branin", "dim": 3}, ("dim",), "fixed"),
        ({"function": "Hartmann", "dim": 5}, ("dim",), "no form"),
        ({"function": "AugmentedRosenbrock"}, ("dim",), "below 4"),
        ({"noise": -1}, ("noise",), "standard deviation"),
        ({"failure_rate": 1.5}, ("failure_rate",), "share"),
        ({"delay": "long"}, ("delay",), "duration"),
        ({"delay": {"mean": 1}}, ("delay", "mean"), "median and sigma"),
        ({"delay": -1}, ("delay",), "negative"),
        ({"fidelities": [{"name": "a", "s": 1, "cost": 1}]}, ("fidelities",), "has one fidelity"),
        (
            {"function": "AugmentedBranin", "fidelities": [{"name": "a", "s": 2, "cost": 1}]},
            ("fidelities", 0),
            "no level",
        ),
        (
            {"function": "AugmentedBranin", "fidelities": [{"name": "a", "s": 0.5, "cost": 1}]},
            ("fidelities", 0),
            "truth",
        ),
    ],
)
def test_a_wrong_option_is_named(options, field, said):
    with pytest.raises(OracleOptionError, match=said) as caught:
        OracleReference("synthetic", options).load()
    assert caught.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"function": "AugmentedHartmann"},
        {"noise": 0.1},
        {"function": "C2DTLZ2", "dim": 4},
        {"failure_rate": 0.3, "delay": {"median": 0.01, "sigma": 0.5}},
    ],
)
def test_it_keeps_the_contract(options):
    reference = OracleReference("synthetic", options)
    assert [result for result in check_oracle(reference.load(), reference=reference) if not result.passed] == []


def test_what_changes_answers_is_in_the_settings():
    settings = [
        SyntheticOracle(**options).fidelities[0].settings
        for options in ({}, {"shift": 5}, {"negate": True}, {"noise": 1.0}, {"function": "Levy"}, {"failure_rate": 0.1})
    ]
    assert all(one != other for i, one in enumerate(settings) for other in settings[:i])
