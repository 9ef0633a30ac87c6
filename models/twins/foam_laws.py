"""Laws of the user's own that a foam's twin is taught beside those that it knows: residuals of single bubbles.

Von Neumann's law, had it been left to the user:

    @residual("von_neumann")
    def von_neumann(situation):
        return situation.outcomes["growth"] - (situation.conditions["sides"] - 6)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.data import Array
from theoros.models.options import OptionError
from theoros.models.twins.foam_frames import Made
from theoros.models.twins.foam_scores import Rollout, touched
from theoros.models.twins.physics import Residual, Situation
from theoros.oracles.physics.foam import Foam
from theoros.oracles.physics.foam.coarsening import K0
from theoros.oracles.physics.foam.network import measured_areas
from theoros.oracles.physics.foam.topology import Event

Rows = NDArray[np.int64]

#: What a law sees of a bubble: its sides, and the gas that it holds after the step, in mean areas; how fast its area
#: grew, in units of K0, its pressure, in units of tension over the root of the mean area, and what its films enclose,
#: in mean areas.
CONDITIONS, OUTCOMES = ("sides", "gas"), ("growth", "pressure", "enclosed")


def seen_by_laws(made: Made, before: Sequence[Foam]) -> Situation:
    """Frames that were made of the foams `before`, as laws see them, with gradients.

    Only bubbles are told of that no event has touched on the way: ``b`` of all foams, one after the other.
    """
    rows, later, own, others = [], [], 0, 0
    for foam, after, events in zip(before, made.foams, made.events, strict=True):
        i, j = _undisturbed(foam, after, events)
        rows.append(own + i)
        later.append(others + j)
        own, others = own + foam.bubbles, others + after.bubbles
    first, last, end = torch.from_numpy(np.concatenate(rows)), torch.from_numpy(np.concatenate(later)), made.rounds[-1]
    return _situation(
        made.sides[first].to(made.rates),
        end.state.areas[last],
        made.rates[first] / K0,
        end.state.pressures[last],
        end.shape.enclosed[last],
    )


def violated(laws: Sequence[Residual], rollout: Rollout) -> dict[str, float]:
    """How far a roll-out is from each of the `laws`: root mean squares over all bubbles of which `seen_by_laws` would
    tell, zero where there are none.
    """
    frames = pairwise(rollout.frames)
    steps = [_between(*pair, events) for pair, events in zip(frames, rollout.events, strict=False)]
    found = {}
    for law in laws:
        with torch.no_grad():
            squares = [law.violation(step).square().reshape(-1) for step in steps]
        every = torch.cat([torch.zeros(0, dtype=torch.float64), *squares])
        found[law.name] = math.sqrt(float(every.mean())) if len(every) else 0.0
    return found


def rehearse(laws: Sequence[Residual]) -> None:
    """Try each of the `laws` on three made-up bubbles; raises OptionError for the first that could not be taught."""
    for i, law in enumerate(laws):
        made_up = [torch.full((3,), 1.0, requires_grad=True) for _ in OUTCOMES]
        try:
            law.violation(_situation(torch.tensor([5.0, 6.0, 7.0]), torch.ones(3), *made_up))
        except Exception as error:
            raise OptionError(
                f"The law {law.name!r} fails on made-up bubbles: {type(error).__name__}: {str(error).rstrip('.')}. "
                f"It may use the outcomes {', '.join(OUTCOMES)} and the conditions {', '.join(CONDITIONS)}.",
                ("residuals", i),
            ) from error


def _between(before: Foam, after: Foam, events: Sequence[Event]) -> Situation:
    """A step that was made, as laws see it."""
    i, j = _undisturbed(before, after, events)
    unit = after.mean_area
    growth = (after.areas[j] - before.areas[i]) / (after.time - before.time) / K0
    enclosed = measured_areas(after.topology, after.vertices, after.half_angles)[j] / unit
    told: tuple[Array, ...] = (
        before.sides[i].astype(np.float64),
        after.areas[j] / unit,
        growth,
        after.pressures[j] * math.sqrt(unit),
        enclosed,
    )
    return _situation(*(torch.from_numpy(values) for values in told))


def _situation(sides: Tensor, gas: Tensor, growth: Tensor, pressure: Tensor, enclosed: Tensor) -> Situation:
    outcomes: Mapping[str, Tensor] = {"growth": growth[None], "pressure": pressure[None], "enclosed": enclosed[None]}
    return Situation({"sides": sides, "gas": gas}, outcomes)


def _undisturbed(before: Foam, after: Foam, events: Sequence[Event]) -> tuple[Rows, Rows]:
    """The rows of the bubbles that no event has touched, in the foam before and in that after."""
    shaken = {name for event in events for name in touched(event, before)}
    later = {name: row for row, name in enumerate(after.ids.tolist())}
    kept = [(row, later[name]) for row, name in enumerate(before.ids.tolist()) if name in later and name not in shaken]
    rows = np.array(kept, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]
