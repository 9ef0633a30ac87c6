"""Figures of merit of rolled-out foams beside exact ones: gas, von Neumann's law, angles, statistics, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from theoros.models.data import Array
from theoros.oracles.physics.foam import Foam
from theoros.oracles.physics.foam.coarsening import K0
from theoros.oracles.physics.foam.movie import growth_rate, side_variance
from theoros.oracles.physics.foam.network import chords, measured_areas
from theoros.oracles.physics.foam.topology import T1, Event

#: Sides from 2 to this are told apart, all above together.
MOST_SIDES = 14


@dataclass(frozen=True)
class Rollout:
    """Consecutive frames, the start first, at equal intervals; `events` (one less) are those on the way to each."""

    frames: tuple[Foam, ...]
    events: tuple[tuple[Event, ...], ...]


#: What a window is told by in one number each.
SUMMARIES = ("mean_area", "mu2", "t1_events", "growth_rate")


def summary(window: Rollout) -> dict[str, float]:
    """A window in one number each, as the oracle ``foam`` tells it: the mean area of a bubble in the last frame, the
    variance of the sides, averaged over the frames, the number of T1s, and the mean area's growth from the first frame
    to the last, over time, in units of K0.
    """
    frames = window.frames
    return {
        "mean_area": frames[-1].mean_area,
        "mu2": side_variance([foam.sides for foam in frames]),
        "t1_events": float(sum(isinstance(event, T1) for events in window.events for event in events)),
        "growth_rate": growth_rate([foam.mean_area for foam in frames], frames[-1].time - frames[0].time),
    }


#: What holds of any foam: films meet at 120 degrees, they enclose the gas, and bubbles grow by their sides.
LAWS = ("angles", "enclosed", "von_neumann")


@dataclass(frozen=True)
class Law:
    """Von Neumann's law as frames obey it: ``dA/dt = slope K0 (n - intercept)``, scattered by `residual` (K0).

    There is no intercept (NaN) where nothing changes.
    """

    slope: float
    intercept: float
    residual: float
    bubbles: int


def gas_drift(rollouts: Sequence[Rollout]) -> float:
    """The largest share of all gas that a frame has gained or lost since the start."""
    return max(
        abs(float(frame.areas.sum() / one.frames[0].areas.sum()) - 1) for one in rollouts for frame in one.frames
    )


def von_neumann(rollouts: Sequence[Rollout]) -> Law:
    """The law by least squares over the bubbles that keep their sides and neighbours' events away from a frame to the
    next: those whose area is changed by diffusion alone.
    """
    x, y = _by_diffusion(rollouts)
    slope, offset = np.polyfit(x, y, 1)
    intercept = -offset / slope if slope else np.nan
    return Law(float(slope), float(intercept), float(np.std(y - slope * x - offset)), len(x))


def violations(rollout: Rollout) -> dict[str, float]:
    """How far a roll-out is from the `LAWS` that hold of any foam, root mean squares over the frames that were made.

    ``angles`` in degrees from 120; ``enclosed`` in mean areas that films enclose beyond the gas; ``von_neumann`` in K0,
    of the bubbles that diffusion alone changes. All are zero where nothing was made.
    """
    made, none = rollout.frames[1:], np.zeros(0)
    sides, rates = _by_diffusion([rollout])
    angles = np.concatenate([none, *(angle_errors(frame).ravel() for frame in made)])
    enclosed = np.concatenate([none, *(enclosed_errors(frame) for frame in made)])
    residuals = zip(LAWS, (angles, enclosed, rates - (sides - 6)), strict=True)
    return {law: float(np.sqrt(np.mean(values**2))) if len(values) else 0.0 for law, values in residuals}


def angle_errors(foam: Foam) -> Array:
    """How far the angles between films at vertices are from 120 degrees, in degrees: 2 N x 3."""
    topology = foam.topology
    chord = chords(topology, foam.vertices)
    along = np.stack([chord, -chord], axis=1).reshape(-1, 2)
    half = np.stack([foam.half_angles, -foam.half_angles], axis=1).reshape(-1)
    direction = np.sort((np.arctan2(along[:, 1], along[:, 0]) - half)[topology.spokes] % (2 * np.pi), axis=1)
    gaps = np.diff(np.concatenate([direction, direction[:, :1] + 2 * np.pi], axis=1), axis=1)
    return np.asarray(np.degrees(gaps) - 120)


def enclosed_errors(foam: Foam) -> Array:
    """What the drawn films enclose beyond each bubble's gas, in mean areas: N."""
    enclosed = measured_areas(foam.topology, foam.vertices, foam.half_angles)
    return np.asarray((enclosed - foam.areas) / foam.mean_area)


def side_distribution(rollouts: Sequence[Rollout], start: int, stop: int | None = None) -> Array:
    """The shares of bubbles with 0, 1, ... `MOST_SIDES` or more sides in frames `start` to `stop` of all roll-outs."""
    sides = np.concatenate([frame.sides for one in rollouts for frame in one.frames[start:stop]])
    counts = np.bincount(np.minimum(sides, MOST_SIDES), minlength=MOST_SIDES + 1)
    return np.asarray(counts / counts.sum())


def total_variation(a: Array, b: Array) -> float:
    """Half the sum of the absolute differences of two distributions."""
    return 0.5 * float(np.abs(a - b).sum())


def growth_errors(exact: Sequence[Rollout], made: Sequence[Rollout]) -> tuple[float, float]:
    """Of the mean area's course: the root mean square relative error of single foams, and that of all foams' mean."""
    single, theirs, ours = [], [], []
    for e, m in zip(exact, made, strict=True):
        n = min(len(e.frames), len(m.frames))
        theirs.append([frame.mean_area for frame in e.frames[:n]])
        ours.append([frame.mean_area for frame in m.frames[:n]])
        single.append(np.array(ours[-1]) / np.array(theirs[-1]) - 1)
    n = min(len(row) for row in theirs)
    together = np.mean([row[:n] for row in ours], axis=0) / np.mean([row[:n] for row in theirs], axis=0) - 1
    return float(np.sqrt(np.mean(np.concatenate(single) ** 2))), float(np.sqrt(np.mean(together**2)))


def same_edges(exact: Rollout, made: Rollout, frames: int, *, late: int = 1) -> tuple[int, int, int]:
    """Of the first `frames`: how many T1s of the exact foam the made one has between the same bubbles and at most
    `late` frames off, how many there are, and how many the made one has.
    """
    theirs, ours = _flips(exact, frames), _flips(made, frames + late)
    found, left = 0, list(ours)
    for frame, parted, met in theirs:
        near = [one for one in left if one[1:] == (parted, met) and abs(one[0] - frame) <= late]
        if near:
            left.remove(min(near, key=lambda one: abs(one[0] - frame)))
            found += 1
    return found, len(theirs), sum(frame < frames for frame, _, _ in ours)


def share_of_flips(exact: Sequence[Rollout], made: Sequence[Rollout], frames: int) -> float:
    """The share of the exact foams' T1s in the first `frames` that the made ones have (`same_edges`); NaN for none."""
    counts = [same_edges(e, m, frames) for e, m in zip(exact, made, strict=True)]
    there = sum(count for _, count, _ in counts)
    return sum(found for found, _, _ in counts) / there if there else float("nan")


def strangers(rollout: Rollout) -> int:
    """How many bubbles have turned up that were not there, or twice, from a frame to the next: births and splits."""
    return sum(
        len(set(after.ids.tolist()) - set(before.ids.tolist())) + len(after.ids) - len(set(after.ids.tolist()))
        for before, after in zip(rollout.frames, rollout.frames[1:], strict=False)
    )


def scores(exact: Sequence[Rollout], made: Sequence[Rollout]) -> Mapping[str, float]:
    """All figures, by name."""
    law = von_neumann(made)
    angles = np.concatenate([angle_errors(frame).ravel() for one in made for frame in one.frames[1:]])
    own = np.concatenate([angle_errors(frame).ravel() for one in exact for frame in one.frames[1:]])
    gas = np.concatenate([enclosed_errors(frame) for one in made for frame in one.frames[1:]])
    single, together = growth_errors(exact, made)
    half = len(exact[0].frames) // 2
    return {
        "gas_drift": gas_drift(made),
        "slope": law.slope,
        "intercept": law.intercept,
        "law_residual": law.residual,
        "angle_rms": float(np.sqrt(max(0.0, np.mean(angles**2) - np.mean(own**2)))),
        "enclosed_rms": float(np.sqrt(np.mean(gas**2))),
        "side_distance": total_variation(side_distribution(exact, half), side_distribution(made, half)),
        "growth_single": single,
        "growth_together": together,
        "strangers": float(sum(strangers(one) for one in made)),
        "t1_found": share_of_flips(exact, made, len(exact[0].events)),
    }


def _by_diffusion(rollouts: Sequence[Rollout]) -> tuple[Array, Array]:
    """Sides, and rates of growth in K0 from a frame to the next, of all bubbles that diffusion alone changes."""
    sides, rates = [], []
    for one in rollouts:
        for before, after, events in zip(one.frames, one.frames[1:], one.events, strict=False):
            shaken = {name for event in events for name in touched(event, before)}
            later = dict(zip(after.ids.tolist(), zip(after.areas, after.sides, strict=True), strict=True))
            for name, area, n in zip(before.ids.tolist(), before.areas, before.sides, strict=True):
                if name in later and later[name][1] == n and name not in shaken:
                    sides.append(float(n))
                    rates.append(float(later[name][0] - area) / (after.time - before.time) / K0)
    return np.array(sides), np.array(rates)


def _flips(rollout: Rollout, frames: int) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    return [
        (number, event.parted, event.met)
        for number, events in enumerate(rollout.events[:frames])
        for event in events
        if isinstance(event, T1)
    ]


def touched(event: Event, before: Foam) -> set[int]:
    """The names of the bubbles that an event changes, by the foam before it."""
    if isinstance(event, T1):
        return {*event.parted, *event.met}
    row = np.flatnonzero(before.ids == event.bubble)
    near = before.ids[before.topology.neighbours(int(row[0]))].tolist() if len(row) else []
    return {event.bubble, *near}
