"""The control: no candidate is better than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Point, Problem
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class RandomScores:
    """Zero for every candidate, so that proposals are taken in the order in which a proposer drew them."""

    name: ClassVar[str] = "random"
    needs: ClassVar[frozenset[str]] = frozenset()
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match", "pareto", "desirability", "learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Zeros (n,)."""

        def score(candidates: Sequence[Candidate]) -> Array:
            return np.zeros(len(candidates))

        return score
