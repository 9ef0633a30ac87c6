"""Expected improvement in logarithms, under outcome constraints, noise and pending points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from botorch.acquisition.analytic import _log_ei_helper
from botorch.utils.probability.utils import log_ndtr
from torch import Tensor

from theoros.models.acquisition.base import (
    Bound,
    FeatureAcquisition,
    GaussianBelief,
    belief_of,
    feature_scorer,
    labelled_at_target,
    pending_features,
    standardised_bound,
)
from theoros.models.contract import Dataset, FittedSurrogate, Point, Problem, Score
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.gaussian_process import OutputModel

#: Labelled candidates whose noise-free value is integrated over when labels are noisy: those that may be the best.
UNCERTAIN_INCUMBENTS = 12


@dataclass(frozen=True)
class LogExpectedImprovement:
    """log E[max(f(x) - f*, 0) · 1(x feasible)] with everything not yet known integrated out.

    The answers of pending points, and with a noisy oracle the true values of the best labelled ones, are drawn
    jointly `samples` times by quasi-Monte Carlo; on each draw the processes are conditioned, the incumbent f* is the
    best feasible value of the draw, and the improvement and the constraints' probabilities are analytic. This is
    noisy expected improvement (Letham et al., Bayesian Analysis 14, 495 (2019), arXiv:1706.07094) in the stable
    logarithms of Ament et al. (NeurIPS 2023, arXiv:2310.20708). Without pending points and noise it is analytic EI.
    While nothing feasible is known f* is the worst value known, so that feasibility decides.
    """

    samples: int = 64

    name: ClassVar[str] = "log_ei"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        belief = belief_of(model)
        names = list(dict.fromkeys([problem.objective, *(constraint.output for constraint in problem.constraints)]))
        known = _Known.of(problem, belief, dataset, pending)
        models, values = {}, {}
        for name in names:
            models[name], values[name] = known.realised(belief, name, self.samples, derived_seed(seed, name))
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        sign = 1.0 if problem.maximize else -1.0
        best = _incumbents(sign * values[problem.objective], values, bounds)
        return _LogEI(models, problem.objective, sign, bounds, best, len(problem.fidelities) - 1)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected improvement of candidates, in standardised units of the objective."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


@dataclass(frozen=True)
class _Known:
    """Where values are fixed by labels (rows of the dataset) and where they are drawn (features and fidelities)."""

    dataset: Dataset
    fixed: list[int]
    features: Tensor
    fidelity: list[int]
    target: int

    @classmethod
    def of(cls, problem: Problem, belief: GaussianBelief, dataset: Dataset, pending: Sequence[Point]) -> _Known:
        target = len(problem.fidelities) - 1
        rows = labelled_at_target(problem, dataset)
        features, fidelity = pending_features(belief, pending)
        if not problem.deterministic and rows:
            promising = _promising(problem, belief, dataset, rows)
            features = torch.cat([belief.encode([dataset.points[row].candidate for row in promising]), features])
            return cls(dataset, [], features, [target] * len(promising) + fidelity, target)
        return cls(dataset, rows, features, fidelity, target)

    def realised(self, belief: GaussianBelief, output: str, samples: int, seed: int) -> tuple[OutputModel, Tensor]:
        """The process under each draw, and the values ``k x s`` of the output at the places that may be the best."""
        model = belief.output(output)
        values = self._labels(belief, model, output)
        if not self.fidelity:
            return model, values
        drawn = model.posterior.sample(model.inputs(self.features, self.fidelity), samples, seed=seed)
        at_target = torch.tensor([f == self.target for f in self.fidelity])
        conditioned = model.conditioned(self.features, self.fidelity, drawn)
        return conditioned, torch.cat([values.expand(-1, samples), drawn[at_target]])

    def _labels(self, belief: GaussianBelief, model: OutputModel, output: str) -> Tensor:
        if not self.fixed:
            return torch.zeros(0, 1, dtype=torch.float64)
        column = self.dataset.values[self.fixed, self.dataset.outputs.index(output)]
        values = torch.from_numpy((column - model.offset[-1]) / model.scale[-1])
        if not bool(values.isfinite().all()):  # a label may lack this output: then its mean stands in
            features = belief.encode([self.dataset.points[row].candidate for row in self.fixed])
            with torch.no_grad():
                means, _ = model.posterior.moments(model.inputs(features, self.target))
            values = torch.where(values.isfinite(), values, means[:, 0])
        return values.unsqueeze(-1)


def _promising(problem: Problem, belief: GaussianBelief, dataset: Dataset, rows: list[int]) -> list[int]:
    """Of the labelled rows, one for each candidate, those whose noise-free value is believed to be among the best."""
    distinct = list({dataset.points[row].candidate.hash: row for row in rows}.values())
    model = belief.output(problem.objective)
    features = belief.encode([dataset.points[row].candidate for row in distinct])
    with torch.no_grad():
        mean, variance = model.posterior.moments(model.inputs(features, len(problem.fidelities) - 1))
    optimistic = (mean[:, 0] if problem.maximize else -mean[:, 0]) + variance.sqrt()
    order = torch.argsort(optimistic, descending=True, stable=True)[:UNCERTAIN_INCUMBENTS]
    return [distinct[int(index)] for index in order]


def _incumbents(objective: Tensor, values: dict[str, Tensor], bounds: Sequence[Bound]) -> Tensor:
    """The best feasible value of every draw (s); the worst of all where nothing is feasible; -2 without labels."""
    if len(objective) == 0:
        return torch.full((1,), -2.0, dtype=torch.float64)
    feasible = torch.ones_like(objective, dtype=torch.bool)
    for bound in bounds:
        feasible = feasible & (bound.sign * values[bound.output] <= bound.limit)
    best = torch.where(feasible, objective, torch.full_like(objective, -math.inf)).amax(0)
    return torch.where(best.isfinite(), best, objective.amin(0))


class _LogEI(FeatureAcquisition):
    def __init__(
        self,
        models: dict[str, OutputModel],
        objective: str,
        sign: float,
        bounds: Sequence[Bound],
        best: Tensor,
        target: int,
    ) -> None:
        super().__init__()
        self.models, self.objective, self.sign, self.bounds = models, objective, sign, bounds
        self.best, self.target = best, target

    def values(self, features: Tensor) -> Tensor:
        """Log expected improvement ``b`` of features ``b x d``."""
        moments = {
            name: model.posterior.moments(model.inputs(features, self.target)) for name, model in self.models.items()
        }
        mean, variance = moments[self.objective]
        deviation = variance.sqrt().unsqueeze(-1)
        total = _log_ei_helper((self.sign * mean - self.best) / deviation) + deviation.log()
        for bound in self.bounds:
            mean, variance = moments[bound.output]
            total = total + log_ndtr((bound.limit - bound.sign * mean) / variance.sqrt().unsqueeze(-1))
        return torch.logsumexp(total, dim=-1) - float(np.log(total.shape[-1]))
