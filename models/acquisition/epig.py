"""Expected predictive information gain: ask what tells most about the predictions that will be wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer, hallucinated, weighed
from theoros.models.acquisition.predicted import CHUNK, at_target, likely, offers_posterior, spread
from theoros.models.acquisition.several import total, wanted
from theoros.models.contract import FittedSurrogate, Paths, SamplePaths, Score
from theoros.models.data import Array, Dataset, Point, Prediction, Problem
from theoros.models.surrogates.output_model import OutputModel
from theoros.oracles.candidate import Candidate

#: Variance, in units of the labels', of which nobody wants to know more: one per cent of their spread. Without it the
#: last digit of a value that is all but known would be worth as much as the first.
RESOLUTION = 1e-4


@dataclass(frozen=True)
class ExpectedPredictiveInformationGain:
    """The mean information (nats) that a label at x brings on the value at a candidate drawn from the space.

    ``mean_r -1/2 log(1 - rho(x, r)²)`` with ``rho`` the correlation between the label at x, noise included, and the
    noise-free value at each of `references` random candidates r: Bickford Smith et al., AISTATS 2023, arXiv:2304.08151.
    Beside integrated variance it cares for the share of what is unknown rather than the amount, so it does not chase
    the few places where variance is large. With a Gaussian process in closed form, pending points conditioned on; other
    surrogates draw `draws` functions, and their correlation over the draws stands for it. A space that can't sample
    itself is represented by the labelled candidates. Of several outputs that are learned, informations add up.
    """

    references: int = 256
    draws: int = 64

    name: ClassVar[str] = "epig"
    needs: ClassVar[frozenset[str]] = frozenset({"samples"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable; needs a Gaussian belief."""
        belief = belief_of(model)
        references = belief.encode(self._domain(problem, dataset, seed))
        target = len(problem.fidelities) - 1
        gains = [_EPIG(hallucinated(belief, output, pending), references, target) for output in wanted(problem)]
        return weighed(total(gains), problem, belief)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Mean information gains in nats."""
        if offers_posterior(model):
            return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))
        domain = self._domain(problem, dataset, seed)
        told = [_Draws.of(problem, model, dataset, output, domain, self.draws, seed) for output in wanted(problem)]

        def score(candidates: Sequence[Candidate]) -> Array:
            values = np.empty(len(candidates))
            for start in range(0, len(candidates), CHUNK):
                chunk = candidates[start : start + CHUNK]
                prediction = at_target(problem, model, chunk)
                gain = np.sum([part.gains(chunk, prediction) for part in told], axis=0)
                values[start : start + len(chunk)] = gain * likely(problem, prediction)
            return np.nan_to_num(values, nan=-np.inf)

        return score

    def _domain(self, problem: Problem, dataset: Dataset, seed: int) -> list[Candidate]:
        drawn = problem.space.sample(self.references, np.random.default_rng(seed))
        return drawn or [point.candidate for point in dataset.points]


@dataclass(frozen=True)
class _Draws:
    """Functions drawn of one output, and their standardised values `there`, ``k x r``, at the references.

    `unit` is the deviation of which nobody wants to know more.
    """

    output: str
    paths: Paths
    there: Array
    unit: float

    @classmethod
    def of(
        cls,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        output: str,
        domain: Sequence[Candidate],
        draws: int,
        seed: int,
    ) -> _Draws:
        paths = cast(SamplePaths, model).paths(output, problem.target, draws, seed=seed)
        unit = RESOLUTION**0.5 * spread(problem, dataset, output)
        return cls(output, paths, _standardised(paths(domain), unit), unit)

    def gains(self, candidates: Sequence[Candidate], prediction: Prediction) -> Array:
        """Mean information gains (b) in nats."""
        noise = prediction.noise[:, prediction.outputs.index(self.output)]
        drawn = _standardised(self.paths(candidates), np.hypot(self.unit, noise))
        shared = (self.there.T @ drawn / len(drawn)) ** 2
        gains = -0.5 * np.log1p(-np.minimum(shared, 1.0 - RESOLUTION)).mean(0)
        return np.asarray(gains, dtype=np.float64)


def _standardised(draws: Array, noise: Array | float) -> Array:
    """Draws ``k x b`` without their mean, over the deviation that they have with `noise` (a deviation, b) added."""
    centred = draws - draws.mean(0)
    return np.asarray(centred / np.hypot(centred.std(0), noise), dtype=np.float64)


class _EPIG(FeatureAcquisition):
    def __init__(self, model: OutputModel, references: Tensor, target: int) -> None:
        super().__init__()
        self.process, self.target = model, target
        self.references = model.inputs(references, target)
        with torch.no_grad():
            self.variance = model.posterior.moments(self.references)[1] + RESOLUTION

    def values(self, features: Tensor) -> Tensor:
        """Information gains ``b`` of features ``b x d``."""
        inputs = self.process.inputs(features, self.target)
        _, variance = self.process.posterior.moments(inputs)
        covariance = self.process.posterior.covariance(self.references, inputs)
        shared = covariance.square() / (self.variance.unsqueeze(-1) * (variance + self.process.noise + RESOLUTION))
        return -0.5 * torch.log1p(-shared.clamp(0.0, 1.0 - RESOLUTION)).mean(0)
