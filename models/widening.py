"""How much wider predictions have to be, by the labels that came after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: The belief before any check: as if so many had been as far off as they were expected to be.
PRIOR = 4.0
#: Errors count as no larger than this many standard deviations: one label is no proof that all others are doubtful.
FARTHEST = 4.0


@dataclass(frozen=True)
class Widening:
    """A factor on the standard deviations of each output, learned from predictions that were made before their labels.

    A surrogate at the most likely setting of its hyperparameters does not know that it might be another, and with few
    labels its intervals are too narrow. If errors in units of the model's own standard deviations are normal with a
    common variance, the mean of that variance under its conjugate prior is ``(PRIOR + sum of squares) / (PRIOR + n)``
    (Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 2.6). It is what is told of predictions that is
    widened; what an acquisition weighs is not.
    """

    checks: Mapping[str, int] = field(default_factory=dict)
    squares: Mapping[str, float] = field(default_factory=dict)

    def factor(self, output: str) -> float:
        """By how much standard deviations of `output` are to be multiplied; 1 before the first check."""
        n, squares = self.checks.get(output, 0), self.squares.get(output, 0.0)
        return float(np.sqrt((PRIOR + squares) / (PRIOR + n)))

    def told(self, predictions: Iterable[tuple[str, float, float, float]]) -> Widening:
        """Also know predictions that were told with this widening: (output, mean, standard deviation, observed)."""
        errors: dict[str, list[float]] = {}
        for output, mean, std, observed in predictions:
            if std > 0:
                errors.setdefault(output, []).append((observed - mean) / std * self.factor(output))
        known = self
        for output, own in sorted(errors.items()):
            known = known.learned(output, own)
        return known

    def learned(self, output: str, errors: Sequence[float]) -> Widening:
        """Also know `errors`, each in units of the standard deviation that the model itself had given."""
        new = np.minimum(np.square(errors), FARTHEST**2)
        checks = self.checks.get(output, 0) + len(errors)
        squares = self.squares.get(output, 0.0) + float(new.sum())
        return Widening({**self.checks, output: checks}, {**self.squares, output: squares})

    def record(self) -> dict[str, dict[str, float]]:
        """JSON data for the database, by output."""
        return {
            output: {"factor": self.factor(output), "checks": n, "squares": self.squares[output]}
            for output, n in self.checks.items()
        }

    @classmethod
    def recorded(cls, record: Mapping[str, Mapping[str, Any]] | None) -> Widening:
        """What a `record` says; nothing is known without one."""
        known = record or {}
        return cls(
            {output: int(own["checks"]) for output, own in known.items()},
            {output: float(own["squares"]) for output, own in known.items()},
        )
