"""Learning several outputs at once: what a label tells of each is added up, in units in which they compare."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition
from theoros.models.acquisition.predicted import spread
from theoros.models.data import Dataset, Problem


def wanted(problem: Problem) -> tuple[str, ...]:
    """The outputs that are to be learned (or the objective of an optimisation), each once."""
    return tuple(dict.fromkeys(goal.output for goal in problem.objectives))


def units(problem: Problem, dataset: Dataset) -> dict[str, float]:
    """What the outputs are divided by before they are added: their labels' deviations; one for a single output, whose
    values stay in its own unit.
    """
    outputs = wanted(problem)
    return {name: spread(problem, dataset, name) if len(outputs) > 1 else 1.0 for name in outputs}


def total(parts: Sequence[FeatureAcquisition]) -> FeatureAcquisition:
    """The sum of acquisitions over the same features."""
    return parts[0] if len(parts) == 1 else _Total(parts)


class _Total(FeatureAcquisition):
    def __init__(self, parts: Sequence[FeatureAcquisition]) -> None:
        super().__init__()
        self.parts = list(parts)

    def values(self, features: Tensor) -> Tensor:
        """Values ``b`` of features ``b x d``."""
        found = self.parts[0].values(features)
        for part in self.parts[1:]:
            found = found + part.values(features)
        return found
