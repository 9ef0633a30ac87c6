"""The Newton system of a foam's equilibrium (Karush-Kuhn-Tucker): film by film, then sparse."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from theoros.oracles.physics.foam.arcs import chord_factors
from theoros.oracles.physics.foam.network import Floats, Foam, Topology, chords, enclosed, totals

#: Keeps the system regular against what costs nothing: moving the whole foam, raising all pressures.
REGULAR = 1e-9
#: The least curvature of a film's energy by its half-angle, in chords: it vanishes for half circles.
LEAST_STIFFNESS = 0.02
#: Rows are exchanged only for pivots this much below the column's largest: exchanges spoil the elimination order.
PIVOT = 1e-6


@dataclass(frozen=True)
class Slopes:
    """First and second derivatives of the Lagrangian ``length - sum p (area - target)`` at one foam.

    `force` (2 N x 2) is that by the vertices and `torque` (3 N) that by the half-angles; `shortage` (N) is target minus
    area. `blocks` (3 N x 6 x 6) are the films' shares of the reduced system, `load` (3 N x 6) those of its right-hand
    side. `stiffness`, `mixed`, `gain` (3 N) and `chord` (3 N x 2) give the half-angles their steps back.
    """

    energy: float
    chord: Floats
    force: Floats
    torque: Floats
    shortage: Floats
    blocks: Floats
    load: Floats
    stiffness: Floats
    mixed: Floats
    gain: Floats


def slopes(foam: Foam) -> Slopes:
    """The Lagrangian's derivatives at `foam`, whose `areas` are the targets."""
    topology = foam.topology
    d = chords(topology, foam.vertices)
    c = np.sqrt((d**2).sum(axis=1))
    f = chord_factors(foam.half_angles)
    dp = foam.pressures[topology.cells[:, 0]] - foam.pressures[topology.cells[:, 1]]
    gain = c**2 * f.area_1
    torque = c * f.length_1 - dp * gain
    stiffness = np.maximum(c * f.length_2 - dp * c**2 * f.area_2, LEAST_STIFFNESS * c)
    mixed = f.length_1 / c - 2 * dp * f.area_1
    turned = 0.5 * np.stack([d[:, 1], -d[:, 0]], axis=1)  # a polygon's area by either end of a side
    pull = (f.length / c - 2 * dp * f.area)[:, None] * d
    force = np.zeros_like(foam.vertices)
    for end, sign in ((0, -1.0), (1, 1.0)):
        share = sign * pull - dp[:, None] * turned
        for k in (0, 1):
            force[:, k] += totals(topology.edges[:, end], share[:, k], len(force))
    hessian = (f.length / c - 2 * dp * f.area)[:, None, None] * np.eye(2) - (f.length / c**3 + mixed**2 / stiffness)[
        :, None, None
    ] * d[:, :, None] * d[:, None, :]
    return Slopes(
        float(c @ f.length),
        d,
        force,
        torque,
        foam.areas - enclosed(topology, foam.vertices, d, c**2 * f.area),
        _blocks(hessian, dp, turned, (2 * f.area - mixed * gain / stiffness)[:, None] * d, gain**2 / stiffness),
        _load(mixed[:, None] * d * (torque / stiffness)[:, None], gain * torque / stiffness),
        stiffness,
        mixed,
        gain,
    )


def _blocks(hessian: Floats, dp: Floats, turned: Floats, segment: Floats, compliance: Floats) -> Floats:
    """The symmetric 6 x 6 share of each film in (first vertex, last vertex, left pressure, right pressure)."""
    blocks = np.empty((len(dp), 6, 6))
    twist = 0.5 * dp[:, None, None] * np.array([[0.0, 1.0], [-1.0, 0.0]])
    blocks[:, :2, :2] = blocks[:, 2:4, 2:4] = hessian
    blocks[:, :2, 2:4] = -hessian - twist
    blocks[:, 2:4, :2] = -hessian + twist
    area = np.concatenate([turned - segment, turned + segment], axis=1)  # of the left bubble, by both ends
    blocks[:, :4, 4] = blocks[:, 4, :4] = -area
    blocks[:, :4, 5] = blocks[:, 5, :4] = area
    blocks[:, 4, 4] = blocks[:, 5, 5] = -compliance
    blocks[:, 4, 5] = blocks[:, 5, 4] = compliance
    return blocks


def _load(pull: Floats, gas: Floats) -> Floats:
    """What eliminating the half-angles adds to the right-hand side, 3 N x 6."""
    return np.concatenate([-pull, pull, -gas[:, None], gas[:, None]], axis=1)


class Assembly:
    """Where the films' shares go in the sparse system of one topology, and an elimination order for it."""

    def __init__(self, topology: Topology) -> None:
        v = len(topology.edges) * 2 // 3
        first, last = topology.edges.T
        left, right = topology.cells.T + 2 * v
        self.unknowns = np.stack([2 * first, 2 * first + 1, 2 * last, 2 * last + 1, left, right], axis=1)
        self.size, self.coordinates = 2 * v + topology.bubbles, 2 * v
        self.order = np.arange(self.size)
        self._lay_out()
        self.ordered = False

    def _lay_out(self) -> None:
        """Find where each share lands in compressed columns, with unknowns numbered by `order`."""
        place = self.order[self.unknowns]
        row, column = np.broadcast_arrays(place[:, :, None], place[:, None, :])
        diagonal = np.arange(self.size)
        flat = np.concatenate([(column * self.size + row).reshape(-1), diagonal * (self.size + 1)])
        entries, self.slot = np.unique(flat, return_inverse=True)
        self.rows = (entries % self.size).astype(np.int32)
        self.starts = np.searchsorted(entries // self.size, np.arange(self.size + 1)).astype(np.int32)

    def factor(self, blocks: Floats, damping: float) -> Factors:
        """Factor the system with `damping` added to the coordinates' diagonal; RuntimeError where it is singular."""
        diagonal = np.empty(self.size)
        diagonal[self.order] = np.where(np.arange(self.size) < self.coordinates, REGULAR + damping, -REGULAR)
        values = np.bincount(self.slot, weights=np.concatenate([blocks.reshape(-1), diagonal]))
        matrix = sparse.csc_array((values, self.rows, self.starts), shape=(self.size, self.size))
        if self.ordered:
            return Factors(self, _lu(matrix, "NATURAL"))
        lu = _lu(matrix, "MMD_AT_PLUS_A")
        # From now on in this order: the search for it costs as much as the factors.
        self.order, self.ordered = np.asarray(lu.perm_c)[self.order].astype(np.int64), True
        self._lay_out()
        return self.factor(blocks, damping)


def _lu(matrix: Any, order: Literal["NATURAL", "MMD_AT_PLUS_A"]) -> Any:
    return splu(matrix, permc_spec=order, diag_pivot_thresh=PIVOT, options={"SymmetricMode": True})


@dataclass(frozen=True)
class Factors:
    """A factored system."""

    assembly: Assembly
    lu: Any

    def solve(self, right: Floats) -> tuple[Floats, Floats]:
        """The steps of vertices (2 N x 2) and pressures (N) for a right-hand side in the natural order."""
        ordered = np.empty_like(right)
        ordered[self.assembly.order] = right
        found = self.lu.solve(ordered)[self.assembly.order]
        pressures = found[self.assembly.coordinates :]
        return found[: self.assembly.coordinates].reshape(-1, 2), pressures - pressures.mean()


_assemblies: weakref.WeakKeyDictionary[Topology, Assembly] = weakref.WeakKeyDictionary()


def assembly_of(topology: Topology) -> Assembly:
    """The assembly of `topology`, kept as long as the topology lives."""
    if topology not in _assemblies:
        _assemblies[topology] = Assembly(topology)
    return _assemblies[topology]


@dataclass(frozen=True)
class Step:
    """Changes of vertices (2 N x 2), half-angles (3 N) and pressures (N)."""

    vertices: Floats
    half_angles: Floats
    pressures: Floats


def factored(foam: Foam, at: Slopes, damping: float = 0.0) -> Factors:
    """The Newton system of `foam`, factored; RuntimeError where it is singular."""
    return assembly_of(foam.topology).factor(at.blocks, damping)


def newton_step(foam: Foam, at: Slopes, factors: Factors) -> Step:
    """The step towards equilibrium from the slopes `at` the foam; `factors` may be those of a foam close by."""
    assembly = factors.assembly
    right = totals(assembly.unknowns.reshape(-1), at.load.reshape(-1), assembly.size)
    right[: assembly.coordinates] -= at.force.reshape(-1)
    right[assembly.coordinates :] -= at.shortage
    return _with_angles(foam, at, *factors.solve(right), torque=at.torque)


def tangent(foam: Foam, at: Slopes, factors: Factors, rates: Floats) -> Step:
    """How fast an equilibrium changes when its areas change at the `rates` (N)."""
    right = np.concatenate([np.zeros(factors.assembly.coordinates), -rates])
    return _with_angles(foam, at, *factors.solve(right), torque=np.zeros(len(at.torque)))


def _with_angles(foam: Foam, at: Slopes, vertices: Floats, pressures: Floats, torque: Floats) -> Step:
    edges, cells = foam.topology.edges, foam.topology.cells
    stretch = (at.chord * (vertices[edges[:, 1]] - vertices[edges[:, 0]])).sum(axis=1)
    push = pressures[cells[:, 0]] - pressures[cells[:, 1]]
    return Step(vertices, (at.gain * push - torque - at.mixed * stretch) / at.stiffness, pressures)
