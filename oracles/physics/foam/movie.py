"""A window of a foam's life as arrays, simulated exactly or by the Potts model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.physics.foam import potts
from theoros.oracles.physics.foam.coarsening import K0, advance, coarsen_to
from theoros.oracles.physics.foam.equilibrium import equilibrate
from theoros.oracles.physics.foam.films import films_of
from theoros.oracles.physics.foam.network import Floats, Foam, Integers
from theoros.oracles.physics.foam.raster import raster
from theoros.oracles.physics.foam.start import FEWEST_BUBBLES, voronoi
from theoros.oracles.physics.foam.topology import T1, Event

#: So long the Potts model waits for a bubble to vanish, in units of (mean area) / K0: in one of them half are gone. On
#: a fine lattice six-sided bubbles would stay for ever.
PATIENCE = 10.0


@dataclass(frozen=True)
class Window:
    """Which part of which foam: its start, how long it has coarsened, and what is looked at.

    `age` counts half-lives: the window starts when ``bubbles / 2^age`` are left. It has `frames` frames `interval`
    apart, in units of (mean area at the window's start) / K0, of ``pixels x pixels`` each.
    """

    bubbles: int
    disorder: float
    age: float
    seed: int
    frames: int = 20
    interval: float = 0.02
    pixels: int = 64

    @property
    def first_bubbles(self) -> int:
        """How many bubbles are left when the window starts."""
        return math.ceil(self.bubbles * math.pow(0.5, self.age))


@dataclass(frozen=True)
class Movie:
    """T frames of a foam that began with N bubbles: `images` (T x pixels x pixels) of ids from 0 to N - 1.

    `areas` and `sides` (T x N, by id) are 0 for bubbles that are gone. `interval` is the time between frames in units
    of side^2 / (permeability x tension), `t1_events` the number of T1s in the window. `films` are those of exact frames
    (`theoros.oracles.physics.foam.films`), None where the model has none.
    """

    images: NDArray[np.int32]
    areas: Floats
    sides: Integers
    interval: float
    t1_events: int
    films: Floats | None = None

    @property
    def mean_areas(self) -> Floats:
        """The mean area of the bubbles that are left in each frame, T."""
        return np.asarray(1.0 / (self.areas > 0).sum(axis=1))

    @property
    def growth_rate(self) -> float:
        """The mean area's growth from the first frame to the last, over time, in units of K0."""
        return growth_rate(self.mean_areas, self.interval * (len(self.areas) - 1))

    @property
    def mu2(self) -> float:
        """The variance of the number of sides over all bubbles of all frames, each frame about its own mean."""
        return side_variance([sides[areas > 0] for sides, areas in zip(self.sides, self.areas, strict=True)])


def growth_rate(mean_areas: Sequence[float] | Floats, duration: float) -> float:
    """How fast the mean area grows from the first of a window's frames to the last, in units of K0.

    `duration` is the time between the two; where there is none, nothing grows.
    """
    return float((mean_areas[-1] - mean_areas[0]) / (K0 * duration)) if duration > 0 else 0.0


def side_variance(sides: Sequence[Integers]) -> float:
    """mu2 of a window: the variance of the bubbles' numbers of `sides` in each frame, averaged over the frames."""
    return float(np.mean([np.var(frame) for frame in sides]))


def exact_movie(window: Window) -> Movie:
    """The window by the arc-network simulator.

    Raises InvalidCandidate when so few bubbles are left that one may reach all round the box, or where all have six
    sides before the window starts, so that it never does; and NotConverged where the foam finds no equilibrium.
    """
    foam = coarsen_to(equilibrate(voronoi(window.bubbles, window.disorder, window.seed)), window.first_bubbles).foam
    interval = window.interval * foam.mean_area / K0
    foams, events = [foam], list[Event]()
    for _ in range(window.frames - 1):
        foam, new = advance(foam, interval)
        if foam.bubbles < FEWEST_BUBBLES:
            raise _outlived()
        foams.append(foam)
        events.extend(new)
    return Movie(
        np.stack([raster(foam, window.pixels) for foam in foams]),
        np.stack([_by_id(foam, foam.areas, window.bubbles) for foam in foams]),
        np.stack([_by_id(foam, foam.sides, window.bubbles) for foam in foams]).astype(np.int64),
        interval,
        sum(isinstance(event, T1) for event in events),
        films_of(foams),
    )


def _outlived() -> InvalidCandidate:
    return InvalidCandidate(
        f"fewer than {FEWEST_BUBBLES} bubbles are left before the window ends. Start with more, or lower the age."
    )


def _by_id(foam: Foam, values: NDArray[np.float64] | Integers, bubbles: int) -> Floats:
    out = np.zeros(bubbles)
    out[foam.ids] = values
    return out


def potts_movie(window: Window) -> Movie:
    """The window by the Potts model, from the same Voronoi cells.

    Raises InvalidCandidate when so few bubbles are left that one may reach all round the box, or where none vanishes
    any more before the window starts; and MissingDependency without numba.

    The lattice is the image, or finer by a whole number where bubbles would have fewer than 64 sites at the start.
    """
    finer = math.ceil(math.sqrt(potts.SITES_PER_BUBBLE * window.bubbles) / window.pixels)
    rng = np.random.default_rng([window.seed, 1])
    labels = raster(voronoi(window.bubbles, window.disorder, window.seed), finer * window.pixels)
    labels, left = _coarsened(labels, window.first_bubbles, rng)
    lattices = [labels]
    sweeps = window.interval * labels.size / left / potts.SITES_PER_SWEEP
    for _ in range(window.frames - 1):
        labels = potts.sweep(labels, sweeps, rng)
        if len(np.unique(labels)) < FEWEST_BUBBLES:
            raise _outlived()
        lattices.append(labels)
    return Movie(
        np.stack([labels[finer // 2 :: finer, finer // 2 :: finer] for labels in lattices]),
        np.stack([potts.sites(labels, window.bubbles) / labels.size for labels in lattices]),
        np.stack([np.bincount(potts.contacts(labels).reshape(-1), minlength=window.bubbles) for labels in lattices]),
        window.interval / left / K0,
        sum(_new_contacts(*pair) for pair in itertools.pairwise(lattices)),
    )


def _coarsened(labels: potts.Labels, bubbles: int, rng: np.random.Generator) -> tuple[potts.Labels, int]:
    """The lattice when at most `bubbles` are left, and how many are."""
    left, waited = len(np.unique(labels)), 0
    while left > bubbles:
        if waited > PATIENCE * labels.size / left / potts.SITES_PER_SWEEP:
            raise InvalidCandidate(f"the foam never coarsens: its {left} bubbles have stayed for {waited} sweeps.")
        labels = potts.sweep(labels, 1.0, rng)
        before, left = left, len(np.unique(labels))
        waited = waited + 1 if left == before else 0
    return labels, left


def _new_contacts(before: NDArray[np.int32], after: NDArray[np.int32]) -> int:
    """How many pairs touch after and did not before: each T1 makes one."""
    known = {tuple(pair) for pair in potts.contacts(before).tolist()}
    return sum(tuple(pair) not in known for pair in potts.contacts(after).tolist())
