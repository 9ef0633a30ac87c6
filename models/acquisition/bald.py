"""Bayesian active learning by disagreement: what the model could know and does not, against what nobody can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoros.models.acquisition.predicted import at_target, best_of, likely, spread
from theoros.models.acquisition.several import wanted
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.oracles.candidate import Candidate

#: The least noise, relative to the largest deviation that is scored, so that exact labels carry finite information.
LEAST_NOISE = 1e-6


@dataclass(frozen=True)
class Disagreement:
    """The information (nats) that a label at x brings on the model: ``1/2 log(1 + std² / noise²)``.

    Houlsby et al., arXiv:1112.5745, for Gaussian beliefs. Where the noise is alike everywhere it ranks as ``std`` does;
    where the oracle scatters more in some places than in others it does not ask there again and again. Pending points
    are only kept from being asked again. Of several outputs that are learned, informations add up. Where there are
    constraints it is weighed by the probability that they hold.
    """

    name: ClassVar[str] = "bald"
    needs: ClassVar[frozenset[str]] = frozenset({"variance"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Information in nats."""
        least = {output: LEAST_NOISE * spread(problem, dataset, output) for output in wanted(problem)}

        def score(candidates: Sequence[Candidate]) -> Array:
            prediction = at_target(problem, model, candidates)
            information = np.zeros(len(candidates))
            for output, floor in least.items():
                column = prediction.outputs.index(output)
                ratio = prediction.std[:, column] / np.maximum(prediction.noise[:, column], floor)
                information += 0.5 * np.log1p(ratio**2)
            return np.asarray(information * likely(problem, prediction), dtype=np.float64)

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
        """The `n` largest."""
        return best_of(self.scorer(problem, model, dataset, pending, seed=seed)(candidates), n)
