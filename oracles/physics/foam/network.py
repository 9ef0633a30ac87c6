"""A two-dimensional dry foam: circular films that meet three by three, on a periodic box of side 1.

Topology says who borders whom, in integers; `Foam` adds the geometry. Each film is seen as two half-films, one for each
of its bubbles: half-film ``2 f`` runs along film f with the film's first bubble on its left, ``2 f + 1`` runs backwards
with the second bubble on its left. A bubble's half-films go round it counterclockwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.physics.foam.arcs import chord_factors

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Topology:
    """Which films join which vertices, and part which bubbles. With N bubbles there are 2 N vertices and 3 N films.

    Film f runs from the vertex ``edges[f, 0]`` to the image of ``edges[f, 1]`` that is shifted by the integers
    ``wraps[f]``; the bubble ``cells[f, 0]`` lies on its left and ``cells[f, 1]`` on its right. Shapes are 3 N x 2.
    """

    edges: Integers
    wraps: Integers
    cells: Integers

    @property
    def bubbles(self) -> int:
        """The number N of bubbles."""
        return len(self.edges) // 3

    @cached_property
    def tail(self) -> Integers:
        """Where each half-film starts, 6 N."""
        return self.edges.reshape(-1)

    @cached_property
    def head(self) -> Integers:
        """Where each half-film ends, 6 N."""
        return self.edges[:, ::-1].reshape(-1)

    @cached_property
    def left(self) -> Integers:
        """The bubble on the left of each half-film, 6 N."""
        return self.cells.reshape(-1)

    @cached_property
    def spokes(self) -> Integers:
        """The three half-films that leave each vertex, 2 N x 3, in no order."""
        return np.argsort(self.tail, kind="stable").reshape(-1, 3)

    @cached_property
    def following(self) -> Integers:
        """The next half-film counterclockwise round the same bubble, 6 N."""
        leaving = self.spokes[self.head]
        return np.asarray(leaving[np.arange(len(leaving)), np.argmax(self.left[leaving] == self.left[:, None], axis=1)])

    @cached_property
    def sides(self) -> Integers:
        """The number of films of each bubble, N."""
        return np.bincount(self.left, minlength=self.bubbles)

    @cached_property
    def firsts(self) -> Integers:
        """One half-film of each bubble, N: where a walk round it starts."""
        return np.unique(self.left, return_index=True)[1]

    @cached_property
    def shifts(self) -> Integers:
        """What to add to each half-film's first vertex so that a bubble's outline is in one piece, 6 N x 2."""
        own = np.stack([self.wraps, -self.wraps], axis=1).reshape(-1, 2)
        shifts = np.zeros_like(own)
        current = self.firsts
        for _ in range(int(self.sides.max()) - 1):
            after = self.following[current]
            going = after != self.firsts
            shifts[after[going]] = shifts[current[going]] + own[current[going]]
            current = np.where(going, after, current)
        return shifts

    def neighbours(self, bubble: int) -> Integers:
        """The bubbles across the films of `bubble`, counterclockwise."""
        return np.asarray(self.left[self.outline(bubble) ^ 1])

    def outline(self, bubble: int) -> Integers:
        """The half-films of `bubble`, counterclockwise."""
        found = [int(self.firsts[bubble])]
        while (after := int(self.following[found[-1]])) != found[0]:
            found.append(after)
        return np.array(found)


@dataclass(frozen=True, eq=False)
class Foam:
    """A foam of N bubbles: lengths in sides of the box, films of unit tension, pressures in tension per length.

    `vertices` (2 N x 2) may lie outside the box: they are known up to whole sides. Film f is the arc over the chord
    from vertex ``edges[f, 0]`` to ``edges[f, 1] + wraps[f]`` whose half-angle is ``half_angles[f]`` (radians): positive
    where the arc bulges away from its left bubble, so that its curvature is ``2 sin(half angle) / chord``. `ids` (N)
    are the bubbles' names for life; `areas` (N) is the gas that each holds, 1 altogether, and `pressures` (N) are known
    up to a common constant. `time` counts from the start in units of side^2 / (permeability x tension).
    """

    topology: Topology
    vertices: Floats
    half_angles: Floats
    ids: Integers
    areas: Floats
    pressures: Floats
    time: float = 0.0

    @property
    def bubbles(self) -> int:
        """The number N of bubbles."""
        return self.topology.bubbles

    @property
    def edges(self) -> Integers:
        """First and last vertex of each film, 3 N x 2."""
        return self.topology.edges

    @property
    def wraps(self) -> Integers:
        """Whole sides to add to each film's last vertex, 3 N x 2."""
        return self.topology.wraps

    @property
    def cells(self) -> Integers:
        """Left and right bubble of each film, 3 N x 2, as rows of `ids`, `areas` and `pressures`."""
        return self.topology.cells

    @property
    def sides(self) -> Integers:
        """The number of films of each bubble, N."""
        return self.topology.sides

    @property
    def mean_area(self) -> float:
        """The mean area of a bubble."""
        return 1.0 / self.bubbles


def chords(topology: Topology, vertices: Floats) -> Floats:
    """The vector from the first to the last vertex of each film, 3 N x 2."""
    edges = topology.edges
    return np.asarray(vertices[edges[:, 1]] + topology.wraps - vertices[edges[:, 0]])


def lengths(foam: Foam) -> Floats:
    """The length of each film, 3 N."""
    chord = np.linalg.norm(chords(foam.topology, foam.vertices), axis=1)
    return np.asarray(chord * chord_factors(foam.half_angles).length)


def measured_areas(topology: Topology, vertices: Floats, half_angles: Floats) -> Floats:
    """The area that the films enclose round each bubble, N: polygons, and the segments between chords and arcs."""
    chord = chords(topology, vertices)
    return enclosed(topology, vertices, chord, (chord**2).sum(axis=1) * chord_factors(half_angles).area)


def totals(places: Integers, values: Floats, size: int) -> Floats:
    """The sums of the `values` at each of `size` places."""
    return np.asarray(np.bincount(places, weights=values, minlength=size), dtype=np.float64)


def enclosed(topology: Topology, vertices: Floats, chord: Floats, segment: Floats) -> Floats:
    """The areas (N) round which the films go, of known chords (3 N x 2) and segments (3 N)."""
    start = vertices[topology.tail] + topology.shifts
    along = np.stack([chord, -chord], axis=1).reshape(-1, 2)
    swept = 0.5 * (start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0])
    swept += np.stack([segment, -segment], axis=1).reshape(-1)
    return totals(topology.left, swept, topology.bubbles)
