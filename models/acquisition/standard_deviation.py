"""Uncertainty sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer, hallucinated, weighed
from theoros.models.acquisition.predicted import at_target, best_of, likely, offers_posterior
from theoros.models.acquisition.several import units, wanted
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.surrogates.output_model import OutputModel
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class StandardDeviation:
    """The objective's posterior standard deviation at the target fidelity: ask where least is known.

    Of several outputs that are learned it is the root of the sum of their variances, each in units of its spread.
    Known as uncertainty sampling or ALM (MacKay, Neural Computation 4, 590 (1992)). Works with any surrogate that
    predicts a standard deviation; pending points count where the surrogate offers a posterior to condition. Where there
    are constraints it is weighed by the probability that they hold.
    """

    name: ClassVar[str] = "std"
    needs: ClassVar[frozenset[str]] = frozenset({"variance"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match", "learn"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable; needs a Gaussian belief."""
        belief = belief_of(model)
        asked = [hallucinated(belief, output, pending) for output in wanted(problem)]
        return weighed(_StandardDeviation(asked, len(problem.fidelities) - 1), problem, belief)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Standard deviations of candidates, standardised where the surrogate is a Gaussian process."""
        if offers_posterior(model):
            return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))

        unit = units(problem, dataset)

        def score(candidates: Sequence[Candidate]) -> Array:
            prediction = at_target(problem, model, candidates)
            parts = [prediction.std[:, prediction.outputs.index(output)] / unit[output] for output in unit]
            std = parts[0] if len(parts) == 1 else np.linalg.norm(parts, axis=0)
            return np.asarray(np.nan_to_num(std * likely(problem, prediction), nan=-np.inf), dtype=np.float64)

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
    ) -> list[Pick] | None:
        """The `n` largest; None with a posterior, which takes picks in."""
        if offers_posterior(model):
            return None
        return best_of(self.scorer(problem, model, dataset, pending, seed=seed)(candidates), n)


class _StandardDeviation(FeatureAcquisition):
    def __init__(self, models: Sequence[OutputModel], target: int) -> None:
        super().__init__()
        self.processes, self.target = list(models), target

    def values(self, features: Tensor) -> Tensor:
        """Standard deviations ``b`` of features ``b x d``."""
        variances = [process.posterior.moments(process.inputs(features, self.target))[1] for process in self.processes]
        return (variances[0] if len(variances) == 1 else torch.stack(variances).sum(0)).sqrt()
