"""How much of what is possible a campaign with several objectives has found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from theoros.db.records import LabelRecord
from theoros.models.data import Array
from theoros.models.objective import Objective
from theoros.models.pareto import non_dominated
from theoros.models.rays import FEW, directions, log_orthant, reach
from theoros.orchestrator.scorecard import Scorecard

#: Rays by which volumes of many objectives are measured.
RAYS = 2**16


def reference(card: Scorecard, labels: Sequence[LabelRecord]) -> Array:
    """The utilities (m) from which volume counts: each objective's `worst`, or else its worst feasible label."""
    known = [u for label in labels if card.feasible(label) and (u := card.utilities(label)) is not None]
    return start_of(card.objectives, np.array(known, dtype=np.float64).reshape(-1, len(card.objectives)))


def hypervolume_so_far(card: Scorecard, labels: Sequence[LabelRecord], start: Array) -> list[float]:
    """The volume between `start` (utilities, m) and the front after each label at the target fidelity, in the product
    of the objectives' units.
    """
    judged = ((card.utilities(label), card.feasible(label)) for label in labels)
    return volumes(((utilities, kept) for utilities, kept in judged if utilities is not None), start)


def start_of(objectives: Sequence[Objective], feasible: Array) -> Array:
    """The utilities (m) from which volume counts, beside the utilities ``n x m`` of all `feasible` labels; zeros where
    neither says.
    """
    lowest = feasible.min(0) if len(feasible) else np.zeros(len(objectives))
    given = [np.nan if goal.worst is None else float(goal.utility(goal.worst)) for goal in objectives]
    return np.where(np.isnan(given), lowest, given)


def volumes(judged: Iterable[tuple[Sequence[float], bool]], start: Array) -> list[float]:
    """The volume between `start` (m) and the front after each of several labels, told by their utilities (m) and by
    whether they are feasible: exact up to three objectives, with more by `RAYS` rays, to half a per cent for a front.
    """
    gains = [_above(start, utilities) if feasible else None for utilities, feasible in judged]
    return _exact(gains, len(start)) if len(start) <= FEW else _by_rays(gains, len(start))


def _above(start: Array, utilities: Sequence[float]) -> Array | None:
    """By how much utilities are above the start (m); None where one is not."""
    gain = np.asarray(utilities, dtype=np.float64) - start
    return gain if (gain > 0).all() else None


def _exact(gains: Sequence[Array | None], m: int) -> list[float]:
    """Volumes of what lies above the start by so much (m), after each label."""
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    counter = Hypervolume(ref_point=torch.zeros(m, dtype=torch.float64))
    front, volume = np.empty((0, m)), 0.0
    series: list[float] = []
    for gain in gains:
        if gain is not None and not (front >= gain).all(1).any():
            front = np.concatenate([front, gain[None]])
            front = front[non_dominated(front)]
            volume = float(counter.compute(torch.from_numpy(front)))
        series.append(volume)
    return series


def _by_rays(gains: Sequence[Array | None], m: int) -> list[float]:
    """The same by how far labels reach along rays; see `theoros.models.rays`."""
    unit = np.max([gain for gain in gains if gain is not None], axis=0, initial=1e-300)
    rays = directions(RAYS, m, seed=0)
    whole = math.exp(log_orthant(m) + np.log(unit).sum()) / m
    reached, volume = np.zeros(RAYS), 0.0
    series: list[float] = []
    for gain in gains:
        if gain is not None:
            reached = np.maximum(reached, reach(gain[None] / unit, rays))
            volume = float(whole * (reached**m).mean())
        series.append(volume)
    return series
