"""How the labels of a campaign are judged: what is better, what is feasible, what counts as the best so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.db.ranking import Ranking
from theoros.db.records import LabelRecord
from theoros.models.data import OutcomeConstraint, Problem
from theoros.models.desirability import Desirability, Desirable
from theoros.models.objective import Objective
from theoros.models.pareto import ranks
from theoros.oracles.contract import Quantity

#: The objective of a question that says what is desirable: no output, but a number made of several.
DESIRABILITY = Objective("desirability")


@dataclass(frozen=True)
class Scorecard:
    """The part of a plan that reading needs. It is stored with the campaign, so that a result can be read and judged
    where its oracle is not installed. With a `desirability` the `objectives` are the wishes of which it is made.
    """

    goal: str
    objectives: tuple[Objective, ...]
    fidelities: tuple[str, ...]
    costs: tuple[float, ...]
    units: Mapping[str, str]
    constraints: tuple[OutcomeConstraint, ...] = ()
    desirability: Desirability | None = None

    @classmethod
    def of(cls, problem: Problem, outputs: Mapping[str, Quantity]) -> Scorecard:
        """The scorecard of a problem whose oracle has these outputs."""
        units = {name: quantity.unit for name, quantity in outputs.items()}
        return cls(
            problem.goal,
            problem.objectives,
            problem.fidelities,
            problem.costs,
            units,
            problem.constraints,
            problem.desirability,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        wishes = () if self.desirability is None else self.desirability.wishes
        desired = [[wish.output, wish.low, wish.high, wish.target, wish.weight] for wish in wishes]
        return {
            "goal": self.goal,
            "objectives": [[goal.output, goal.sense, goal.target, goal.worst] for goal in self.objectives],
            "fidelities": list(self.fidelities),
            "costs": list(self.costs),
            "units": dict(self.units),
            "constraints": [[c.output, c.op, c.bound] for c in self.constraints],
        } | ({"desirability": desired} if desired else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scorecard:
        """The inverse of `to_dict`; also reads what was stored when there was one objective only."""
        if "objectives" in data:
            objectives = tuple(Objective(*item) for item in data["objectives"])
        else:
            objectives = (Objective(data["objective"], "maximize" if data["maximize"] else "minimize"),)
        return cls(
            data["goal"],
            objectives,
            tuple(data["fidelities"]),
            tuple(data["costs"]),
            dict(data["units"]),
            tuple(OutcomeConstraint(*item) for item in data["constraints"]),
            Desirability(tuple(Desirable(*item) for item in data["desirability"])) if "desirability" in data else None,
        )

    @property
    def objective(self) -> Objective:
        """The first objective, or that of the desirability."""
        return self.objectives[0] if self.desirability is None else DESIRABILITY

    @property
    def several(self) -> bool:
        """Whether a front is looked for rather than one best."""
        return self.goal == "optimize" and len(self.objectives) > 1 and self.desirability is None

    @property
    def target(self) -> str:
        """The fidelity that the user really wants."""
        return self.fidelities[-1]

    @property
    def cost_table(self) -> dict[str, float]:
        """Cost of one evaluation by fidelity."""
        return dict(zip(self.fidelities, self.costs, strict=True))

    @property
    def ranking(self) -> Ranking:
        """The same judgement, for the database to rank by; of several objectives, and of what makes up a desirability,
        only the first counts there.
        """
        bounds = tuple((c.output, c.op, c.bound) for c in self.constraints)
        goal = self.objectives[0]
        return Ranking(goal.output, goal.sense, self.target, bounds, goal.target)

    def name_of(self, output: str) -> str:
        """An output with its unit, for headings: ``gap (eV)``."""
        unit = self.units.get(output, "")
        return f"{output} ({unit})" if unit else output

    @property
    def error_unit(self) -> str:
        """The unit of a model's error: that of the first objective, and none for several outputs that are learned."""
        joint = self.goal == "learn" and len(self.objectives) > 1
        return "" if joint else self.units.get(self.objectives[0].output, "")

    @property
    def error_label(self) -> str:
        """What the error of a model is that learns the objectives, with its unit (`theoros.models.learning_error`)."""
        if len(self.objectives) == 1:
            return f"error of {self.name_of(self.objectives[0].output)}"
        return f"error of {', '.join(goal.output for goal in self.objectives)} (share of their spread)"

    @property
    def wishes(self) -> str:
        """What is wanted, in words: ``maximize gap (eV), match dipole (debye) = 2``."""
        if self.goal != "optimize":
            return f"{self.goal} {', '.join(self.name_of(goal.output) for goal in self.objectives)}"
        if self.desirability is not None:
            parts = (
                f"{self.name_of(wish.output)} from {wish.low:g} to {wish.high:g}"
                + ("" if wish.target is None else f", best at {wish.target:g}")
                for wish in self.desirability.wishes
            )
            return f"maximize the desirability of {'; '.join(parts)}"
        return ", ".join(
            f"{goal.sense} {self.name_of(goal.output)}" + (f" = {goal.target:g}" if goal.sense == "match" else "")
            for goal in self.objectives
        )

    def value(self, label: LabelRecord) -> float | None:
        """The (first) objective of a label at the target fidelity, or its desirability; None for any other label."""
        if self.desirability is not None:
            return (self.utilities(label) or (None,))[0]
        if label.fidelity != self.target or self.objective.output not in label.values:
            return None
        return float(label.values[self.objective.output])

    def utilities(self, label: LabelRecord) -> tuple[float, ...] | None:
        """How good a label at the target fidelity is by each objective, larger being better; None for any other.

        Of several outputs that are learned the first stands for all: none of their values is better than another.
        """
        if label.fidelity != self.target or any(goal.output not in label.values for goal in self.objectives):
            return None
        if self.desirability is not None:
            return (float(self.desirability.of({name: float(label.values[name]) for name in self._wanted})),)
        judged = self.objectives if self.goal == "optimize" else self.objectives[:1]
        return tuple(float(goal.utility(float(label.values[goal.output]))) for goal in judged)

    @property
    def _wanted(self) -> list[str]:
        return [goal.output for goal in self.objectives]

    def feasible(self, label: LabelRecord) -> bool:
        """Whether the label keeps all constraints on outputs."""
        return all(c.output in label.values and c.satisfied(float(label.values[c.output])) for c in self.constraints)

    def ranked(self, labels: Iterable[LabelRecord]) -> list[LabelRecord]:
        """Feasible labels at the target fidelity, the best first; the earlier of two equal ones first.

        With several objectives by front, and in a front by the first objective.
        """
        judged = [
            (utilities, label)
            for label in labels
            if (utilities := self.utilities(label)) is not None and self.feasible(label)
        ]
        fronts = [0] * len(judged)
        if self.several and judged:
            fronts = ranks(np.array([utilities for utilities, _ in judged])).tolist()
        order = sorted(range(len(judged)), key=lambda i: (fronts[i], -judged[i][0][0], judged[i][1].sequence))
        return [judged[i][1] for i in order]

    def best_so_far(self, labels: Sequence[LabelRecord]) -> list[float]:
        """The best feasible value of the (first) objective after each label at the target fidelity; NaN before one."""
        best, series = float("nan"), []
        for label in labels:
            if (value := self.value(label)) is None:
                continue
            if self.feasible(label) and (best != best or self.objective.better(value, best)):
                best = value
            series.append(best)
        return series


class Best:
    """The best feasible labels while they come in: the `value` of the best one (None before the first, and with several
    objectives), the size of the `front`, how many labels at the target fidelity there have been (`n`), and how many
    came `since` the last that was better or joined the front.
    """

    def __init__(self, card: Scorecard) -> None:
        self._card = card
        self._front = np.empty((0, len(card.objectives) if card.several else 1))
        self.value: float | None = None
        self.n = 0
        self.since = 0

    @property
    def front(self) -> int:
        """How many labels no other one is better than."""
        return len(self._front)

    def add(self, label: LabelRecord) -> None:
        """Take one label into account."""
        utilities = self._card.utilities(label)
        if utilities is None:
            return
        self.n += 1
        self.since += 1
        if not self._card.feasible(label) or (self._front >= utilities).all(1).any():
            return
        self._front = np.concatenate([self._front[~(self._front <= utilities).all(1)], [utilities]])
        self.since = 0
        if not self._card.several:
            self.value = self._card.value(label)
