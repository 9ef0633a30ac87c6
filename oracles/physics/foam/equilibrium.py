"""Equilibrium: the least length of film at given bubble areas, by Newton's method on the Lagrangian.

Minimised over vertices x and half-angles a is ``sum of lengths`` subject to ``area_i = target_i``; the multipliers are
the bubbles' pressures. At a solution every film is an arc of curvature (pressure difference) / tension, and films meet
at 120 degrees. Each half-angle belongs to one film alone, so that it is eliminated film by film, which leaves a sparse
symmetric system in 2 x 2 N coordinates and N pressures. Steps are held back by Levenberg's damping and a line search on
the exact penalty function ``length + mu sum |area - target|`` (Nocedal & Wright, Numerical Optimization, ch. 18).
Films that collapse on the way are flipped: a T1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np

from theoros.oracles.failures import NotConverged
from theoros.oracles.physics.foam.kkt import Factors, Slopes, Step, factored, newton_step, slopes
from theoros.oracles.physics.foam.network import Floats, Foam
from theoros.oracles.physics.foam.topology import T1, can_flip, flipped

#: The residual (see there) that counts as equilibrium.
TOLERANCE = 1e-9
MOST_ITERATIONS = 400
#: A film collapses below this share of the root of its smaller bubble's area (at most of the mean area).
COLLAPSED = 0.03
#: Most that a step may take off a film's chord, turn it aside, and add to it, in chords.
SHRINK, ASIDE, GROW = 0.75, 0.75, 3.0
#: Films shorter than so many collapse lengths are carried along when a step would change them too much.
SHORT = 5.0
MOST_TURN = 0.5  # of a half-angle, radians
#: Levenberg's damping where Newton's step alone is no improvement: to begin with, in inverse mean spacings.
LEAST_DAMPING = 1e-3
#: Beyond this residual a foam is far from equilibrium, as Voronoi cells are, and damped from the beginning.
FAR, FAR_DAMPING = 3.0, 1.0
#: A step that leaves at most this share of the residual has factors good enough for the next one.
REUSE = 0.1


@dataclass(frozen=True)
class Relaxed:
    """An equilibrium with its derivatives, and the T1s on the way to it.

    `factors` are those of its Newton system or of one close by, from the same topology.
    """

    foam: Foam
    slopes: Slopes
    factors: Factors
    events: tuple[T1, ...]


def equilibrate(foam: Foam) -> Foam:
    """`foam` in equilibrium with its areas as they are; raises NotConverged when none is found."""
    return relax(foam).foam


def relax(foam: Foam, most_iterations: int = MOST_ITERATIONS) -> Relaxed:
    """Bring `foam` to equilibrium, with T1s where films collapse; raises NotConverged after `most_iterations`.

    Factors are kept for the next iteration after one that divided the residual by ten or more. After its k-th T1 a film
    rests for 2^k iterations, so that none turns for ever.
    """
    events: list[T1] = []
    at, factors, flips, rests = slopes(foam), None, Counter[int](), dict[int, int]()
    error = residual(foam, at)
    damping = FAR_DAMPING if error > FAR else 0.0
    for iteration in range(most_iterations):
        if error < TOLERANCE:
            return Relaxed(foam, at, factors or factored(foam, at), tuple(events))
        try:
            factors = factors or factored(foam, at, damping * np.sqrt(foam.bubbles))
        except RuntimeError:  # an exactly singular system
            damping = max(10 * damping, LEAST_DAMPING)
            continue
        step = newton_step(foam, at, factors)
        resting = {film for film, end in rests.items() if iteration < end}
        if (film := _collapsing(foam, at, step, resting)) is not None:
            foam, event = flipped(foam, film, max(float(np.hypot(*at.chord[film])), 0.5 * collapse_lengths(foam)[film]))
            events.append(event)
            flips[film] += 1
            rests[film] = iteration + 2 ** flips[film]
            at, factors = slopes(foam), None
            error = residual(foam, at)
        elif (found := _line_search(foam, at, step, error)) is not None:
            foam, at, after = found
            if after > REUSE * error:
                factors, damping = None, damping / 5 if damping > LEAST_DAMPING else 0.0
            error = after
        else:
            factors, damping = None, max(10 * damping, LEAST_DAMPING)
    raise NotConverged(
        f"{foam.bubbles} bubbles find no equilibrium: after {most_iterations} iterations and {len(events)} T1s a force "
        f"of {error:.1e} is left"
    )


def residual(foam: Foam, at: Slopes) -> float:
    """How far a foam is from equilibrium: the root of the sum of squares of forces and of shortages in mean areas."""
    chord = (at.chord**2).sum(axis=1)
    return float(np.sqrt((at.force**2).sum() + (at.torque**2 / chord).sum() + (at.shortage**2).sum() * foam.bubbles**2))


def moved(foam: Foam, step: Step, share: float) -> Foam:
    """`foam` after a `share` of `step`."""
    return replace(
        foam,
        vertices=foam.vertices + share * step.vertices,
        half_angles=foam.half_angles + share * step.half_angles,
        pressures=foam.pressures + share * step.pressures,
    )


def stretches(foam: Foam, chord: Floats, step: Step) -> tuple[Floats, Floats]:
    """How much `step` lengthens each chord and turns its end aside, 3 N each, in chords."""
    edges = foam.topology.edges
    change = step.vertices[edges[:, 1]] - step.vertices[edges[:, 0]]
    squared = (chord**2).sum(axis=1)
    along = (chord * change).sum(axis=1) / squared
    aside = np.abs(chord[:, 0] * change[:, 1] - chord[:, 1] * change[:, 0]) / squared
    return along, aside


def collapse_lengths(foam: Foam) -> Floats:
    """Below which chord each film counts as collapsed, 3 N."""
    smaller = foam.areas[foam.topology.cells].min(axis=1)
    return np.asarray(COLLAPSED * np.sqrt(np.minimum(smaller, foam.mean_area)))


def _collapsing(foam: Foam, at: Slopes, step: Step, resting: Set[int]) -> int | None:
    """The shortest film that is collapsed, that `step` would shorten further, and that can be flipped, if any."""
    chord = np.sqrt((at.chord**2).sum(axis=1))
    limit = collapse_lengths(foam)
    along, _ = stretches(foam, at.chord, step)
    films = np.flatnonzero((chord < limit) & (along < -0.5))
    for film in films[np.argsort(chord[films])].tolist():
        fewest = 2 if chord[film] < 0.1 * limit[film] else 3
        if film not in resting and can_flip(foam.topology, film, fewest):
            return int(film)
    return None


def _carried(foam: Foam, at: Slopes, step: Step) -> Step:
    """`step` with short films moved as a whole, and bent no more than they may, where it would change them too much.

    Otherwise one film about to flip would hold back the whole foam.
    """
    along, aside = stretches(foam, at.chord, step)
    excess = np.maximum.reduce([-along / SHRINK, aside / ASIDE, along / GROW, np.ones_like(along)])
    short = np.sqrt((at.chord**2).sum(axis=1)) < SHORT * collapse_lengths(foam)
    vertices = step.vertices.copy()
    for film in np.flatnonzero(short & (excess > 1)).tolist():
        u, v = foam.topology.edges[film]
        back = 0.5 * (1 - 1 / excess[film]) * (step.vertices[v] - step.vertices[u])
        vertices[u] += back
        vertices[v] -= back
    turn = np.where(short, np.clip(step.half_angles, -MOST_TURN, MOST_TURN), step.half_angles)
    return replace(step, vertices=vertices, half_angles=turn)


def _line_search(foam: Foam, at: Slopes, step: Step, error: float) -> tuple[Foam, Slopes, float] | None:
    """The first of ever shorter parts of `step` that improves on the residual `error` or on the penalty function.

    Returns the foam there, its slopes and its residual; None when no part improves anything.
    """
    step = _carried(foam, at, step)
    along, aside = stretches(foam, at.chord, step)
    share = 1.0 / max(
        1.0,
        float((-along).max()) / SHRINK,
        float(aside.max()) / ASIDE,
        float(along.max()) / GROW,
        float(np.abs(step.half_angles).max()) / MOST_TURN,
    )
    # The exact penalty is exact above the largest multiplier.
    weight = 2 * float(np.abs(foam.pressures + step.pressures).max())
    penalty = at.energy + weight * float(np.abs(at.shortage).sum())
    for _ in range(8):
        trial = moved(foam, step, share)
        there = slopes(trial)
        after = residual(trial, there)
        lower = (
            there.energy + weight * float(np.abs(there.shortage).sum())
            < penalty - 1e-6 * share * error**2 / foam.bubbles
        )
        if after < 0.5 * error or lower:
            return trial, there, after
        share *= 0.5
    return None
