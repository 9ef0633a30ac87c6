"""How the labels of a campaign are judged: what is better, what is feasible, what counts as the best so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theoros.db.ranking import Ranking
from theoros.db.records import LabelRecord
from theoros.models.contract import OutcomeConstraint, Problem
from theoros.oracles.contract import Quantity


@dataclass(frozen=True)
class Scorecard:
    """The part of a plan that reading needs. It is stored with the campaign, so that a result can be read and judged
    where its oracle is not installed.
    """

    goal: str
    objective: str
    maximize: bool
    fidelities: tuple[str, ...]
    costs: tuple[float, ...]
    units: Mapping[str, str]
    constraints: tuple[OutcomeConstraint, ...] = ()

    @classmethod
    def of(cls, problem: Problem, outputs: Mapping[str, Quantity]) -> Scorecard:
        """The scorecard of a problem whose oracle has these outputs."""
        units = {name: quantity.unit for name, quantity in outputs.items()}
        return cls(
            problem.goal,
            problem.objective,
            problem.maximize,
            problem.fidelities,
            problem.costs,
            units,
            problem.constraints,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "goal": self.goal,
            "objective": self.objective,
            "maximize": self.maximize,
            "fidelities": list(self.fidelities),
            "costs": list(self.costs),
            "units": dict(self.units),
            "constraints": [[c.output, c.op, c.bound] for c in self.constraints],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scorecard:
        """The inverse of `to_dict`."""
        return cls(
            data["goal"],
            data["objective"],
            bool(data["maximize"]),
            tuple(data["fidelities"]),
            tuple(data["costs"]),
            dict(data["units"]),
            tuple(OutcomeConstraint(*item) for item in data["constraints"]),
        )

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
        """The same judgement, for the database to rank by: see `ranked`."""
        bounds = tuple((c.output, c.op, c.bound) for c in self.constraints)
        return Ranking(self.objective, self.maximize, self.target, bounds)

    def name_of(self, output: str) -> str:
        """An output with its unit, for headings: ``gap (eV)``."""
        unit = self.units.get(output, "")
        return f"{output} ({unit})" if unit else output

    def value(self, label: LabelRecord) -> float | None:
        """The objective of a label at the target fidelity, None for any other label."""
        if label.fidelity != self.target or self.objective not in label.values:
            return None
        return float(label.values[self.objective])

    def feasible(self, label: LabelRecord) -> bool:
        """Whether the label keeps all constraints on outputs."""
        return all(c.output in label.values and c.satisfied(float(label.values[c.output])) for c in self.constraints)

    def ranked(self, labels: Iterable[LabelRecord]) -> list[LabelRecord]:
        """Feasible labels at the target fidelity, the best first; the earlier of two equal ones first."""
        sign = -1.0 if self.maximize else 1.0
        judged = [
            (sign * value, label.sequence, label)
            for label in labels
            if (value := self.value(label)) is not None and self.feasible(label)
        ]
        return [label for _, _, label in sorted(judged, key=lambda item: item[:2])]

    def best_so_far(self, labels: Sequence[LabelRecord]) -> list[float]:
        """The best feasible objective after each label at the target fidelity; NaN before the first feasible one."""
        pick, best = (max if self.maximize else min), float("nan")
        series = []
        for label in labels:
            if (value := self.value(label)) is None:
                continue
            if self.feasible(label):
                best = value if best != best else pick(best, value)
            series.append(best)
        return series


class Best:
    """The best feasible objective while labels come in: its `value` (None before the first), how many labels at the
    target fidelity there have been (`n`), and how many came `since` it.
    """

    def __init__(self, card: Scorecard) -> None:
        self._card = card
        self.value: float | None = None
        self.n = 0
        self.since = 0

    def add(self, label: LabelRecord) -> None:
        """Take one label into account."""
        value = self._card.value(label)
        if value is None:
            return
        self.n += 1
        self.since += 1
        if self._card.feasible(label) and (self.value is None or self._better(value)):
            self.value, self.since = value, 0

    def _better(self, value: float) -> bool:
        assert self.value is not None
        return value > self.value if self._card.maximize else value < self.value
