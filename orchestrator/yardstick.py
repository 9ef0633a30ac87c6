"""What simulated campaigns are compared by: the best label, the volume of the front, or the error of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from theoros.models.data import Array, Problem
from theoros.models.desirability import Desirability
from theoros.models.objective import Objective
from theoros.orchestrator.report.hypervolume import start_of, volumes
from theoros.orchestrator.scorecard import Scorecard
from theoros.orchestrator.simulate import Step


class Yardstick(Protocol):
    """One number for all that a simulation has found by a step."""

    @property
    def name(self) -> str:
        """One word, for headings and files."""
        ...

    @property
    def label(self) -> str:
        """What is measured, with its unit."""
        ...

    def so_far(self, steps: Sequence[Step]) -> Array:
        """What has been found by each step (n), NaN before there is anything."""
        ...

    def better(self, value: float, other: float) -> bool:
        """Whether a value is strictly better than another."""
        ...


@dataclass(frozen=True)
class BestLabel:
    """The best feasible value of one objective, or the largest desirability."""

    objective: Objective
    label: str
    desirability: Desirability | None = None

    @property
    def name(self) -> str:
        """See `Yardstick.name`."""
        return "best" if self.desirability is None else "desirability"

    def so_far(self, steps: Sequence[Step]) -> Array:
        """See `Yardstick.so_far`."""
        best, series = math.nan, []
        for step in steps:
            value = self._value(step)
            if step.feasible and not math.isnan(value) and (math.isnan(best) or self.better(value, best)):
                best = value
            series.append(best)
        return np.array(series, dtype=np.float64)

    def better(self, value: float, other: float) -> bool:
        """See `Yardstick.better`."""
        return self.objective.better(value, other)

    def _value(self, step: Step) -> float:
        if self.desirability is None:
            return step.value
        outputs = [wish.output for wish in self.desirability.wishes]
        return float(self.desirability.of(dict(zip(outputs, step.values, strict=True))))


@dataclass(frozen=True)
class Hypervolume:
    """The volume between the utilities `start` (m) and the front of feasible labels."""

    objectives: tuple[Objective, ...]
    start: tuple[float, ...]

    name: ClassVar[str] = "hypervolume"
    label: ClassVar[str] = "hypervolume"

    @classmethod
    def beside(cls, objectives: tuple[Objective, ...], steps: Iterable[Step]) -> Hypervolume:
        """Counted from the objectives' `worst`, or else from the worst feasible labels among `steps`, as the plots of
        a campaign do.
        """
        known = [_utilities(objectives, step) for step in steps if step.feasible and not math.isnan(step.value)]
        start = start_of(objectives, np.array(known, dtype=np.float64).reshape(-1, len(objectives)))
        return cls(objectives, tuple(start.tolist()))

    def so_far(self, steps: Sequence[Step]) -> Array:
        """See `Yardstick.so_far`."""
        judged = [(_utilities(self.objectives, step), step.feasible) for step in steps]
        return np.array(volumes(judged, np.array(self.start)), dtype=np.float64)

    def better(self, value: float, other: float) -> bool:
        """See `Yardstick.better`."""
        return value > other


@dataclass(frozen=True)
class ModelError:
    """The error of the model on candidates that were drawn for it (`theoros.orchestrator.exam`)."""

    label: str

    name: ClassVar[str] = "error"

    def so_far(self, steps: Sequence[Step]) -> Array:
        """See `Yardstick.so_far`."""
        return np.array([step.error for step in steps], dtype=np.float64)

    def better(self, value: float, other: float) -> bool:
        """See `Yardstick.better`."""
        return value < other


def yardstick(problem: Problem, card: Scorecard, steps: Iterable[Step]) -> Yardstick:
    """What campaigns with this problem are compared by; `steps` are those of all that are compared."""
    if problem.goal == "learn":
        return ModelError(card.error_label)
    if card.several:
        return Hypervolume.beside(problem.objectives, steps)
    return BestLabel(card.objective, f"best {card.name_of(card.objective.output)}", problem.desirability)


def _utilities(objectives: Sequence[Objective], step: Step) -> tuple[float, ...]:
    return tuple(float(goal.utility(value)) for goal, value in zip(objectives, step.values, strict=True))
