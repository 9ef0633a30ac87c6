"""How wrong a model is over the whole design space, where asking the oracle costs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from theoros.models.contract import Array, FittedSurrogate, Point
from theoros.models.sampling import derived_seed
from theoros.oracles.contract import Oracle, checked_values
from theoros.oracles.failures import MissingDependency
from theoros.orchestrator.plan import Plan

#: Candidates that a model is examined on.
QUESTIONS = 500


@dataclass
class Exam:
    """Random candidates and their true `values` (n) of the output that is to be learned.

    They are drawn once, by the campaign's seed, and are the same for every method and seed. Nobody is told of them. Of
    a small library the campaigns may ask some by themselves; these count like the others, as the question is how good
    the model is everywhere.
    """

    output: str
    points: tuple[Point, ...]
    values: Array
    _last: tuple[FittedSurrogate | None, float] = field(default=(None, math.nan), repr=False)

    @classmethod
    def of(cls, plan: Plan, oracle: Oracle, n: int = QUESTIONS) -> Exam:
        """Draw `n` candidates and ask `oracle` for them; those that fail are left out.

        Raises ValueError when none is answered.
        """
        problem = plan.problem
        rng = np.random.default_rng(derived_seed(plan.spec.seed, "exam"))
        points, values = [], []
        for candidate in problem.space.sample(n, rng):
            try:
                answer = oracle.evaluate(candidate, problem.target)
                value = float(checked_values(oracle.outputs, answer)[problem.objective.output])
            except MissingDependency:
                raise
            except Exception:  # noqa: S112  # it can't be answered, so no model can be wrong about it
                continue
            points.append(Point(candidate, problem.target))
            values.append(value)
        if not points:
            raise ValueError(
                f"The oracle failed for all of {n} random candidates, so no model can be examined on them."
            )
        return cls(problem.objective.output, tuple(points), np.array(values))

    def error(self, model: FittedSurrogate | None) -> float:
        """The root mean square error of a model's predictions, in the output's unit; NaN where there is no model."""
        if model is None:
            return math.nan
        if model is not self._last[0]:
            prediction = model.predict(self.points)
            missed = prediction.mean[:, prediction.outputs.index(self.output)] - self.values
            self._last = (model, float(np.sqrt(np.mean(missed**2))))
        return self._last[1]
