"""The scattering oracle keeps the contract, repeats what it should and says why it can't answer."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from theoros.oracles import Categorical, Parameters, Real
from theoros.oracles.check import check_oracle
from theoros.oracles.contract import cache_key
from theoros.oracles.failures import InvalidCandidate, MissingDependency
from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics.scattering import OUTPUTS, ScatteringOracle
from theoros.oracles.physics.scattering_setup import Setup, events
from theoros.oracles.reference import OracleOptionError, OracleReference

ALL = list(OUTPUTS)
NOISE = {"position": 2.0, "time": 5.0}


def asked(oracle: ScatteringOracle, **data: float) -> dict[str, float]:
    return dict(oracle.evaluate(oracle.space.candidate(data), "full").values)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"noise": NOISE, "outputs": ALL},
        {"charge": -1.0, "screening": 0.2, "cyclotron": 0.01},
        {"centres": [[3, 0, 0.5], [-3, 0, 0.5]]},
        {"integrator": "dop853"},
    ],
)
def test_the_contract_is_kept(options):
    reference = OracleReference("scattering", options)
    assert [check.detail for check in check_oracle(reference.load(), reference=reference) if not check.passed] == []


def test_answers_are_those_of_the_hyperbola():
    values = asked(ScatteringOracle(outputs=ALL), energy=14.4, impact_parameter=1.0)
    shot = events(14.4, 1.0)
    x, y, vx, vy = exact.on_the_rim(Setup(), shot, outgoing=True)[0]
    assert [values["x"], values["y"]] == pytest.approx([x, y], abs=1e-7)
    assert values["angle"] == pytest.approx(np.arctan2(vy, vx), abs=1e-8)
    assert values["time"] == pytest.approx(exact.time_of_flight(Setup(), shot)[0], rel=1e-9)
    assert values["closest"] == pytest.approx(exact.closest_approach(shot)[0], rel=1e-9)
    free = asked(ScatteringOracle(outputs=["time"], charge=0.0), energy=14.4, impact_parameter=0.0)["time"]
    assert values["delay"] == pytest.approx(values["time"] - free, rel=1e-9)


def test_charge_and_screening_may_be_asked_or_given():
    space = Parameters(energy=Real(1, 100), impact_parameter=Real(-3, 3), charge=Real(-2, 2), screening=Real(0, 1))
    point = {"energy": 20.0, "impact_parameter": 0.7}
    found = asked(ScatteringOracle(space=space), **point, charge=-1.5, screening=0.4)
    assert found == asked(ScatteringOracle(charge=-1.5, screening=0.4), **point)


def test_with_noise_every_repeat_errs_anew_and_the_seed_repeats_it():
    oracle, point = ScatteringOracle(noise=NOISE), {"energy": 20.0, "impact_parameter": 0.7}
    first, second = asked(oracle, **point), asked(oracle, **point)
    assert first != second
    again = ScatteringOracle(noise=NOISE)
    assert [asked(again, **point), asked(again, **point)] == [first, second]
    assert asked(ScatteringOracle(noise=NOISE, seed=1), **point) != first
    assert not oracle.deterministic


def test_noise_is_of_the_measured_outputs_alone():
    oracle = ScatteringOracle(noise=NOISE, outputs=["angle", "closest"])
    assert oracle.deterministic
    assert asked(oracle, energy=20.0, impact_parameter=0.7) == asked(oracle, energy=20.0, impact_parameter=0.7)
    assert not ScatteringOracle(noise={"time": 1.0}, outputs=["delay"]).deterministic
    assert ScatteringOracle(noise={"time": 1.0}, outputs=["x"]).deterministic


def test_other_settings_have_other_cached_answers():
    options = [
        {},
        {"charge": 2.0},
        {"screening": 0.1},
        {"radius": 50.0},
        {"mass": 2.0},
        {"cyclotron": 0.1},
        {"centres": [[1, 0, 0.5], [-1, 0, 0.5]]},
        {"acceptance": [10, 180]},
        {"integrator": "dop853"},
        {"noise": NOISE},
        {"noise": NOISE, "seed": 1},
    ]
    oracles = [ScatteringOracle(**option) for option in options]
    candidate = oracles[0].space.candidate({"energy": 20.0, "impact_parameter": 0.7})
    keys = {cache_key(o.name, o.cache_version, candidate, o.fidelities[0]) for o in oracles}
    assert len(keys) == len(options)


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        (
            {"charge": 20.0},
            {"energy": 2.0, "impact_parameter": 1.0},
            "the particle never comes within 100 angstrom of the target: it turns back or passes by outside. "
            "Raise its energy, lower its impact parameter, or enlarge the radius.",
        ),
        (
            {"charge": -1.0},
            {"energy": 20.0, "impact_parameter": 0.0},
            "the particle runs into a centre, where the potential has no bottom.",
        ),
        (
            {"acceptance": [20, 180]},
            {"energy": 144.0, "impact_parameter": 3.0},
            "the particle leaves at 3.63 degrees to the beam, where the detector, which covers 20 to 180, "
            "does not see it.",
        ),
    ],
)
def test_events_that_have_no_answer_say_why(options, data, message):
    with pytest.raises(InvalidCandidate) as caught:
        asked(ScatteringOracle(**options), **data)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1}, "radius: Input should be greater than 0; got -1."),
        ({"outputs": ["z"]}, "no output is called 'z'. There are x, y, time, delay, angle, closest."),
        ({"integrator": "euler"}, "no integrator is called 'euler'. There are fast, dop853."),
        ({"noise": {"angle": 1}}, "noise.angle: there is no field 'angle' here. Leave it out."),
        ({"acceptance": [50, 10]}, "a detector's acceptance is two angles in degrees, 0 <= low < high <= 180."),
        (
            {"centres": [[-80, 0, 1], [80, 0, 1]]},
            "a centre lies outside the inner half of the chamber. Enlarge the radius.",
        ),
    ],
)
def test_options_that_make_no_experiment_are_refused(options, message):
    with pytest.raises(OracleOptionError) as caught:
        OracleReference("scattering", options).load()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"energy": Real(1, 2)},
            "space: an event has energy, impact_parameter and may have charge, screening. "
            "Declare parameters of these names; there are ['energy'].",
        ),
        (
            {"energy": Real(0, 2), "impact_parameter": Real(-1, 1)},
            "space.energy: it reaches down to 0. Keep it positive.",
        ),
        (
            {"energy": Real(1, 2), "impact_parameter": Real(-1, 1), "screening": Real(-1, 1)},
            "space.screening: it reaches down to -1. Keep it positive.",
        ),
        (
            {"energy": Real(0.1, 2, unit="keV"), "impact_parameter": Real(-1, 1)},
            "space.energy: it is in keV. Give it in eV.",
        ),
        (
            {"energy": Categorical(5, -1), "impact_parameter": Real(-1, 1)},
            "space.energy: it reaches down to -1. Keep it positive.",
        ),
        (
            {"energy": Real(1, 2), "impact_parameter": Real(-1, 1), "charge": Categorical("proton", "alpha")},
            "space.charge: 'proton' is not a number. Give numbers.",
        ),
    ],
)
def test_spaces_without_an_event_are_refused(parameters, message):
    with pytest.raises(OracleOptionError) as caught:
        ScatteringOracle(space=Parameters(parameters))
    assert str(caught.value) == message


def test_charges_may_be_a_choice():
    space = Parameters(energy=Real(1, 100), impact_parameter=Real(-3, 3), charge=Categorical(-1, 1))
    oracle = ScatteringOracle(space=space)
    ends = [asked(oracle, energy=20.0, impact_parameter=1.0, charge=charge)["y"] for charge in (-1, 1)]
    assert ends[0] < 0 < ends[1]


def test_without_numba_the_fast_integrator_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as caught:
        ScatteringOracle()
    assert str(caught.value) == (
        "the fast integrator of scattering is compiled by numba, which is not installed. "
        "Run: pip install 'theoros[twins]', or set integrator: dop853"
    )
    assert ScatteringOracle(integrator="dop853").options.integrator == "dop853"
