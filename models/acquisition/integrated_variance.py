"""Integrated variance: ask what teaches most about the whole domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer, hallucinated, weighed
from theoros.models.acquisition.predicted import at_target, likely
from theoros.models.acquisition.several import total, wanted
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Pick, Point, Problem
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import EXACT
from theoros.oracles.candidate import Candidate

#: Candidates whose covariances are held at once for a batch.
MOST_TOGETHER = 2_000


@dataclass(frozen=True)
class IntegratedVariance:
    """The drop of the objective's mean posterior variance over the domain that a label at x would bring.

    ``mean_r cov(r, x)^2 / (var(x) + noise)`` over `references` candidates r drawn from the space: the same ranking
    as BoTorch's qNegIntegratedPosteriorVariance, in closed form. ALC of Cohn (Neural Networks 9, 1071 (1996)); Seo
    et al. (IJCNN 2000). Pending points are conditioned on first. A space that can't sample itself is represented by
    the labelled candidates. Where there are constraints, the drop is weighed by the probability that they hold at x:
    a candidate that fails teaches nothing. Of several outputs that are learned, drops in standardised units add up.
    """

    references: int = 512

    name: ClassVar[str] = "integrated_variance"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        return weighed(total(self._drops(problem, model, dataset, pending, seed)), problem, belief_of(model))

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Drops of the mean variance, in squared standardised units of the objective."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))

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
        """One after another, each taken in by the next: a pick takes its share out of all covariances (rank one).

        None for more than `MOST_TOGETHER` candidates, and with several fidelities, where what is asked of a pick is
        decided before the next.
        """
        if len(problem.fidelities) > 1 or len(candidates) > MOST_TOGETHER:
            return None
        chance = torch.from_numpy(likely(problem, at_target(problem, model, candidates)))
        picks: list[Pick] = []
        with torch.no_grad():
            features = belief_of(model).encode(candidates)
            left = [_Left.of(drop, features) for drop in self._drops(problem, model, dataset, pending, seed)]
            while len(picks) < min(n, len(candidates)):
                values = torch.stack([part.drops() for part in left]).sum(0) * chance
                values[[pick.place for pick in picks]] = -math.inf
                best = int(torch.nan_to_num(values, nan=-math.inf).argmax())
                picks.append(Pick(best, float(values[best])))
                left = [part.without(best) for part in left]
        return picks

    def _drops(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], seed: int
    ) -> list[_VarianceDrop]:
        belief = belief_of(model)
        rng = np.random.default_rng(seed)
        domain = problem.space.sample(self.references, rng) or [point.candidate for point in dataset.points]
        references, target = belief.encode(domain), len(problem.fidelities) - 1
        return [_VarianceDrop(hallucinated(belief, output, pending), references, target) for output in wanted(problem)]


@dataclass(frozen=True)
class _Left:
    """Covariances of one process that picks have left: `among` candidates ``b x b``, `across` references ``r x b``."""

    among: Tensor
    across: Tensor
    noise: float

    @classmethod
    def of(cls, drop: _VarianceDrop, features: Tensor) -> _Left:
        posterior, X = drop.process.posterior, drop.process.inputs(features, drop.target)
        return cls(posterior.covariance(X, X), posterior.covariance(drop.references, X), drop.process.noise)

    def drops(self) -> Tensor:
        """Drops of the mean variance (b)."""
        return self.across.square().mean(0) / (self.among.diagonal() + self.noise)

    def without(self, pick: int) -> _Left:
        """What is left once the candidate `pick` is known."""
        root = (self.among[pick, pick] + EXACT).clamp_min(EXACT).sqrt()
        share, reference_share = self.among[:, pick] / root, self.across[:, pick] / root
        return _Left(
            self.among - torch.outer(share, share), self.across - torch.outer(reference_share, share), self.noise
        )


class _VarianceDrop(FeatureAcquisition):
    def __init__(self, model: OutputModel, references: Tensor, target: int) -> None:
        super().__init__()
        self.process, self.target = model, target
        self.references = model.inputs(references, target)

    def values(self, features: Tensor) -> Tensor:
        """Drops ``b`` of features ``b x d``."""
        inputs = self.process.inputs(features, self.target)
        _, variance = self.process.posterior.moments(inputs)
        covariance = self.process.posterior.covariance(self.references, inputs)
        return covariance.square().mean(0) / (variance + self.process.noise)


def mean_variance(acquisition: FeatureAcquisition) -> float:
    """The mean posterior variance over the references of an integrated-variance acquisition, before any new label."""
    if not isinstance(acquisition, _VarianceDrop):
        raise TypeError(f"{type(acquisition).__name__} holds no references")
    with torch.no_grad():
        _, variance = acquisition.process.posterior.moments(acquisition.references)
    return float(variance.mean())
