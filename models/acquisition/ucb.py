"""Upper confidence bound for asynchronous batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import (
    Bound,
    FeatureAcquisition,
    WrittenOut,
    belief_of,
    feature_scorer,
    hallucinated,
    standardised_bound,
)
from theoros.models.acquisition.joint_picks import upper_bounds_in_turn
from theoros.models.acquisition.predicted import (
    VIOLATION_WEIGHT,
    at_target,
    offers_posterior,
    one_of_each,
    optimistic,
    units_of,
)
from theoros.models.acquisition.written_out import upper_bound
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.objective import Objective
from theoros.models.surrogates.output_model import OutputModel
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class UpperConfidenceBound:
    """mean + sqrt(beta) · std, with pending points hallucinated at their means (GP-BUCB).

    Desautels, Krause & Burdick, JMLR 15, 4053 (2014). Without a fixed `beta` one is drawn anew for every scorer,
    log-uniformly in [0.1, 10], so that a batch mixes caution and daring (after Tripp & Hernández-Lobato,
    arXiv:2406.07709). Outcome constraints are seen optimistically: a candidate loses only where the same bound on
    the constraint says it is violated (Xu et al., ICML 2023, arXiv:2211.05882).

    With a surrogate that offers no posterior to condition, such as a random forest, pending points are only kept from
    being asked again, and the mixture of betas alone spreads a batch.
    """

    beta: float | None = None

    name: ClassVar[str] = "ucb"
    needs: ClassVar[frozenset[str]] = frozenset({"mean", "variance"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable; needs a Gaussian belief."""
        belief = belief_of(model)
        beta = float(self._betas(1, seed)[0])
        models = {name: hallucinated(belief, name, pending) for name in problem.judged}
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        return upper_confidence_bound(models, problem.objective, bounds, beta, len(problem.fidelities) - 1)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Upper confidence bounds of candidates, in units of the objective's spread."""
        if offers_posterior(model):
            return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))
        units, width = units_of(problem, dataset), float(self._betas(1, seed)[0]) ** 0.5

        def score(candidates: Sequence[Candidate]) -> Array:
            return optimistic(problem, at_target(problem, model, candidates), units, width)

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
        """For each of `n` betas its best candidate not yet taken; with a posterior every pick takes the others in."""
        if offers_posterior(model):
            return upper_bounds_in_turn(problem, belief_of(model), pending, candidates, self._betas(n, seed))
        prediction, units = at_target(problem, model, candidates), units_of(problem, dataset)
        widths = np.sqrt(self._betas(n, seed))
        return one_of_each((optimistic(problem, prediction, units, float(width)) for width in widths), n)

    def _betas(self, n: int, seed: int) -> Array:
        if self.beta is not None:
            return np.full(n, self.beta)
        return np.asarray(10 ** np.random.default_rng(seed).uniform(-1, 1, n), dtype=np.float64)


def upper_confidence_bound(
    models: dict[str, OutputModel], objective: Objective, bounds: Sequence[Bound], beta: float, target: int
) -> FeatureAcquisition:
    """Return mean + sqrt(beta) · std of the objective's process among `models`, less what `bounds` are violated by."""
    return _UCB(models, objective, bounds, beta, target)


class _UCB(WrittenOut):
    def __init__(
        self,
        models: dict[str, OutputModel],
        objective: Objective,
        bounds: Sequence[Bound],
        beta: float,
        target: int,
    ) -> None:
        super().__init__(models)
        self.objective, self.bounds = objective, bounds
        self.width, self.target = beta**0.5, target

    def values(self, features: Tensor) -> Tensor:
        """Upper confidence bounds ``b`` of features ``b x d``."""
        model = self.models[self.objective.output]
        mean, variance = model.posterior.moments(model.inputs(features, self.target))
        total: Tensor = self.objective.utility(mean[:, 0]) + self.width * variance.sqrt()
        for bound in self.bounds:
            model = self.models[bound.output]
            mean, variance = model.posterior.moments(model.inputs(features, self.target))
            violation = bound.sign * mean[:, 0] - self.width * variance.sqrt() - bound.limit
            total = total - VIOLATION_WEIGHT * torch.relu(violation)
        return total

    def head(
        self, moments: Mapping[str, tuple[Array, Array]]
    ) -> tuple[Array, Mapping[str, tuple[Array, Array]]] | None:
        """See `WrittenOut.head`."""
        return upper_bound(self.objective, self.bounds, self.width, moments)
