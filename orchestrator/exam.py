"""How wrong a model is over the whole design space, where asking the oracle costs nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Point
from theoros.models.learning_error import learning_error
from theoros.models.sampling import derived_seed
from theoros.oracles.contract import Oracle, checked_values
from theoros.oracles.failures import MissingDependency
from theoros.orchestrator.plan import Plan

#: Candidates that a model is examined on.
QUESTIONS = 500


@dataclass
class Exam:
    """Random candidates and their true `values`, ``n x m``, of the `outputs` that are to be learned.

    They are drawn once, by the campaign's seed, and are the same for every method and seed. Nobody is told of them. Of
    a small library the campaigns may ask some by themselves; these count like the others, as the question is how good
    the model is everywhere.
    """

    outputs: tuple[str, ...]
    points: tuple[Point, ...]
    values: Array
    _last: tuple[FittedSurrogate | None, float] = field(default=(None, math.nan), repr=False)

    @classmethod
    def of(cls, plan: Plan, oracle: Oracle, n: int = QUESTIONS) -> Exam:
        """Draw `n` candidates and ask `oracle` for them; those that fail are left out.

        Raises ValueError when none is answered.
        """
        problem = plan.problem
        outputs = tuple(goal.output for goal in problem.objectives)
        rng = np.random.default_rng(derived_seed(plan.spec.seed, "exam"))
        points, values = [], []
        for candidate in problem.space.sample(n, rng):
            try:
                answer = oracle.evaluate(candidate, problem.target)
                checked = checked_values(oracle.outputs, answer)
                answered = [float(checked[output]) for output in outputs]
            except MissingDependency:
                raise
            except Exception:  # noqa: S112  # it can't be answered, so no model can be wrong about it
                continue
            points.append(Point(candidate, problem.target))
            values.append(answered)
        if not points:
            raise ValueError(
                f"The oracle failed for all of {n} random candidates, so no model can be examined on them."
            )
        return cls(outputs, tuple(points), np.array(values))

    def error(self, model: FittedSurrogate | None) -> float:
        """How wrong a model's predictions are (`theoros.models.learning_error`); NaN where there is no model."""
        if model is None:
            return math.nan
        if model is not self._last[0]:
            prediction = model.predict(self.points)
            columns = [prediction.outputs.index(output) for output in self.outputs]
            missed = np.sqrt(np.mean((prediction.mean[:, columns] - self.values) ** 2, axis=0))
            self._last = (model, learning_error(missed.tolist(), self.values.std(0).tolist()))
        return self._last[1]
