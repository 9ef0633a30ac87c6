"""The next frame of a foam, as the generator makes it: gas first, then rounds towards equilibrium, with T1s and T2s.

No bubble is ever born or merged, and gas only changes hands: bubbles keep their names, and what vanishes leaves its gas
to its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from theoros.models.data import Array
from theoros.models.twins.foam_generator import Fluxes, Mover
from theoros.models.twins.foam_graph import FoamGraph, FoamState, Shape, graph_of, shape_of
from theoros.oracles.physics.foam import Foam
from theoros.oracles.physics.foam.coarsening import VANISHING
from theoros.oracles.physics.foam.equilibrium import COLLAPSED, collapse_lengths
from theoros.oracles.physics.foam.network import chords
from theoros.oracles.physics.foam.topology import T2, Event, can_flip, can_vanish, flipped, vanished

#: Farthest that a round moves a vertex (root mean areas), and most that it changes a pressure.
FARTHEST, MOST_PRESSURE = 0.2, 1.0
#: Rounds go on until force at vertices and gas out of place (root mean squares) are below these, or there were so many.
GOOD_FORCE, GOOD_GAS, MOST_ROUNDS = 0.01, 0.003, 12


class Generator(nn.Module):
    """One conditional generator of next frames: its weights, and the length of hidden features that they have."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.fluxes = Fluxes(hidden, layers=1)
        self.mover = Mover(hidden, layers=3, embedding_layers=1)


@dataclass(frozen=True)
class Round:
    """Where a frame stands after a round, with gradients."""

    graph: FoamGraph
    state: FoamState
    shape: Shape


@dataclass(frozen=True)
class Made:
    """Next frames: the foams, what happened in each, the rounds on the way, and the rates at which bubbles gained gas.

    `rates` (B of the foams before, mean areas per unit of mean area in time) and the last of `rounds` carry gradients.
    """

    foams: tuple[Foam, ...]
    events: tuple[tuple[Event, ...], ...]
    rounds: tuple[Round, ...]
    rates: Tensor
    sides: Tensor


def next_frames(
    generator: Generator,
    foams: Sequence[Foam],
    intervals: Sequence[float],
    noise: torch.Generator,
    *,
    least_rounds: int = 1,
    most_rounds: int = MOST_ROUNDS,
) -> Made:
    """The frames that follow `foams` after `intervals` (in the foams' units of time, one each)."""
    graph, state = graph_of(foams)
    rates = _rates(generator, graph, state, noise)
    current, events = _after_diffusion(foams, intervals, rates.detach().double().numpy())
    sides, rounds = graph.sides, list[Round]()
    graph, state = graph_of(current)
    for number in range(most_rounds + 1):
        shape = shape_of(graph, state)
        if number:
            rounds.append(Round(graph, state, shape))
        if number == most_rounds or (number >= least_rounds and _good(state, shape)):
            break
        moved = _moved(generator, graph, state, shape, noise)
        doomed = _collapsed(current, graph, state, moved, shape)
        before, state = state, moved
        if doomed:
            current, new = _flip(_written(current, graph, _held_back(graph, before, moved, current, doomed)), doomed)
            events = [[*old, *more] for old, more in zip(events, new, strict=True)]
            graph, state = graph_of(current)
    written = _written(current, graph, state)
    ended = [replace(foam, time=old.time + dt) for foam, old, dt in zip(written, foams, intervals, strict=True)]
    return Made(tuple(ended), tuple(tuple(own) for own in events), tuple(rounds), rates, sides)


def noise_of(like: Tensor, source: torch.Generator) -> Tensor:
    """Standard normal noise of each half-film."""
    return torch.randn(len(like), generator=source, dtype=torch.float32)


def _rates(generator: Generator, graph: FoamGraph, state: FoamState, noise: torch.Generator) -> Tensor:
    shape = shape_of(graph, state)
    flux: Tensor = generator.fluxes(graph, state, shape, noise_of(graph.tail, noise))
    return graph.of_bubbles(flux[:, None])[:, 0]


def _after_diffusion(
    foams: Sequence[Foam], intervals: Sequence[float], rates: Array
) -> tuple[list[Foam], list[list[Event]]]:
    """The foams with their gas after an interval, less the bubbles that are empty by then; and the events."""
    ended, events, start = [], [], 0
    for foam, interval in zip(foams, intervals, strict=True):
        gained = interval * rates[start : start + foam.bubbles]
        start += foam.bubbles
        gained = gained - gained.mean()  # rounding in single precision
        after, own = _without_empty(replace(foam, areas=foam.areas + gained))
        ended.append(after)
        events.append(own)
    return ended, events


def _without_empty(foam: Foam) -> tuple[Foam, list[Event]]:
    """`foam` without the bubbles that have less than the share of the mean area at which bubbles vanish.

    The emptiest goes first. One that is stuck, since it can neither vanish nor lose a side, is let be until another
    has vanished: two such would else pass a side to and fro for ever, where a generator went astray.
    """
    events: list[Event] = []
    stuck: set[int] = set()
    while True:
        empty = np.flatnonzero((foam.areas < VANISHING * foam.mean_area) & ~np.isin(foam.ids, list(stuck)))
        if not len(empty):
            return _none_negative(foam), events
        bubble = int(empty[np.argmin(foam.areas[empty])])
        changed = _one_less(foam, bubble)
        if changed is None:
            stuck.add(int(foam.ids[bubble]))
            continue
        foam, event = changed
        events.append(event)
        if isinstance(event, T2):
            stuck.clear()


def _one_less(foam: Foam, bubble: int) -> tuple[Foam, Event] | None:
    """The foam without `bubble`, or with one side less of it where it has too many; None where neither can be."""
    topology = foam.topology
    if can_vanish(topology, bubble):
        return vanished(foam, bubble)
    chord = np.hypot(*chords(topology, foam.vertices).T)
    films = topology.outline(bubble) // 2
    for film in films[np.argsort(chord[films])]:
        if can_flip(topology, int(film)):
            return flipped(foam, int(film), float(chord[film]))
    return None


def _none_negative(foam: Foam) -> Foam:
    """`foam` where empty bubbles that could not vanish owe nothing: the others pay, each by its share of their gas.

    One neighbour alone might not have as much, and owe it in its turn.
    """
    owes = foam.areas < 0
    if not owes.any():
        return foam
    areas = np.where(owes, 0.5 * VANISHING * foam.mean_area, foam.areas)
    areas[~owes] *= (foam.areas.sum() - areas[owes].sum()) / areas[~owes].sum()
    return replace(foam, areas=areas)


def _good(state: FoamState, shape: Shape) -> bool:
    force = shape.force.detach().pow(2).sum(1).mean().sqrt()
    gas = (state.areas - shape.enclosed.detach()).pow(2).mean().sqrt()
    return bool(force < GOOD_FORCE and gas < GOOD_GAS)


def _moved(generator: Generator, graph: FoamGraph, state: FoamState, shape: Shape, noise: torch.Generator) -> FoamState:
    step, push = generator.mover(graph, state, shape, noise_of(graph.tail, noise))
    length = step.norm(dim=1, keepdim=True)
    step = step * (FARTHEST / length.clamp(min=FARTHEST))
    return FoamState(state.vertices + step, state.pressures + push.clamp(-MOST_PRESSURE, MOST_PRESSURE), state.areas)


def _collapsed(
    foams: Sequence[Foam], graph: FoamGraph, before: FoamState, after: FoamState, shape: Shape
) -> list[tuple[int, int]]:
    """Films (foam, film) that a round made shorter than any film may be, or turned over."""
    with torch.no_grad():
        forth = slice(0, None, 2)
        tail, head, step = graph.tail[forth], graph.head[forth], graph.step[forth]
        old = before.vertices[head] + step - before.vertices[tail]
        new = after.vertices[head] + step - after.vertices[tail]
        smaller = torch.minimum(after.areas[graph.left[forth]], after.areas[graph.right[forth]]).clamp(0, 1)
        chord = shape.chord[forth]
        along = (old * new).sum(1) / chord
        limit = COLLAPSED * smaller.sqrt()
        films = torch.nonzero((along < limit) & (along < chord))[:, 0].tolist()
    found, start = [], 0
    for number, foam in enumerate(foams):
        size = len(foam.edges)
        found += [(number, film - start) for film in films if start <= film < start + size]
        start += size
    return found


def _held_back(
    graph: FoamGraph, before: FoamState, after: FoamState, foams: Sequence[Foam], films: list[tuple[int, int]]
) -> FoamState:
    """`after`, with the ends of `films` where they were `before`: a film that was turned over knows no sides."""
    starts = np.cumsum([0, *(len(foam.edges) for foam in foams)])
    half_films = torch.tensor([2 * (int(starts[number]) + film) for number, film in films])
    ends = torch.cat([graph.tail[half_films], graph.head[half_films]])
    vertices = after.vertices.detach().clone()
    vertices[ends] = before.vertices.detach()[ends]
    return FoamState(vertices, after.pressures.detach(), after.areas)


def _flip(foams: list[Foam], films: list[tuple[int, int]]) -> tuple[list[Foam], list[list[Event]]]:
    """The foams after a T1 of each film that can be flipped; a bubble of three sides keeps them."""
    events: list[list[Event]] = [[] for _ in foams]
    for number, film in films:
        foam = foams[number]
        if can_flip(foam.topology, film, fewest_sides=3):
            length = float(collapse_lengths(foam)[film])
            foams[number], event = flipped(foam, film, max(length, 1e-4 * math.sqrt(foam.mean_area)))
            events[number].append(event)
    return foams, events


def _written(foams: Sequence[Foam], graph: FoamGraph, state: FoamState) -> list[Foam]:
    """The foams with the vertices and pressures of a state, and the half-angles that go with them."""
    with torch.no_grad():
        half_angles = shape_of(graph, state).half_angle[0::2].double().numpy()
        vertices, pressures = state.vertices.double().numpy(), state.pressures.double().numpy()
    written, v, b, f = [], 0, 0, 0
    for foam in foams:
        scale = math.sqrt(foam.mean_area)
        written.append(
            replace(
                foam,
                vertices=vertices[v : v + len(foam.vertices)] * scale,
                pressures=pressures[b : b + foam.bubbles] / scale,
                half_angles=half_angles[f : f + len(foam.edges)],
            )
        )
        v, b, f = v + len(foam.vertices), b + foam.bubbles, f + len(foam.edges)
    return written
