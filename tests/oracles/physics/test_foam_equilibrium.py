"""A foam in equilibrium keeps Plateau's and Laplace's laws, and is where the derivatives say it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theoros.oracles.failures import NotConverged
from theoros.oracles.physics.foam import equilibrate, honeycomb, voronoi
from theoros.oracles.physics.foam.equilibrium import TOLERANCE, relax, residual
from theoros.oracles.physics.foam.kkt import factored, newton_step, slopes, tangent
from theoros.oracles.physics.foam.measures import curvatures, vertex_angles
from theoros.oracles.physics.foam.network import lengths, measured_areas
from theoros.oracles.physics.foam.topology import can_flip, flipped

FOAMS = [(24, 0.3, 1), (64, 0.5, 2), (64, 1.0, 3), (100, 1.5, 4)]


@pytest.fixture(scope="module", params=FOAMS, ids=str)
def foam(request):
    return equilibrate(voronoi(*request.param))


def lagrangian(foam):
    areas = measured_areas(foam.topology, foam.vertices, foam.half_angles)
    return lengths(foam).sum() - foam.pressures @ (areas - foam.areas)


def shaken(seed):
    """A foam far from equilibrium, with arcs and pressures at random."""
    rng = np.random.default_rng(seed)
    foam = voronoi(14, 0.5, seed)
    return replace(foam, half_angles=rng.normal(0, 0.5, 42), pressures=rng.normal(0, 2, 14))


def test_films_meet_at_120_degrees(foam):
    assert np.abs(vertex_angles(foam) - 120).max() < 1e-5


def test_every_bubble_holds_its_gas(foam):
    areas = measured_areas(foam.topology, foam.vertices, foam.half_angles)
    assert areas == pytest.approx(foam.areas, abs=1e-12)
    assert areas.sum() == pytest.approx(1, abs=1e-12)


def test_every_film_has_the_curvature_of_its_pressure_difference(foam):
    left, right = foam.cells.T
    assert curvatures(foam) == pytest.approx(foam.pressures[left] - foam.pressures[right], abs=1e-7)
    assert foam.pressures.mean() == pytest.approx(0, abs=1e-12)


def test_the_signed_curvatures_round_a_vertex_sum_to_zero(foam):
    outward = np.stack([curvatures(foam), -curvatures(foam)], axis=1).reshape(-1)
    assert outward[foam.topology.spokes].sum(axis=1) == pytest.approx(0, abs=1e-7)


def test_pressures_are_how_the_energy_grows_with_the_areas(foam):
    """dE/dA_i = p_i, up to the constant that no foam in a box can feel."""
    left, right = foam.cells[0]
    change = np.zeros(foam.bubbles)
    change[left], change[right] = 1e-5 / foam.bubbles, -1e-5 / foam.bubbles
    low, high = (lengths(equilibrate(replace(foam, areas=foam.areas + s * change))).sum() for s in (-1, 1))
    assert (high - low) / 2 == pytest.approx(foam.pressures @ change, rel=1e-4)


def test_no_small_move_that_keeps_the_areas_shortens_the_films(foam):
    rng = np.random.default_rng(0)
    energy = lengths(foam).sum()
    for _ in range(3):
        push = 0.01 / np.sqrt(foam.bubbles) * rng.standard_normal(foam.vertices.shape)
        aside = replace(foam, vertices=foam.vertices + push)
        areas = measured_areas(aside.topology, aside.vertices, aside.half_angles)
        assert lengths(aside).sum() - foam.pressures @ (areas - foam.areas) > energy


@settings(max_examples=8)
@given(st.integers(0, 10_000))
@example(454)
def test_forces_and_torques_are_the_derivatives_of_the_lagrangian(seed):
    foam = shaken(seed)
    at, h = slopes(foam), 1e-6
    for k in np.random.default_rng(seed).integers(0, 28, 4):
        for name, index, expected in (
            ("vertices", (k, 0), at.force[k, 0]),
            ("vertices", (k, 1), at.force[k, 1]),
            ("half_angles", (k,), at.torque[k]),
        ):

            def difference(h, name=name, index=index):
                values = []
                for sign in (1, -1):
                    changed = getattr(foam, name).copy()
                    changed[index] += sign * h
                    values.append(lagrangian(replace(foam, **{name: changed})))
                return (values[0] - values[1]) / (2 * h)

            # Richardson's extrapolation: at a short film the error of a simple difference is 5e-6.
            derivative = (4 * difference(h / 2) - difference(h)) / 3
            assert derivative == pytest.approx(expected, abs=1e-6)


def test_newtons_step_divides_the_residual_by_a_hundred_near_equilibrium():
    rest = equilibrate(voronoi(30, 0.5, 5))
    rng = np.random.default_rng(5)
    foam = replace(rest, vertices=rest.vertices + 1e-4 * rng.standard_normal(rest.vertices.shape))
    at = slopes(foam)
    step = newton_step(foam, at, factored(foam, at))
    after = replace(
        foam,
        vertices=foam.vertices + step.vertices,
        half_angles=foam.half_angles + step.half_angles,
        pressures=foam.pressures + step.pressures,
    )
    assert residual(after, slopes(after)) < 0.01 * residual(foam, at)


def test_the_tangent_is_how_equilibria_move():
    foam = equilibrate(voronoi(30, 0.5, 6))
    rates = np.random.default_rng(6).standard_normal(30)
    rates -= rates.mean()
    at = slopes(foam)
    slope = tangent(foam, at, factored(foam, at), rates)
    h = 1e-6
    low, high = (equilibrate(replace(foam, areas=foam.areas + s * h * rates)) for s in (-1, 1))
    assert (high.pressures - low.pressures) / (2 * h) == pytest.approx(slope.pressures, rel=1e-3, abs=1e-2)
    assert (high.half_angles - low.half_angles) / (2 * h) == pytest.approx(slope.half_angles, rel=1e-3, abs=1e-2)


def test_a_honeycomb_has_straight_films_of_equal_pressure():
    foam = equilibrate(honeycomb(4, 4))
    assert foam.half_angles == pytest.approx(0, abs=1e-8)
    assert foam.pressures == pytest.approx(0, abs=1e-7)
    assert np.abs(vertex_angles(foam) - 120).max() < 1e-5


def test_a_bubble_of_three_sides_in_a_honeycomb_is_symmetric():
    """Decoration: it sits where three straight films would meet, so that its films bulge by 30 degrees each."""
    foam = equilibrate(honeycomb(6, 6))
    for _ in range(3):
        film = next(int(f) for f in foam.topology.outline(0) // 2 if can_flip(foam.topology, int(f)))
        foam, _ = flipped(foam, film, 0.01)
    # So small that its surroundings are three straight films.
    areas = np.where(foam.ids == 0, 1e-6, (1 - 1e-6) / 35)
    foam = equilibrate(replace(foam, areas=areas))
    outline = foam.topology.outline(0)
    bulges = np.where(outline % 2 == 0, 1, -1) * foam.half_angles[outline // 2]
    assert np.degrees(bulges) == pytest.approx(30, abs=0.1)
    # A Reuleaux triangle over a side c: (pi / 2 - sqrt(3) / 2) c^2 for arcs of 60 degrees.
    side = lengths(foam)[outline // 2] / (np.pi / 3)
    assert side == pytest.approx(np.sqrt(1e-6 / (np.pi / 2 - np.sqrt(3) / 2)), rel=1e-2)


def test_random_points_make_a_cascade_of_t1s_and_still_an_equilibrium():
    relaxed = relax(voronoi(100, 1.5, 4))
    assert len(relaxed.events) >= 3
    assert residual(relaxed.foam, slopes(relaxed.foam)) < TOLERANCE
    assert (relaxed.foam.sides - 6).sum() == 0


def test_a_foam_without_equilibrium_says_what_is_left():
    foam = voronoi(20, 0.5, 0)
    with pytest.raises(
        NotConverged, match=r"^20 bubbles find no equilibrium: after 2 iterations and 0 T1s a force of "
    ):
        relax(foam, most_iterations=2)
