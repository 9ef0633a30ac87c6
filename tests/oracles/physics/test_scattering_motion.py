"""Particles fly as Newton, Kepler and Rutherford say, by either integrator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics import scattering_kernel as kernel
from theoros.oracles.physics.scattering_motion import ENDS, INTEGRATORS, Flights, energy, fly
from theoros.oracles.physics.scattering_setup import (
    COULOMB,
    TIME_UNIT,
    Events,
    Setup,
    angular_momentum,
    entrance,
    events,
    potential,
)

ENERGIES = st.floats(1.44, 144)
IMPACTS = st.floats(-3, 3)
TRIANGLE = tuple((3 * np.cos(a), 3 * np.sin(a), 1 / 3) for a in np.radians([90, 210, 330]))


def beam(n: int, charge: float = 1.0, screening: float = 0.0, seed: int = 0) -> Events:
    """Events spread over the default space."""
    rng = np.random.default_rng(seed)
    return events(1.44 * 100 ** rng.random(n), rng.uniform(-3, 3, n), charge, screening)


def largest(setup: Setup, shot: Events, flights: Flights) -> np.ndarray:
    """The largest energy that plays a part in each flight, eV: what conservation can be held against."""
    return np.maximum(shot.energy, COULOMB * np.abs(shot.charge) / flights.closest)


def spin(setup: Setup, states: np.ndarray) -> np.ndarray:
    x, y, vx, vy = states.T
    return setup.mass * (x * vy - y * vx)


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_events_enter_the_chamber_on_their_hyperbola(charge):
    shot = beam(300, charge)
    assert entrance(Setup(), shot) == pytest.approx(exact.on_the_rim(Setup(), shot, outgoing=False), abs=1e-12)


@pytest.mark.parametrize(("charge", "tolerance"), [(1.0, 1e-7), (3.0, 1e-7), (-1.0, 1e-5)])
def test_events_leave_the_chamber_where_their_hyperbola_does(charge, tolerance):
    """Attraction brings particles far closer to the centre, where they turn fast, and costs two digits."""
    shot = beam(500, charge)
    flights, expected = fly(Setup(), shot), exact.on_the_rim(Setup(), shot, outgoing=True)
    assert flights.states[:, :2] == pytest.approx(expected[:, :2], abs=tolerance)
    assert flights.angle == pytest.approx(np.arctan2(expected[:, 3], expected[:, 2]), abs=tolerance)


def test_time_of_flight_and_closest_approach_are_those_of_kepler():
    shot = beam(500)
    flights = fly(Setup(), shot)
    assert flights.time == pytest.approx(exact.time_of_flight(Setup(), shot), rel=1e-9)
    assert flights.closest == pytest.approx(exact.closest_approach(shot), rel=1e-9)


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_energy_angular_momentum_and_the_runge_lenz_vector_are_conserved(charge):
    """Each to 2e-9 of the largest value that it has, or its parts have, on the way."""
    setup, shot = Setup(), beam(500, charge)
    flights, start = fly(setup, shot), entrance(setup, shot)
    assert (np.abs(energy(setup, shot, flights.states) - shot.energy) < 2e-9 * largest(setup, shot, flights)).all()
    assert spin(setup, flights.states) == pytest.approx(angular_momentum(setup, shot), abs=2e-8)
    before, after = (exact.runge_lenz(setup, shot, states) for states in (start, flights.states))
    assert after == pytest.approx(before, abs=2e-7)
    assert exact.eccentricity(shot) == pytest.approx(
        np.hypot(*before.T) / (setup.mass * np.abs(exact.strength(shot))), rel=1e-10
    )


def test_far_away_the_direction_is_rutherfords_angle():
    """The rim's share in the deflection falls with the square of the distance."""
    shot = beam(100)
    errors = [np.abs(fly(Setup(radius=r), shot).angle - exact.deflection(shot)).max() for r in (1e3, 1e4)]
    assert errors[0] < 2e-5
    assert errors[1] < errors[0] / 50


def test_a_detector_at_finite_distance_sees_the_impact_parameter_too():
    """Where a particle leaves differs from its direction by about b / R."""
    shot = events(144.0, 3.0)
    flights = fly(Setup(), shot)
    assert flights.polar[0] - flights.angle[0] == pytest.approx(3 / 100, rel=0.05)


@given(ENERGIES, st.floats(0.001, 3))
@settings(max_examples=25)
def test_attraction_mirrors_repulsion_far_away(e, b):
    repelled, attracted = (fly(Setup(radius=1e5), events(e, b, charge)).angle[0] for charge in (1, -1))
    assert attracted == pytest.approx(-repelled, abs=2e-6)


@given(ENERGIES, IMPACTS)
@settings(max_examples=25)
def test_the_experiment_is_symmetric_about_the_beam(e, b):
    one, other = fly(Setup(), events(e, b)), fly(Setup(), events(e, -b))
    assert [one.x[0], one.y[0], one.time[0]] == pytest.approx([other.x[0], -other.y[0], other.time[0]], abs=1e-7)


@given(st.floats(0.5, 5), st.floats(0.1, 10), st.floats(0.5, 20))
@settings(max_examples=25)
def test_only_the_product_of_energy_and_impact_parameter_counts_for_the_angle(b, e, factor):
    """Far away; times do not collapse."""
    setup, one, other = Setup(radius=1e5), events(e * 14.4, b), events(e * 14.4 * factor, b / factor)
    assert fly(setup, one).angle == pytest.approx(fly(setup, other).angle, abs=1e-6)


def test_a_particle_that_is_aimed_at_a_repulsive_centre_comes_straight_back():
    setup, shot = Setup(), events([1.44, 14.4, 144.0], 0.0)
    flights = fly(setup, shot)
    assert flights.x == pytest.approx([-100] * 3, abs=1e-7)
    assert flights.y == pytest.approx([0] * 3, abs=1e-7)
    assert flights.closest == pytest.approx(COULOMB / shot.energy, rel=1e-9)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_a_particle_that_is_aimed_at_an_attractive_centre_collides(integrator):
    assert ENDS[fly(Setup(), events(14.4, [0.0, 1e-6], -1.0), integrator).how[0]] == "collided"


def test_a_step_whose_error_is_no_number_is_refused():
    """As it is where one of its stages lies on a centre."""
    slopes = np.zeros((7, 4))
    slopes[3, 2] = np.nan
    assert kernel._error(1.0, slopes, 1.0, 1.0) == np.inf


def test_a_particle_without_a_charge_flies_through_the_centres():
    """At many energies, for the search of the closest approach ends on the centre at some only."""
    shot = events(np.linspace(1.0, 150.0, 300), 0.0, 0.0)
    for setup in (Setup(), Setup(((1, 0, 0.5), (-1, 0, 0.5)))):
        flights = fly(setup, shot)
        assert flights.states[:, :2] == pytest.approx(np.tile([100.0, 0.0], (300, 1)), abs=1e-9)
        assert flights.closest == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("charge", [1.0, 1e-3, -1.0])
def test_events_that_graze_the_chamber_or_turn_near_its_rim_enter_on_their_hyperbola(charge):
    shot = events([50.0, 50.0, 0.1445, 0.15], [99.0, 99.7, 0.5, 1.0], charge)
    start, expected = entrance(Setup(), shot), exact.on_the_rim(Setup(), shot, outgoing=False)
    assert start == pytest.approx(expected, abs=1e-9)


def test_a_free_particle_that_grazes_the_chamber_crosses_it_too():
    b = np.array([99.0, 99.99, 99.999])
    flights = fly(Setup(), events(50.0, b, 0.0))
    assert flights.states[:, :2] == pytest.approx(np.stack([np.sqrt(100**2 - b**2), b], 1), abs=1e-3)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("centres", [((-40.0, 0.0, 1.0), (40.0, 0.0, 1.0)), ((-40.0, 0.0, 0.5), (20.0, 0.0, 1.0))])
def test_a_flight_is_closest_to_a_centre_inside_the_chamber_or_on_its_rim(centres, integrator):
    """Those that graze the chamber are on their way to a centre, or away from it, as long as they are followed."""
    setup, b = Setup(centres), np.array([-99.0, 60.0, 95.0, 99.0, 99.9])
    ends = np.sqrt(setup.radius**2 - b**2)
    nearest = np.min([np.hypot(np.clip(x, -ends, ends) - x, b) for x, _, _ in setup.centres], axis=0)
    assert fly(setup, events(1e6, b, 1e-6), integrator).closest == pytest.approx(nearest, rel=1e-9)


@settings(max_examples=30, deadline=None)
@example([(13.0, 7.0), (-25.0, -4.0), (12.0, -3.0)], 6.0)
@given(st.lists(st.tuples(st.floats(-17, 17), st.floats(-17, 17)), min_size=2, max_size=4), st.floats(-90, 90))
def test_a_fast_particle_that_passes_several_centres_in_one_step_meets_each_of_them(places, b):
    setup = Setup(tuple((x, y, 1.0) for x, y in places))
    nearest = min(abs(b - y) for _, y, _ in setup.centres)
    found = fly(setup, events(1e6, b, 1e-9)).closest[0]
    assert found == pytest.approx(nearest, rel=1e-6, abs=1e-6)


def test_a_free_particle_crosses_on_a_straight_line():
    flights = fly(Setup(), events([1.44, 144.0], [2.0, -2.0], 0.0))
    half = np.sqrt(100**2 - 4)
    assert flights.states[:, :2] == pytest.approx(np.array([[half, 2], [half, -2]]), abs=1e-9)
    speed = np.sqrt(2 * np.array([1.44, 144.0]) / Setup().mass)
    assert flights.time == pytest.approx(2 * half / speed * TIME_UNIT, rel=1e-12)


def test_a_screened_charge_becomes_coulombs_as_the_screening_vanishes():
    shot = beam(50)
    coulomb = fly(Setup(), shot).polar
    errors = [np.abs(fly(Setup(), beam(50, 1.0, k)).polar - coulomb).max() for k in (1e-3, 1e-4, 1e-5, 1e-8)]
    assert sorted(errors, reverse=True) == errors
    assert errors[-1] < 1e-6


def test_a_strongly_screened_charge_is_passed_on_a_straight_line():
    flights = fly(Setup(), events(144.0, 2.0, 1.0, 30.0))
    assert flights.angle[0] == pytest.approx(0.0, abs=1e-9)


@given(ENERGIES, st.floats(0.05, 3), st.floats(0, 1))
@settings(max_examples=25)
def test_screening_keeps_energy_and_angular_momentum(e, b, kappa):
    setup, shot = Setup(), events(e, b, 1.0, kappa)
    flights = fly(setup, shot)
    assert energy(setup, shot, flights.states) == pytest.approx(shot.energy, rel=5e-9)
    assert spin(setup, flights.states) == pytest.approx(angular_momentum(setup, shot), abs=2e-8)


def test_in_a_magnetic_field_a_free_particle_runs_on_a_circle_of_the_gyroradius():
    """r = v / omega; the circle is the same by any three of its points, here the ends and the centre that v says."""
    setup = Setup(cyclotron=0.004)
    shot = events([5.0, 20.0, 100.0], [0.0, 10.0, -5.0], 0.0)
    start, flights = entrance(setup, shot), fly(setup, shot)
    radius = np.sqrt(2 * shot.energy / setup.mass) / (setup.cyclotron * TIME_UNIT)
    turn = 1 / (setup.cyclotron * TIME_UNIT)
    middles = [np.stack([s[:, 0] + turn * s[:, 3], s[:, 1] - turn * s[:, 2]], 1) for s in (start, flights.states)]
    assert middles[1] == pytest.approx(middles[0], rel=1e-7, abs=1e-6)
    assert np.hypot(*(start[:, :2] - middles[0]).T) == pytest.approx(radius, rel=1e-12)
    assert energy(setup, shot, flights.states) == pytest.approx(shot.energy, rel=1e-9)
    assert (flights.y < start[:, 1]).all()


def test_three_centres_conserve_energy_though_they_are_chaotic():
    setup = Setup(TRIANGLE)
    for charge in (1.0, -1.0):
        shot = beam(300, charge)
        flights = fly(setup, shot)
        left = flights.how == 0
        assert left.mean() > 0.98
        error = np.abs(energy(setup, shot, flights.states) - shot.energy) / largest(setup, shot, flights)
        assert error[left].max() < 5e-9


def test_three_centres_are_entered_with_the_energy_and_angular_momentum_asked_for():
    setup, shot = Setup(TRIANGLE), beam(100)
    start = entrance(setup, shot)
    assert energy(setup, shot, start) == pytest.approx(shot.energy, rel=1e-12)
    assert spin(setup, start) == pytest.approx(angular_momentum(setup, shot), abs=1e-12)


def test_three_centres_at_one_place_are_one():
    shot = beam(50)
    split = fly(Setup(((0, 0, 0.2), (0, 0, 0.3), (0, 0, 0.5))), shot)
    assert split.states == pytest.approx(fly(Setup(), shot).states, abs=1e-7)


@pytest.mark.parametrize(
    ("setup", "charge", "screening"),
    [
        (Setup(), 1.0, 0.0),
        (Setup(), -1.0, 0.0),
        (Setup(), 1.0, 0.3),
        (Setup(TRIANGLE), 1.0, 0.0),
        (Setup(TRIANGLE, cyclotron=0.01), -1.0, 0.1),
    ],
)
def test_the_fast_integrator_agrees_with_its_referee(setup, charge, screening):
    shot = beam(4, charge, screening, seed=5)
    fast, referee = fly(setup, shot), fly(setup, shot, "dop853")
    assert fast.states == pytest.approx(referee.states, abs=1e-6)
    assert fast.time == pytest.approx(referee.time, abs=1e-5)
    assert fast.closest == pytest.approx(referee.closest, rel=1e-7)


def test_the_referee_finds_the_hyperbola_to_ten_digits():
    shot = beam(3, seed=1)
    assert fly(Setup(), shot, "dop853").states == pytest.approx(
        exact.on_the_rim(Setup(), shot, outgoing=True), abs=1e-9
    )


def test_potential_adds_up_over_the_centres():
    setup, shot = Setup(TRIANGLE), events(10.0, 0.0, 2.0, 0.1)
    r = 3.0
    expected = 2 * COULOMB * np.exp(-0.1 * r) / r
    assert potential(setup, shot, np.zeros(1), np.zeros(1))[0] == pytest.approx(expected, rel=1e-12)


def test_slow_particles_and_those_that_pass_by_outside_never_enter():
    assert np.isnan(entrance(Setup(), events([0.1, 10.0], [0.0, 101.0]))).any(axis=1).all()
    flights = fly(Setup(), events([0.1, 10.0], [0.0, 101.0]))
    assert [ENDS[how] for how in flights.how] == ["trapped", "trapped"]


def test_another_integrator_is_refused():
    with pytest.raises(ValueError, match=r"^no integrator is called 'rk4'\. There are fast, dop853$"):
        fly(Setup(), events(10.0, 1.0), "rk4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 0.0), "an energy is not positive: particles that come from far away have some"),
        ((1.0, np.nan), "an energy, impact parameter, charge or screening is not finite"),
        ((1.0, 0.0, 1.0, -0.1), "a screening is negative: it is an inverse length"),
    ],
)
def test_events_that_are_not_physical_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        events(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centres": ()}, "centres are rows of x, y and share of the charge, and there is at least one"),
        ({"radius": -1.0}, "the radius of the chamber and the mass are positive"),
        ({"mass": float("nan")}, "the radius of the chamber and the mass are positive"),
        ({"cyclotron": float("inf")}, "the cyclotron frequency is not finite"),
        (
            {"centres": ((-60, 0, 0.5), (60, 0, 0.5))},
            "a centre lies outside the inner half of the chamber. Enlarge the radius",
        ),
    ],
)
def test_chambers_that_make_no_experiment_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Setup(**arguments)
