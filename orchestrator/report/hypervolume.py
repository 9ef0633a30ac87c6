"""How much of what is possible a campaign with several objectives has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theoros.db.records import LabelRecord
from theoros.models.contract import Array
from theoros.models.pareto import non_dominated
from theoros.orchestrator.scorecard import Scorecard


def reference(card: Scorecard, labels: Sequence[LabelRecord]) -> Array:
    """The utilities (m) from which volume counts: each objective's `worst`, or else its worst feasible label."""
    known = np.array([u for label in labels if card.feasible(label) and (u := card.utilities(label)) is not None])
    lowest = known.min(0) if len(known) else np.zeros(len(card.objectives))
    given = [np.nan if goal.worst is None else float(goal.utility(goal.worst)) for goal in card.objectives]
    return np.where(np.isnan(given), lowest, given)


def hypervolume_so_far(card: Scorecard, labels: Sequence[LabelRecord], start: Array) -> list[float]:
    """The volume between `start` (utilities, m) and the front after each label at the target fidelity, in the product
    of the objectives' units.
    """
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    counter = Hypervolume(ref_point=torch.from_numpy(start))
    front, volume = np.empty((0, len(start))), 0.0
    series: list[float] = []
    for label in labels:
        if (utilities := card.utilities(label)) is None:
            continue
        new = np.array([utilities])
        if card.feasible(label) and (new > start).all() and not (front >= new).all(1).any():
            front = np.concatenate([front, new])
            front = front[non_dominated(front)]
            volume = float(counter.compute(torch.from_numpy(front)))
        series.append(volume)
    return series
