"""Coarsening: gas diffuses through the films, and the foam stays in equilibrium all along.

Gas goes from bubble i to bubble j at the rate ``length x (p_i - p_j)`` of their film (permeability and tension are 1).
In equilibrium this is von Neumann's law, ``dA/dt = K0 (n - 6)`` for a bubble of n sides with ``K0 = pi / 3``
(J. von Neumann in Metal Interfaces, American Society for Metals, 1952, p. 108), so that Euler's steps are exact between
topological changes. Steps are predicted along the equilibrium's tangent, end before any bubble or film could be gone,
and are taken back and halved where the corrected foam finds no equilibrium.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.physics.foam.equilibrium import Relaxed, collapse_lengths, moved, relax, stretches
from theoros.oracles.physics.foam.kkt import Step, tangent
from theoros.oracles.physics.foam.network import Floats, Foam, chords, lengths, totals
from theoros.oracles.physics.foam.start import FEWEST_BUBBLES
from theoros.oracles.physics.foam.topology import Event, can_flip, flipped, removed

#: Von Neumann's constant for unit permeability and tension.
K0 = math.pi / 3
#: A bubble with less gas than this share of the mean vanishes.
VANISHING = 0.01
#: Most that a step takes of a bubble's gas, off a film's chord, and of the mean area from or to any bubble.
MOST_GAS, MOST_CHORD, MOST_CHANGE = 0.7, 0.6, 0.25
#: A T1 makes a film this much longer than the one that collapsed.
LONGER = 3.0
#: Newton's iterations before a step is taken back, and how often it is halved.
STEP_ITERATIONS, HALVINGS = 40, 12


@dataclass(frozen=True)
class Frame:
    """A foam in equilibrium, and what has happened since the frame before."""

    foam: Foam
    events: tuple[Event, ...]


def rates(foam: Foam) -> Floats:
    """How fast the area of each bubble changes by diffusion, N; they sum to zero."""
    left, right = foam.cells.T
    flow = lengths(foam) * (foam.pressures[left] - foam.pressures[right])
    return totals(right, flow, foam.bubbles) - totals(left, flow, foam.bubbles)


def coarsen(foam: Foam, interval: float) -> Iterator[Frame]:
    """Frames `interval` apart, the first one `interval` after `foam`, until fewer than 8 bubbles would be left.

    A natural unit for `interval` is ``mean area / K0``, in which the mean area about doubles. Raises as `advance` does.
    """
    while True:
        foam, events = advance(foam, interval)
        if foam.bubbles < FEWEST_BUBBLES:
            return
        yield Frame(foam, events)


def coarsen_to(foam: Foam, bubbles: int) -> Frame:
    """The foam when at most `bubbles` are left, with all events on the way.

    Raises NotConverged where the foam finds no equilibrium, InvalidCandidate where all bubbles have six sides, so that
    there will always be too many, and ValueError for fewer than 8 bubbles.
    """
    if bubbles < FEWEST_BUBBLES:
        raise ValueError(f"{bubbles} bubbles: fewer than {FEWEST_BUBBLES} may touch themselves round the box.")
    state = relax(foam)
    events: list[Event] = [*state.events]
    while state.foam.bubbles > bubbles:
        if (state.foam.sides == 6).all():  # and what rounding leaves of their rates must not coarsen it
            raise InvalidCandidate(f"the foam never coarsens: each of its {state.foam.bubbles} bubbles has six sides.")
        state, new = evolve(state, math.inf)
        events.extend(new)
    return Frame(state.foam, tuple(events))


def advance(foam: Foam, time: float) -> tuple[Foam, tuple[Event, ...]]:
    """The equilibrium `time` later and the events until then. Stops early when fewer than 8 bubbles are left.

    A foam that is not in equilibrium is brought there first. Raises NotConverged where it finds none, and ValueError
    for a `time` that is not positive.
    """
    if not 0 < time < math.inf:
        raise ValueError(f"a foam coarsens for a positive, finite time, and not for {time:g}")
    end, state = foam.time + time, relax(foam)
    events: list[Event] = [*state.events]
    while state.foam.time < end and state.foam.bubbles >= FEWEST_BUBBLES:
        state, new = evolve(state, end)
        events.extend(new)
    return state.foam, tuple(events)


def evolve(state: Relaxed, end: float) -> tuple[Relaxed, list[Event]]:
    """One topological change that is due, or else one step in time, no later than `end`; then equilibrium."""
    foam = state.foam
    change = rates(foam)
    slope = tangent(foam, state.slopes, state.factors, change)
    if (due := _due(foam, change, slope)) is not None:
        foam, events = due
        relaxed = relax(foam)
        return relaxed, [*events, *relaxed.events]
    step = min(end - foam.time, _longest(foam, change, slope))
    for halving in range(HALVINGS + 1):
        after = end if step == end - foam.time else foam.time + step
        trial = replace(moved(foam, slope, step), areas=foam.areas + step * change, time=after)
        try:
            relaxed = relax(trial, STEP_ITERATIONS)
            return relaxed, list(relaxed.events)
        except NotConverged:
            if halving == HALVINGS:
                raise
            step *= 0.5
    raise AssertionError("a step is accepted or raises")


def _due(foam: Foam, change: Floats, slope: Step) -> tuple[Foam, list[Event]] | None:
    """The foam without a bubble that is nearly empty, or after a T1 of a film that is nearly gone; None without any."""
    small = np.argsort(foam.areas)[: int((foam.areas < VANISHING * foam.mean_area).sum())]
    for bubble in small[change[small] < 0].tolist():
        if (without := removed(foam, bubble)) is not None:
            return without
    chord = chords(foam.topology, foam.vertices)
    length = np.hypot(*chord.T)
    along, _ = stretches(foam, chord, slope)
    limit = collapse_lengths(foam)
    for film in np.argsort(length / limit)[: int((length < limit).sum())].tolist():
        if along[film] < 0 and can_flip(foam.topology, film, fewest_sides=3):
            after, event = flipped(foam, film, LONGER * float(length[film]))
            return after, [event]
    return None


def _longest(foam: Foam, change: Floats, slope: Step) -> float:
    """The longest step in time that leaves something of every bubble and film, as far as the tangent tells."""
    along, aside = stretches(foam, chords(foam.topology, foam.vertices), slope)
    return 1.0 / max(
        float((-change / foam.areas).max()) / MOST_GAS,
        float(np.abs(change).max()) / (MOST_CHANGE * foam.mean_area),
        float((-along).max()) / MOST_CHORD,
        float(aside.max()) / MOST_CHORD,
        1e-12,
    )
