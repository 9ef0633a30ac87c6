"""The topology of a foam: Euler's counts, outlines, areas, and what T1 and T2 change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.oracles.physics.foam import Foam, honeycomb, voronoi
from theoros.oracles.physics.foam.arcs import SMALL, chord_factors
from theoros.oracles.physics.foam.network import chords, measured_areas
from theoros.oracles.physics.foam.topology import can_flip, can_vanish, flipped, junction, removed, vanished

foams = st.builds(voronoi, st.integers(12, 60), st.floats(0, 1.5), st.integers(0, 10_000))


def assert_sound(foam: Foam) -> None:
    """Euler's counts on a torus, three different bubbles at each vertex, and outlines that close."""
    topology, n = foam.topology, foam.bubbles
    assert len(topology.edges) == 3 * n
    assert len(foam.vertices) == 2 * n
    assert (foam.sides - 6).sum() == 0
    assert topology.spokes.shape == (2 * n, 3)
    assert (topology.tail[topology.spokes] == np.arange(2 * n)[:, None]).all()
    assert all(len(set(cells)) == 3 for cells in topology.left[topology.spokes].tolist())
    assert sorted(topology.following.tolist()) == list(range(6 * n))
    assert (topology.left[topology.following] == topology.left).all()
    assert all(len(topology.outline(bubble)) == foam.sides[bubble] for bubble in range(n))
    own = np.stack([topology.wraps, -topology.wraps], axis=1).reshape(-1, 2)
    assert all((own[topology.outline(bubble)].sum(axis=0) == 0).all() for bubble in range(n))


@settings(max_examples=20)
@given(foams)
def test_a_voronoi_foam_has_2n_vertices_and_3n_films_and_tiles_the_torus(foam):
    assert_sound(foam)
    areas = measured_areas(foam.topology, foam.vertices, foam.half_angles)
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(1, abs=1e-12)
    assert foam.areas.sum() == pytest.approx(1, abs=1e-12)


@settings(max_examples=20)
@given(foams, st.integers(0, 10_000))
def test_areas_tile_the_torus_whatever_the_shape_of_the_films(foam, seed):
    rng = np.random.default_rng(seed)
    moved = foam.vertices + 0.01 * rng.standard_normal(foam.vertices.shape)
    areas = measured_areas(foam.topology, moved, rng.uniform(-2, 2, len(foam.edges)))
    assert areas.sum() == pytest.approx(1, abs=1e-12)


@settings(max_examples=20)
@given(foams, st.data())
def test_a_t1_lets_two_bubbles_part_and_two_others_meet(foam, data):
    film = data.draw(st.sampled_from([f for f in range(len(foam.edges)) if can_flip(foam.topology, f)]))
    at = junction(foam.topology, film)
    after, event = flipped(foam, film, 0.01)
    assert_sound(after)
    change = after.sides - foam.sides
    assert change[[at.left, at.right]].tolist() == [-1, -1]
    assert change[[at.start, at.end]].tolist() == [1, 1]
    assert np.abs(change).sum() == 4
    assert event.parted == tuple(sorted((at.left, at.right)))
    assert event.met == tuple(sorted((at.start, at.end)))
    chord = chords(after.topology, after.vertices)
    assert np.hypot(*chord[film]) == pytest.approx(0.01)
    assert chord[film] @ chords(foam.topology, foam.vertices)[film] == pytest.approx(0, abs=1e-12)
    assert measured_areas(after.topology, after.vertices, after.half_angles).sum() == pytest.approx(1, abs=1e-12)


def test_two_t1s_of_a_film_restore_the_neighbours():
    foam = voronoi(20, 0.3, 4)
    there, _ = flipped(foam, 7, 0.02)
    back, _ = flipped(there, 7, 0.02)
    for bubble in range(20):
        assert sorted(back.topology.neighbours(bubble)) == sorted(foam.topology.neighbours(bubble))


def test_no_t1_leaves_a_bubble_with_one_film():
    foam = honeycomb(4, 4)
    while films := [f for f in foam.topology.outline(0) // 2 if can_flip(foam.topology, int(f))]:
        foam, _ = flipped(foam, int(films[0]), 0.01)
    assert foam.sides[0] == 2


@pytest.mark.parametrize("sides", [2, 3, 4, 5])
def test_a_t2_takes_one_bubble_two_vertices_and_three_films(sides):
    foam = honeycomb(6, 6)
    while foam.sides[0] > sides:
        film = next(int(f) for f in foam.topology.outline(0) // 2 if can_flip(foam.topology, int(f)))
        foam, _ = flipped(foam, film, 0.01)
    after, events = removed(foam, 0)
    assert_sound(after)
    assert after.bubbles == 35
    assert after.ids.tolist() == list(range(1, 36))
    assert after.areas.sum() == pytest.approx(1, abs=1e-12)
    assert measured_areas(after.topology, after.vertices, after.half_angles).sum() == pytest.approx(1, abs=1e-12)
    assert len(events) == 1 + max(0, sides - 3)
    assert events[-1].bubble == 0
    assert events[-1].sides == min(sides, 3)


def test_a_vanishing_bubble_leaves_its_gas_to_its_neighbours_in_equal_parts():
    foam = honeycomb(4, 4)
    for _ in range(3):
        film = next(int(f) for f in foam.topology.outline(5) // 2 if can_flip(foam.topology, int(f)))
        foam, _ = flipped(foam, film, 0.01)
    assert can_vanish(foam.topology, 5)
    neighbours = foam.topology.neighbours(5)
    after, _ = vanished(foam, 5)
    heirs = np.isin(after.ids, foam.ids[neighbours])
    assert after.areas[heirs] == pytest.approx(1 / 16 + 1 / 48)
    assert after.areas[~heirs] == pytest.approx(1 / 16)


def test_the_same_arguments_give_the_same_foam_and_another_seed_another_one():
    first, again, other = voronoi(30, 0.5, 1), voronoi(30, 0.5, 1), voronoi(30, 0.5, 2)
    assert (first.vertices == again.vertices).all()
    assert (first.edges == again.edges).all()
    assert np.abs(first.areas - other.areas).max() > 1e-3


def test_disorder_spreads_the_areas():
    spread = [np.mean([np.std(voronoi(100, d, s).areas) for s in range(3)]) * 100 for d in (0.0, 0.3, 0.6, 1.0)]
    assert spread == sorted(spread)
    assert spread[0] < 0.15
    assert 0.35 < spread[-1] < 0.6  # independent points: 0.53


@pytest.mark.parametrize(("bubbles", "disorder"), [(11, 0.5), (64, -0.1), (64, float("nan"))])
def test_a_foam_that_cannot_be_is_refused(bubbles, disorder):
    with pytest.raises(ValueError, match="needs 12 bubbles or more, and a disorder that is not negative"):
        voronoi(bubbles, disorder, 0)


def test_a_honeycomb_needs_even_rows():
    with pytest.raises(ValueError, match=r"^3 x 6: a honeycomb needs an even number of rows and 12 bubbles\.$"):
        honeycomb(3, 6)


def test_an_arc_of_60_degrees_has_the_length_and_segment_of_geometry():
    factors = chord_factors(np.array([np.pi / 6, np.pi / 2]))
    assert factors.length == pytest.approx([np.pi / 3, np.pi / 2])  # radius 1 over chord 1; half a circle
    assert factors.area == pytest.approx([np.pi / 6 - np.sqrt(3) / 4, np.pi / 8])


def test_series_and_formulas_of_an_arc_agree_where_they_meet():
    below, above = (np.array(chord_factors(np.array([SMALL * (1 + e)]))) for e in (-1e-9, 1e-9))
    assert below == pytest.approx(above, rel=3e-9)


@settings(max_examples=50)
@given(st.floats(-2.5, 2.5))
def test_the_derivatives_of_an_arc_are_those_of_its_length_and_area(a):
    h = 1e-5
    low, at, high = (chord_factors(np.array([a + d])) for d in (-h, 0, h))
    for value, first, second in (("length", "length_1", "length_2"), ("area", "area_1", "area_2")):
        assert (getattr(high, value) - getattr(low, value)) / (2 * h) == pytest.approx(getattr(at, first), abs=1e-6)
        assert (getattr(high, first) - getattr(low, first)) / (2 * h) == pytest.approx(getattr(at, second), abs=1e-6)
