"""Expected improvement for any surrogate that predicts a mean and a deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.special import log_ndtr

from theoros.models.acquisition.improvement import log_improvement
from theoros.models.acquisition.predicted import at_target, best_of, units_of
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, OutcomeConstraint, Pick, Point, Problem
from theoros.models.labelled import labelled_utilities
from theoros.oracles.candidate import Candidate

#: With a noisy oracle, the best labelled candidates whose predicted mean is looked at for the incumbent.
LOOKED_AT = 256
#: Deviations are at least this share of the labels' spread.
SMALLEST = 1e-6


@dataclass(frozen=True)
class ExpectedImprovement:
    """log (E[max(f(x) - f*, 0)] · P(x feasible)), with independent Gaussian beliefs at each candidate.

    Jones, Schonlau & Welch, J. Global Optimization 13, 455 (1998); the constraints' factor is that of Gardner et al.
    (ICML 2014); logarithms after Ament et al. (NeurIPS 2023, arXiv:2310.20708). f* is the best feasible label at the
    target, or with a noisy oracle the best predicted mean of the best labels; the worst label while none is feasible.

    It needs no joint belief, so it serves random forests; then pending points are kept from being asked again, but
    their neighbours are worth what they were. With a Gaussian process ``log_ei`` is the better one, and for large
    batches ``thompson`` is.
    """

    name: ClassVar[str] = "ei"
    needs: ClassVar[frozenset[str]] = frozenset({"mean", "variance"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected improvement, in units of the labels' spread."""
        units = units_of(problem, dataset)
        unit = units[problem.objective.output]
        goal = problem.objective.standardised(0.0, unit)
        best = torch.tensor(_incumbent(problem, model, dataset) / unit, dtype=torch.float64)

        def score(candidates: Sequence[Candidate]) -> Array:
            prediction = at_target(problem, model, candidates)
            column = prediction.outputs.index(goal.output)
            std = torch.from_numpy(np.maximum(prediction.std[:, column] / unit, SMALLEST))
            value = log_improvement(goal, torch.from_numpy(prediction.mean[:, column] / unit), std, best).numpy()
            for constraint in problem.constraints:
                column = prediction.outputs.index(constraint.output)
                value = value + _log_probability(
                    constraint,
                    prediction.mean[:, column],
                    np.maximum(prediction.std[:, column], SMALLEST * units[constraint.output]),
                )
            return np.asarray(np.nan_to_num(value, nan=-np.inf, posinf=np.finfo(np.float64).max), dtype=np.float64)

        return score

    def batch(
        self,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        pending: Sequence[Point],
        candidates: Sequence[Candidate],
        n: int,
        *,
        seed: int,
    ) -> list[Pick]:
        """The `n` best."""
        return best_of(self.scorer(problem, model, dataset, pending, seed=seed)(candidates), n)


def _log_probability(constraint: OutcomeConstraint, mean: Array, std: Array) -> Array:
    sign = 1.0 if constraint.op == "<=" else -1.0
    return np.asarray(log_ndtr(sign * (constraint.bound - mean) / std), dtype=np.float64)


def _incumbent(problem: Problem, model: FittedSurrogate, dataset: Dataset) -> float:
    """The utility to be improved on; the mean of all labels while the target has none."""
    goal = problem.objective
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    if not len(rows):
        known = dataset.values[:, dataset.outputs.index(goal.output)]
        known = known[np.isfinite(known)]
        return float(goal.utility(known).mean()) if len(known) else 0.0
    if not feasible.any():
        return float(utilities.min())
    rows, values = rows[feasible], utilities[feasible, 0]
    if problem.deterministic:
        return float(values.max())
    promising = rows[np.argsort(-values, kind="stable")[:LOOKED_AT]]
    prediction = model.predict([dataset.points[int(row)] for row in promising])
    return float(goal.utility(prediction.mean[:, prediction.outputs.index(goal.output)]).max())
