"""A batch of foams as one graph of half-films, in PyTorch: geometry and the residuals of its equilibrium.

Units: lengths in root mean bubble areas of the own foam, so that every foam has mean area 1 whatever its number of
bubbles; pressures in film tension per such length. Half-films are those of `theoros.oracles.physics.foam.network`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.oracles.physics.foam import Foam

#: No arc is longer than three quarters of its circle's half: the sine of a half-angle stays below this.
STEEPEST = 0.95


@dataclass(frozen=True)
class FoamGraph:
    """Who borders whom in a batch of foams: B bubbles, V vertices, H half-films (twice the films).

    `tail`, `head` (H) are vertices; `left`, `right` (H) bubbles; `spokes` (V x 3) the half-films that leave a vertex;
    `step` (H x 2) what to add to the head so that it is next to the tail, and `shift` (H x 2) to the tail so that a
    bubble's outline is in one piece; `sides` (B) the numbers of films.
    """

    tail: Tensor
    head: Tensor
    left: Tensor
    right: Tensor
    spokes: Tensor
    step: Tensor
    shift: Tensor
    sides: Tensor

    @property
    def bubbles(self) -> int:
        """How many bubbles there are in all foams together."""
        return len(self.sides)

    def of_bubbles(self, values: Tensor) -> Tensor:
        """Sum what half-films carry (H x c) over the outline of each bubble: B x c."""
        total = values.new_zeros((self.bubbles, values.shape[1]))
        return total.index_add(0, self.left, values)

    def backwards(self, values: Tensor) -> Tensor:
        """What each half-film's twin on the other side of the film carries: H x c."""
        return values.reshape(-1, 2, values.shape[1]).flip(1).reshape(values.shape)


@dataclass(frozen=True)
class FoamState:
    """Where the vertices are (V x 2), the bubbles' pressures (B), and the gas that each holds (B, mean 1)."""

    vertices: Tensor
    pressures: Tensor
    areas: Tensor


@dataclass(frozen=True)
class Shape:
    """The geometry of a state.

    `chord` (H) and `half_angle` (H, positive where the arc bulges away from the left bubble), `length` (H), the unit
    `tangent` at the tail (H x 2), the sum of the three tangents at each vertex, `force` (V x 2): zero where films meet
    at 120 degrees, and what the films enclose, `enclosed` (B).
    """

    chord: Tensor
    half_angle: Tensor
    length: Tensor
    tangent: Tensor
    force: Tensor
    enclosed: Tensor


def graph_of(foams: Sequence[Foam], dtype: torch.dtype = torch.float32) -> tuple[FoamGraph, FoamState]:
    """A batch of foams; the first foam's bubbles, vertices and half-films come first, in their order."""
    pieces: list[tuple[NDArray[Any], ...]] = []
    vertices, bubbles, half_films = 0, 0, 0
    for foam in foams:
        topology, scale = foam.topology, math.sqrt(foam.mean_area)
        step = np.stack([topology.wraps, -topology.wraps], axis=1).reshape(-1, 2) / scale
        pieces.append(
            (
                topology.tail + vertices,
                topology.head + vertices,
                topology.left + bubbles,
                topology.cells[:, ::-1].reshape(-1) + bubbles,
                topology.spokes + half_films,
                step,
                topology.shifts / scale,
                topology.sides,
                foam.vertices / scale,
                foam.pressures * scale,
                foam.areas / foam.mean_area,
            )
        )
        vertices, bubbles = vertices + len(foam.vertices), bubbles + topology.bubbles
        half_films += len(topology.tail)
    joined = [torch.from_numpy(np.concatenate(column)) for column in zip(*pieces, strict=True)]
    tail, head, left, right, spokes, steps, shifts, sides, x, p, areas = joined
    graph = FoamGraph(tail, head, left, right, spokes, steps.to(dtype), shifts.to(dtype), sides)
    return graph, FoamState(x.to(dtype), p.to(dtype), areas.to(dtype))


def shape_of(graph: FoamGraph, state: FoamState) -> Shape:
    """The geometry: films are arcs whose curvature is the difference of the pressures (Young-Laplace), cut at
    `STEEPEST`.
    """
    along = state.vertices[graph.head] + graph.step - state.vertices[graph.tail]
    chord = along.norm(dim=1).clamp(min=1e-6)
    bend = 0.5 * chord * (state.pressures[graph.left] - state.pressures[graph.right])
    half_angle = torch.asin(bend.clamp(-STEEPEST, STEEPEST))
    tangent = turned(along / chord[:, None], -half_angle)
    force = tangent[graph.spokes].sum(1)
    small = half_angle.abs() < 0.05
    safe = torch.where(small, torch.full_like(half_angle, 0.5), half_angle)
    sine, cosine = torch.sin(safe), torch.cos(safe)
    stretch = torch.where(small, 1 + half_angle**2 / 6, safe / sine)
    lens = torch.where(small, half_angle * (1 / 6 + half_angle**2 / 45), (safe - sine * cosine) / (4 * sine**2))
    start = state.vertices[graph.tail] + graph.shift
    swept = 0.5 * (start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0]) + chord**2 * lens
    return Shape(chord, half_angle, chord * stretch, tangent, force, graph.of_bubbles(swept[:, None])[:, 0])


def turned(vectors: Tensor, angle: Tensor) -> Tensor:
    """Vectors (n x 2) turned counterclockwise by angles (n), in radians."""
    cosine, sine = torch.cos(angle), torch.sin(angle)
    x, y = vectors[:, 0], vectors[:, 1]
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=1)
