"""What is wanted of an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

Sense = Literal["maximize", "minimize", "match"]
#: Numbers, NumPy arrays or tensors.
Values = TypeVar("Values", bound=Any)


@dataclass(frozen=True)
class Objective:
    """An output that is to be large, small, or as near as possible to `target`.

    `target` is in the output's unit and counts for ``"match"`` only. `worst`, in the same unit, is the least that is
    worth having beside other objectives: hypervolumes are counted from there. None leaves it to the labels.
    """

    output: str
    sense: Sense = "maximize"
    target: float = 0.0
    worst: float | None = None

    def utility(self, values: Values) -> Values:
        """`values` of the output so that larger is better: as they are, negated, or the negative distance."""
        found: Any = values
        if self.sense != "maximize":
            found = -values if self.sense == "minimize" else -abs(values - self.target)
        return cast(Values, found)

    def better(self, value: float, other: float) -> bool:
        """Whether a value is strictly better than another."""
        return bool(self.utility(value) > self.utility(other))

    def reached(self, value: float, goal: float) -> bool:
        """Whether a value is as good as `goal`; for ``"match"`` that is the distance which is near enough."""
        return bool(self.utility(value) >= (-abs(goal) if self.sense == "match" else self.utility(goal)))

    def standardised(self, offset: float, scale: float) -> Objective:
        """The same wish in units ``(value - offset) / scale``; `scale` is positive."""
        worst = None if self.worst is None else (self.worst - offset) / scale
        return Objective(self.output, self.sense, (self.target - offset) / scale, worst)
