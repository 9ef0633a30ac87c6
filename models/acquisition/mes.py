"""Max-value entropy search: ask what tells most about how good the best is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from botorch.utils.probability.utils import log_ndtr, log_phi
from torch import Tensor

from theoros.models.acquisition.base import (
    FeatureAcquisition,
    belief_of,
    feature_scorer,
    hallucinated,
    standardised_objective,
    weighed,
)
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Point, Problem
from theoros.models.labelled import labelled_best_first
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.output_model import OutputModel

#: The least by which a drawn best exceeds the best mean (standardised): it keeps its information finite.
LEAST_ABOVE = 1e-4


@dataclass(frozen=True)
class MaxValueEntropySearch:
    """The information (nats) that the value at x brings on the best value there is.

    Wang & Jegelka, ICML 2017, arXiv:1703.01968. `samples` best values are drawn as the largest of joint draws at
    `references` random candidates and the best labelled ones; for each the belief at x is cut off there, and the
    entropy that is lost by that is closed. Pending points are hallucinated at their means. Outcome constraints weigh by
    their probability, as for expected improvement.
    """

    samples: int = 16
    references: int = 512

    name: ClassVar[str] = "mes"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        belief = belief_of(model)
        goal, target = standardised_objective(belief, problem.objective), len(problem.fidelities) - 1
        process = hallucinated(belief, problem.objective.output, pending)
        domain = problem.space.sample(self.references, np.random.default_rng(derived_seed(seed, "domain")))
        domain = [*labelled_best_first(problem, dataset, 32), *domain]
        inputs = process.inputs(belief.encode(domain), target)
        drawn = goal.utility(process.posterior.sample(inputs, self.samples, seed=derived_seed(seed, "best")))
        with torch.no_grad():
            certain = goal.utility(process.posterior.moments(inputs)[0]).max()
        best = drawn.amax(0).clamp_min(float(certain) + LEAST_ABOVE)
        return weighed(_MES(process, goal, best, target), problem, belief)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Information gains in nats."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


class _MES(FeatureAcquisition):
    def __init__(self, process: OutputModel, goal: Objective, best: Tensor, target: int) -> None:
        super().__init__()
        self.process, self.goal, self.best, self.target = process, goal, best, target

    def values(self, features: Tensor) -> Tensor:
        """Information gains ``b`` of features ``b x d``."""
        mean, variance = self.process.posterior.moments(self.process.inputs(features, self.target))
        room = (self.best - self.goal.utility(mean)) / variance.sqrt().unsqueeze(-1)
        # Far above the belief nothing is cut off; the tail of the formula would only add rounding.
        room = room.clamp(-30.0, 30.0)
        log_share = log_ndtr(room)
        lost: Tensor = 0.5 * room * (log_phi(room) - log_share).exp() - log_share
        return lost.clamp_min(0.0).mean(-1)
