"""Foams rolled out by a generator, frame after frame, many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from theoros.models.twins.foam_frames import Generator, next_frames
from theoros.models.twins.foam_scores import Rollout
from theoros.oracles.physics.foam import K0, Foam
from theoros.oracles.physics.foam.start import FEWEST_BUBBLES
from theoros.oracles.physics.foam.topology import Event

#: Steps of (mean area) / K0 in which exact foams of 64 bubbles lost half of them, about; how much longer is waited.
HALF_LIFE, PATIENCE = 1.1, 2.0


def rolled_out(
    generator: Generator, starts: Sequence[Foam], intervals: Sequence[float], frames: int | Sequence[int], *, seed: int
) -> list[Rollout]:
    """Roll foams out for `frames` (one number, or one for each) at `intervals` (foam time, one each).

    A roll-out ends early where fewer than 8 bubbles would be left, as the simulator's does.
    """
    wanted = [frames] * len(starts) if isinstance(frames, int) else list(frames)
    noise = torch.Generator().manual_seed(seed)
    made: list[list[Foam]] = [[foam] for foam in starts]
    events: list[list[tuple[Event, ...]]] = [[] for _ in starts]
    going = [i for i in range(len(starts)) if wanted[i] > 0]
    with torch.no_grad():
        while going:
            step = next_frames(generator, [made[i][-1] for i in going], [intervals[i] for i in going], noise)
            still = []
            for i, foam, happened in zip(going, step.foams, step.events, strict=True):
                if foam.bubbles >= FEWEST_BUBBLES:
                    made[i].append(foam)
                    events[i].append(happened)
                    if len(made[i]) <= wanted[i]:
                        still.append(i)
            going = still
    return [Rollout(tuple(own), tuple(happened)) for own, happened in zip(made, events, strict=True)]


def windows_rolled_out(
    generator: Generator,
    starts: Sequence[Foam],
    first_bubbles: Sequence[int],
    frames: int,
    interval: float,
    *,
    seed: int,
) -> list[Rollout]:
    """The windows of `frames` frames that begin when `first_bubbles` (one for each) of the foams `starts` are left.

    `interval` is the time from frame to frame in units of (mean area at the window's start) / K0; on the way there
    steps are as long in units of the mean area that there is. A window begins in any case after `PATIENCE` times as
    long as a foam that obeys von Neumann's law takes.
    """
    noise = torch.Generator().manual_seed(seed)
    foams = list(starts)
    made: list[list[Foam]] = [[] for _ in starts]
    events: list[list[tuple[Event, ...]]] = [[] for _ in starts]
    going, steps = list(range(len(starts))), 0
    halvings = [math.log2(foam.bubbles / first) for foam, first in zip(starts, first_bubbles, strict=True)]
    with torch.no_grad():
        while going:
            for i in going:
                late = steps * interval > PATIENCE * HALF_LIFE * halvings[i]
                if not made[i] and (foams[i].bubbles <= first_bubbles[i] or late):
                    made[i].append(foams[i])
            steps += 1
            going = [i for i in going if len(made[i]) < frames]
            if not going:
                break
            units = [(made[i][0] if made[i] else foams[i]).mean_area for i in going]
            step = next_frames(generator, [foams[i] for i in going], [interval * u / K0 for u in units], noise)
            still = []
            for i, foam, happened in zip(going, step.foams, step.events, strict=True):
                if foam.bubbles < FEWEST_BUBBLES:
                    made[i] = made[i] or [foams[i]]  # it ends before its window begins
                    continue
                foams[i] = foam
                still.append(i)
                if made[i]:
                    made[i].append(foam)
                    events[i].append(happened)
            going = still
    return [Rollout(tuple(own), tuple(happened)) for own, happened in zip(made, events, strict=True)]
