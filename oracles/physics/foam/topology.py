"""Topological changes: T1, where two bubbles part and two others meet, and T2, where a bubble vanishes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from theoros.oracles.physics.foam.network import Foam, Integers, Topology, chords

#: A bubble keeps at least this many films in a T1; those of two lie like lenses on a film.
FEWEST_SIDES = 2


@dataclass(frozen=True)
class T1:
    """At `time` the bubbles `parted` (ids) lost their common film, and the bubbles `met` got one."""

    time: float
    parted: tuple[int, int]
    met: tuple[int, int]


@dataclass(frozen=True)
class T2:
    """At `time` the `bubble` (id), which had `sides` films, vanished."""

    time: float
    bubble: int
    sides: int


Event = T1 | T2


@dataclass(frozen=True)
class Junction:
    """The surroundings of a film: the bubbles it parts and those at its ends, and the four films that leave it.

    `left` and `right` are parted; `start` and `end` lie beyond the film's first and last vertex. The half-films leave
    the film: `start_left` between the bubbles `start` and `left`, and so on.
    """

    left: int
    right: int
    start: int
    end: int
    start_left: int
    start_right: int
    end_left: int
    end_right: int


def junction(topology: Topology, film: int) -> Junction:
    """The surroundings of `film`."""
    left, right = (int(cell) for cell in topology.cells[film])
    # Round the left bubble the film comes after `start_left` (backwards) and before `end_left`.
    end_left = int(topology.following[2 * film])
    start_right = int(topology.following[2 * film + 1])
    end_right = int(topology.following[end_left ^ 1])
    start_left = int(topology.following[start_right ^ 1])
    start, end = int(topology.left[start_right ^ 1]), int(topology.left[end_left ^ 1])
    return Junction(left, right, start, end, start_left, start_right, end_left, end_right)


def can_flip(topology: Topology, film: int, fewest_sides: int = FEWEST_SIDES) -> bool:
    """Whether a T1 of `film` leaves every bubble a simple cell with at least `fewest_sides` films."""
    at = junction(topology, film)
    leaving = {h // 2 for h in (at.start_left, at.start_right, at.end_left, at.end_right)}
    return (
        len(leaving) == 4
        and len({at.left, at.right, at.start, at.end}) == 4
        and topology.sides[at.left] > fewest_sides
        and topology.sides[at.right] > fewest_sides
    )


def flipped(foam: Foam, film: int, length: float) -> tuple[Foam, T1]:
    """The foam after a T1 of `film`, which turns by 90 degrees about its middle and becomes `length` long."""
    topology = foam.topology
    at = junction(topology, film)
    u, v = topology.edges[film]
    wrap = topology.wraps[film]
    edges, wraps, cells = topology.edges.copy(), topology.wraps.copy(), topology.cells.copy()
    # The first vertex takes the left bubble's films, the last one the right bubble's.
    for half_film, vertex, shift in ((at.end_left, u, wrap), (at.start_right, v, -wrap)):
        changed, end = divmod(half_film, 2)
        edges[changed, end] = vertex
        wraps[changed] += shift if end == 0 else -shift
    cells[film] = at.end, at.start
    chord = chords(topology, foam.vertices)[film]
    middle = foam.vertices[u] + 0.5 * chord
    across = 0.5 * length * np.array([chord[1], -chord[0]]) / np.hypot(*chord)
    vertices, half_angles = foam.vertices.copy(), foam.half_angles.copy()
    vertices[u], vertices[v] = middle - across, middle + across - wrap
    half_angles[film] = 0.0
    event = T1(foam.time, _ids(foam, at.left, at.right), _ids(foam, at.start, at.end))
    changed_foam = replace(foam, topology=Topology(edges, wraps, cells), vertices=vertices, half_angles=half_angles)
    return changed_foam, event


def _ids(foam: Foam, *bubbles: int) -> tuple[int, int]:
    first, second = sorted(int(foam.ids[bubble]) for bubble in bubbles)
    return first, second


def can_vanish(topology: Topology, bubble: int) -> bool:
    """Whether `bubble` has two or three films and its removal leaves every neighbour two."""
    sides = int(topology.sides[bubble])
    if sides not in (2, 3):
        return False
    outline = topology.outline(bubble)
    neighbours = topology.left[outline ^ 1]
    outer = [_outer(topology, int(h)) // 2 for h in outline]
    return (
        len(set(neighbours.tolist())) == sides
        and len(set(outer)) == sides
        and bool((topology.sides[neighbours] - (1 if sides == 3 else 2) >= FEWEST_SIDES).all())
    )


def _outer(topology: Topology, half_film: int) -> int:
    """The half-film that leaves a bubble's outline where its `half_film` starts."""
    return int(topology.following[half_film ^ 1])


def vanished(foam: Foam, bubble: int) -> tuple[Foam, T2]:
    """The foam without `bubble`, of two or three films; its neighbours share its gas equally.

    Three outer films then meet in the bubble's middle; the two outer films of a lens become one.
    """
    topology = foam.topology
    outline = topology.outline(bubble)
    outer = [_outer(topology, int(h)) for h in outline]
    edges, wraps = topology.edges.copy(), topology.wraps.copy()
    vertices, half_angles = foam.vertices.copy(), foam.half_angles.copy()
    corners = topology.tail[outline]
    places = foam.vertices[corners] + topology.shifts[outline]
    shifts = topology.shifts[outline]
    lost_films, lost_vertices = [int(h) // 2 for h in outline], corners.tolist()
    if len(outline) == 3:
        keep = int(corners[0])
        vertices[keep] = places.mean(axis=0) - shifts[0]
        lost_vertices.remove(keep)
        for half_film, shift in zip(outer, shifts, strict=True):
            _move_end(edges, wraps, half_film, keep, shifts[0] - shift)
    else:
        _merge(topology, edges, wraps, outer, shifts)
        lost_films.append(outer[1] // 2)
        half_angles[outer[0] // 2] = 0.0
    areas = foam.areas.copy()
    neighbours = topology.left[outline ^ 1]
    areas[neighbours] += areas[bubble] / len(neighbours)
    event = T2(foam.time, int(foam.ids[bubble]), len(outline))
    films = np.delete(np.arange(len(edges)), lost_films)
    kept = np.delete(np.arange(len(vertices)), lost_vertices)
    number = np.zeros(len(vertices), dtype=np.int64)
    number[kept] = np.arange(len(kept))
    cells = topology.cells[films]
    rest = np.delete(np.arange(foam.bubbles), bubble)
    return (
        replace(
            foam,
            topology=Topology(number[edges[films]], wraps[films], cells - (cells > bubble)),
            vertices=vertices[kept],
            half_angles=half_angles[films],
            ids=foam.ids[rest],
            areas=areas[rest],
            pressures=foam.pressures[rest],
        ),
        event,
    )


def removed(foam: Foam, bubble: int) -> tuple[Foam, list[Event]] | None:
    """The foam without `bubble`: T1s of its shortest films while it has four or more, then its T2; None if it can't.

    For bubbles so small that nothing but topology matters.
    """
    events: list[Event] = []
    while foam.topology.sides[bubble] > 3:
        length = np.hypot(*chords(foam.topology, foam.vertices).T)
        films = foam.topology.outline(bubble) // 2
        able = [film for film in films[np.argsort(length[films])].tolist() if can_flip(foam.topology, film)]
        if not able:
            return None
        foam, event = flipped(foam, able[0], float(length[able[0]]))
        events.append(event)
    if not can_vanish(foam.topology, bubble):
        return None
    foam, last = vanished(foam, bubble)
    return foam, [*events, last]


def _move_end(edges: Integers, wraps: Integers, half_film: int, vertex: int, shift: Integers) -> None:
    """Let `half_film` start at `vertex`, whose image where the film started is shifted by `shift`."""
    film, end = divmod(half_film, 2)
    edges[film, end] = vertex
    wraps[film] += -shift if end == 0 else shift


def _merge(topology: Topology, edges: Integers, wraps: Integers, outer: list[int], shifts: Integers) -> None:
    """Lengthen the first outer film of a lens to the far end of the second one."""
    one, two = outer
    span = topology.wraps[two // 2] * (1 if two % 2 == 0 else -1)
    # In the frame of the lens: corner 1 lies at its vertex + shifts[1], and the far end at its vertex + this.
    far = shifts[1] + span
    _move_end(edges, wraps, one, int(topology.head[two]), far - shifts[0])
