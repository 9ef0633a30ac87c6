"""The knowledge gradient: by how much a label is expected to raise the best predicted mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from botorch.utils.probability.utils import ndtr, phi
from torch import Tensor

from theoros.models.acquisition.base import (
    Bound,
    FeatureAcquisition,
    belief_of,
    feature_scorer,
    hallucinated,
    log_kept,
    moments_of,
    standardised_bound,
    standardised_objective,
)
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Point, Problem
from theoros.models.labelled import labelled_best_first
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.output_model import OutputModel

#: A gain (standardised) below which only rounding is left: it keeps the logarithm finite.
SMALLEST = 1e-30
#: Slopes of two lines that differ by less are equal.
PARALLEL = 1e-12


@dataclass(frozen=True)
class KnowledgeGradient:
    """log (E[max over places of the mean once x is labelled] - max over places of the mean now).

    Frazier, Powell & Dayanik, INFORMS J. Comput. 21, 599 (2009), doi:10.1287/ijoc.1080.0314; Scott, Frazier & Powell,
    SIAM J. Optim. 21, 996 (2011), doi:10.1137/100801275. The places are x itself, the `known` best labelled candidates,
    and the `others` of largest upper bound among `references` random ones; over them the expectation is exact. A label
    counts with its noise, and may show that another place is the best, so that it may be worth asking beside the best,
    or where belief is worst; without noise and other places this is expected improvement. Pending points are
    hallucinated at their means. Outcome constraints weigh by their probability, as for expected improvement.
    """

    known: int = 16
    others: int = 32
    references: int = 512

    name: ClassVar[str] = "knowledge_gradient"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        belief = belief_of(model)
        goal, target = standardised_objective(belief, problem.objective), len(problem.fidelities) - 1
        process = hallucinated(belief, problem.objective.output, pending)
        rng = np.random.default_rng(derived_seed(seed, "domain"))
        places = belief.encode(labelled_best_first(problem, dataset, self.known))
        if self.others:
            random = belief.encode(problem.space.sample(self.references, rng))
            with torch.no_grad():
                mean, variance = process.posterior.moments(process.inputs(random, target))
            bound = goal.utility(mean[:, 0]) + 2 * variance.sqrt()
            random = random[torch.argsort(bound, descending=True, stable=True)[: self.others]]
            places = torch.cat([places, random]) if len(places) else random
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        models = {bound.output: hallucinated(belief, bound.output, pending) for bound in bounds}
        return _LogKG(process, goal, places, models, bounds, target)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Logarithms of knowledge gradients, in standardised units of the objective."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


class _LogKG(FeatureAcquisition):
    def __init__(
        self,
        process: OutputModel,
        goal: Objective,
        places: Tensor,
        models: dict[str, OutputModel],
        bounds: Sequence[Bound],
        target: int,
    ) -> None:
        super().__init__()
        self.process, self.goal, self.target = process, goal, target
        self.models, self.bounds = models, bounds
        self.places = process.inputs(places, target)
        with torch.no_grad():
            self.means = goal.utility(process.posterior.moments(self.places)[0][:, 0])

    def values(self, features: Tensor) -> Tensor:
        """Logarithms of knowledge gradients ``b`` of features ``b x d``."""
        inputs = self.process.inputs(features, self.target)
        mean, variance = self.process.posterior.moments(inputs)
        spread = (variance + self.process.noise).sqrt()
        sign = -1.0 if self.goal.sense == "minimize" else 1.0
        shared = sign * self.process.posterior.covariance(inputs, self.places) / spread.unsqueeze(-1)
        levels = torch.cat([self.means.expand(len(features), -1), self.goal.utility(mean[:, :1])], dim=1)
        slopes = torch.cat([shared, sign * (variance / spread).unsqueeze(-1)], dim=1)
        gain = expected_maximum(levels, slopes) + levels.amax(1) - self.means.max()
        total = gain.clamp_min(SMALLEST).log()
        moments = moments_of(self.models, features, self.target)
        return total + log_kept(self.bounds, moments).mean(-1) if self.bounds else total


def expected_maximum(levels: Tensor, slopes: Tensor) -> Tensor:
    """``E[max_j (a_j + b_j z)] - max_j a_j`` for z ~ N(0, 1): ``b`` of ``a``, ``b x m``, and ``b``, ``b x m``; exact.

    Line j is the highest between the last crossing with a line that is less steep and the first with one that is
    steeper; there its part of the expectation is closed.
    """
    best = levels.argmax(1, keepdim=True)
    a, b = levels - levels.gather(1, best), slopes - slopes.gather(1, best)  # the expectation of a common line is zero
    lower_by = a.unsqueeze(2) - a.unsqueeze(1)  # of j (dim 1) over i (dim 2)
    steeper_by = b.unsqueeze(2) - b.unsqueeze(1)
    parallel = steeper_by.abs() < PARALLEL
    crossing = -lower_by / torch.where(parallel, torch.ones_like(steeper_by), steeper_by)
    begin = torch.where(~parallel & (steeper_by > 0), crossing, torch.full_like(crossing, -math.inf)).amax(2)
    end = torch.where(~parallel & (steeper_by < 0), crossing, torch.full_like(crossing, math.inf)).amin(2)
    order = torch.arange(a.shape[1])
    first = order.unsqueeze(1) > order.unsqueeze(0)  # of equal lines the first one counts
    hidden = (parallel & ((lower_by < 0) | ((lower_by == 0) & first))).any(2) | (begin >= end)
    begin, end = begin.clamp(-40.0, 40.0), end.clamp(-40.0, 40.0)
    upper = begin > 0  # where the complement keeps more digits
    share = torch.where(upper, ndtr(-begin) - ndtr(-end), ndtr(end) - ndtr(begin))
    moment = phi(begin) - phi(end)
    parts = torch.where(hidden, torch.zeros_like(a), a * share + b * moment)
    return parts.sum(1).clamp_min(0.0)
