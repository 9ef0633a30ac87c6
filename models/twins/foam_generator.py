"""The generator of the foam's next frame: message passing along half-films.

Two networks share the graph. The *fluxes* say how much gas crosses each film; what one bubble loses another gains, so
that no gas is made or lost whatever the weights are. The *mover* brings vertices and pressures back to equilibrium,
round by round, as an iterative solver does: its steps are linear in what is out of equilibrium (forces at vertices, gas
beyond what the films enclose), with gates that are learned from the geometry. So an exact frame is a fixed point by
construction, and small errors do not pile up but are relaxed by the rounds that follow.

After learned simulators (Sanchez-Gonzalez et al., arXiv:2002.09405) and learned solvers that keep the fixed point of
the one that they replace (Hsieh et al., arXiv:1906.01155).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from theoros.models.twins.foam_graph import FoamGraph, FoamState, Shape

#: What is known of a half-film's geometry, and what may be out of equilibrium at it.
GEOMETRY, RESIDUALS = 12, 6


def geometry(graph: FoamGraph, state: FoamState, shape: Shape) -> Tensor:
    """Features of each half-film as its left bubble sees it, H x `GEOMETRY`; all of order one."""
    sides = graph.sides.to(shape.chord.dtype)
    left, right, p = graph.left, graph.right, state.pressures
    return torch.stack(
        [
            shape.chord,
            shape.length,
            torch.log(shape.chord + 0.02),
            shape.half_angle,
            0.5 * (p[left] - p[right]),
            shape.length * (p[left] - p[right]),
            sides[left] / 2 - 3,
            sides[right] / 2 - 3,
            state.areas[left] - 1,
            state.areas[right] - 1,
            state.areas[left].clamp(min=1e-3).log(),
            state.areas[right].clamp(min=1e-3).log(),
        ],
        dim=1,
    )


def residuals(graph: FoamGraph, state: FoamState, shape: Shape) -> Tensor:
    """What is out of equilibrium at each half-film, H x `RESIDUALS`: forces along and across it at both ends, and gas
    that left and right bubble hold beyond what their films enclose.
    """
    own, other = shape.force[graph.tail], shape.force[graph.head]
    back = graph.backwards(shape.tangent)
    excess = state.areas - shape.enclosed
    return torch.stack(
        [
            (own * shape.tangent).sum(1),
            _cross(shape.tangent, own),
            (other * back).sum(1),
            _cross(back, other),
            excess[graph.left],
            excess[graph.right],
        ],
        dim=1,
    )


class Embedding(nn.Module):
    """Geometry and noise of half-films, with that of their neighbours, as hidden features: H x `hidden`."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(GEOMETRY + 1, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(5 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden)) for _ in range(layers)
        )

    def forward(self, graph: FoamGraph, features: Tensor, noise: Tensor) -> Tensor:
        """`features` H x `GEOMETRY` and `noise` H; returns H x hidden."""
        hidden: Tensor = self.first(torch.cat([features, noise[:, None]], dim=1))
        for layer in self.layers:
            hidden = hidden + layer(gathered(graph, torch.nn.functional.silu(hidden)))
        return hidden


class Fluxes(nn.Module):
    """Gas that crosses each half-film towards its left bubble in a unit of time, H; film by film it sums to nothing."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = Embedding(hidden, layers)
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 1))
        self.conduct = nn.Parameter(torch.zeros(1))

    def forward(self, graph: FoamGraph, state: FoamState, shape: Shape, noise: Tensor) -> Tensor:
        """Mean bubble areas per unit of time, H."""
        features = geometry(graph, state, shape)
        one_way: Tensor = self.out(self.embedding(graph, features, noise)) - self.conduct * features[:, 5:6]
        return 0.5 * (one_way - graph.backwards(one_way))[:, 0]


class Mover(nn.Module):
    """One round towards equilibrium: steps of vertices (V x 2) and pressures (B), linear in the residuals."""

    def __init__(self, hidden: int, layers: int, embedding_layers: int) -> None:
        super().__init__()
        self.embedding = Embedding(hidden, embedding_layers)
        self.start = nn.Linear(RESIDUALS, hidden, bias=False)
        self.messages = nn.ModuleList(nn.Linear(5 * hidden, hidden, bias=False) for _ in range(layers))
        self.gates = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers + 1))
        self.out = nn.Linear(hidden, 3, bias=False)
        self.direct = nn.Linear(hidden, 3 * RESIDUALS)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, graph: FoamGraph, state: FoamState, shape: Shape, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The steps, in the graph's units."""
        known = torch.nn.functional.silu(self.embedding(graph, geometry(graph, state, shape), noise))
        wrong = residuals(graph, state, shape)
        carried = self.start(wrong) * self.gates[0](known)
        for message, gate in zip(self.messages, self.gates[1:], strict=True):
            carried = carried + message(gathered(graph, carried)) * gate(known)
        direct = (self.direct(known).reshape(len(wrong), 3, RESIDUALS) * wrong[:, None]).sum(2)
        along, across, push = (self.out(carried) + direct).unbind(1)
        pull = along[:, None] * shape.tangent + across[:, None] * torch.stack(
            [-shape.tangent[:, 1], shape.tangent[:, 0]], dim=1
        )
        return pull[graph.spokes].sum(1), graph.of_bubbles(push[:, None])[:, 0]


def gathered(graph: FoamGraph, values: Tensor) -> Tensor:
    """What a half-film and those near it carry, H x 5 c: itself, the other side of its film, the means round its left
    and its right bubble, and the sum at its tail.
    """
    round_ = graph.of_bubbles(values) / graph.sides[:, None]
    spokes = values[graph.spokes].sum(1)
    return torch.cat(
        [values, graph.backwards(values), round_[graph.left], round_[graph.right], spokes[graph.tail]], dim=1
    )


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
