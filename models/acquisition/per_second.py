"""Expected improvement per second: where evaluations take very different times, the cheap ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import RUN_TIME, Array, Dataset, Point, Problem
from theoros.models.surrogates.output_model import OutputModel

#: Run times that must be known before they are believed.
LEAST = 5


@dataclass(frozen=True)
class LogExpectedImprovementPerSecond:
    """log EI less the expected logarithm of the run time, which is one more output of the surrogate.

    Snoek, Larochelle & Adams (NeurIPS 2012, arXiv:1206.2944), section 3.2. It spends a budget of time, not of labels:
    what improves little in no time is preferred to what improves much in a long one. Before `LEAST` run times are known
    it is log EI.
    """

    improvement: LogExpectedImprovement = field(default_factory=LogExpectedImprovement)

    name: ClassVar[str] = "log_ei_per_second"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match"})
    run_times: ClassVar[bool] = True

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        function = self.improvement.build(problem, model, dataset, pending, seed=seed)
        belief = belief_of(model)
        if RUN_TIME not in belief.outputs or RUN_TIME not in dataset.outputs:
            return function
        known = np.isfinite(dataset.values[:, dataset.outputs.index(RUN_TIME)]).sum()
        return function if known < LEAST else _PerSecond(function, belief.output(RUN_TIME), len(problem.fidelities) - 1)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected improvement per second of candidates, in standardised units of the objective."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


class _PerSecond(FeatureAcquisition):
    def __init__(self, function: FeatureAcquisition, run_time: OutputModel, target: int) -> None:
        super().__init__()
        self.function, self.run_time, self.target = function, run_time, target

    def values(self, features: Tensor) -> Tensor:
        """Log expected improvement per second ``b`` of features ``b x d``."""
        mean, _ = self.run_time.posterior.moments(self.run_time.inputs(features, self.target))
        return self.function.values(features) - self._logarithm(mean[:, 0])

    def with_gradient(self, features: Array) -> tuple[Array, Array]:
        """Values (b) and gradients ``b x d``: over arrays where the run time's process can do that, else by torch."""
        written = self.run_time.written_out
        if written is None:
            return super().with_gradient(features)
        values, gradient = self.function.with_gradient(features)
        mean, variance, back = written.at(features)
        scale = float(self.run_time.scale[self.target])
        slope = back(np.full(mean.shape, scale), np.zeros(len(variance)))
        return values - self._logarithm(torch.from_numpy(mean[:, 0])).numpy(), gradient - slope

    def _logarithm(self, mean: Tensor) -> Tensor:
        """The run time's logarithm from its process's own units."""
        return float(self.run_time.offset[self.target]) + float(self.run_time.scale[self.target]) * mean
