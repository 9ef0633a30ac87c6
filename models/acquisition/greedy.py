"""The mean alone: no exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from theoros.models.acquisition.predicted import at_target, best_of, optimistic, units_of
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class Greedy:
    """The predicted mean at the target fidelity, less a penalty where a constraint is predicted to be violated.

    The control for acquisitions that explore, and a fair choice for the last batch. Works with any surrogate. Pending
    points are only kept from being asked again.
    """

    name: ClassVar[str] = "greedy"
    needs: ClassVar[frozenset[str]] = frozenset({"mean"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Means, larger being better, in units of the labels' spread."""
        units = units_of(problem, dataset)

        def score(candidates: Sequence[Candidate]) -> Array:
            return optimistic(problem, at_target(problem, model, candidates), units, 0.0)

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
        """The `n` best by mean."""
        return best_of(self.scorer(problem, model, dataset, pending, seed=seed)(candidates), n)
