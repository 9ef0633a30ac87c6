"""How much of what is possible a campaign with several objectives has found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from theoros.db.records import LabelRecord
from theoros.models.data import Array
from theoros.models.objective import Objective
from theoros.models.pareto import non_dominated
from theoros.orchestrator.scorecard import Scorecard


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
    whether they are feasible.
    """
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    counter = Hypervolume(ref_point=torch.from_numpy(start))
    front, volume = np.empty((0, len(start))), 0.0
    series: list[float] = []
    for utilities, feasible in judged:
        new = np.array([utilities], dtype=np.float64)
        if feasible and (new > start).all() and not (front >= new).all(1).any():
            front = np.concatenate([front, new])
            front = front[non_dominated(front)]
            volume = float(counter.compute(torch.from_numpy(front)))
        series.append(volume)
    return series
