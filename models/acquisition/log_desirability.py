"""Expected improvement of the desirability of several outputs, in logarithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from botorch.utils.safe_math import log_fatplus
from torch import Tensor

from theoros.models.acquisition.base import (
    Bound,
    FeatureAcquisition,
    belief_of,
    feature_scorer,
    log_kept,
    moments_of,
    standardised_bound,
)
from theoros.models.acquisition.known import Known
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Point, Problem
from theoros.models.desirability import Desirability
from theoros.models.sampling import derived_seed, normal_quasirandom
from theoros.models.surrogates.output_model import OutputModel

#: How sharply a desirability bends at zero, and an improvement at the incumbent. What lies below keeps a slope, so that
#: a climb finds its way to where something is desirable.
ROUND_ZERO, ROUND_BEST = 1e-3, 1e-5


@dataclass(frozen=True)
class LogExpectedDesirability:
    """log E[max(D(f(x)) - D*, 0) · 1(x feasible)] with everything not yet known integrated out.

    The outputs' processes are independent, so their values at x are `points` quasi-random normal vectors, shifted and
    scaled: the same ones for all x, which makes the mean over them a smooth function of x (Balandat et al., NeurIPS
    2020, arXiv:1910.06403). Where there are `samples` draws of pending answers, and of the true values behind noisy
    labels, each has an incumbent D* and a quarter of the points. Constraints count by their probability. Logarithms and
    rounded corners after Ament et al. (NeurIPS 2023, arXiv:2310.20708).
    """

    samples: int = 16
    points: int = 128

    name: ClassVar[str] = "log_desirability"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"desirability"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable.

        Raises ValueError when the problem tells no desirability.
        """
        if problem.desirability is None:
            raise ValueError("'log_desirability' needs to be told what is desirable. Use 'log_ei' or 'log_ehvi'.")
        belief = belief_of(model)
        known = Known.of(problem, belief, dataset, pending)
        models, values = known.judged(problem, belief, self.samples, seed)
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        wishes = [
            wish.standardised(float(models[wish.output].offset[-1]), float(models[wish.output].scale[-1]))
            for wish in problem.desirability.wishes
        ]
        worth = Desirability(tuple(wishes))
        best = _incumbents(worth, values, bounds)
        n = self.points if len(best) == 1 else max(1, self.points // 4)
        base = torch.from_numpy(normal_quasirandom(n, len(wishes), derived_seed(seed, "outputs")))
        return _LogDesirability(models, worth, bounds, best, base, len(problem.fidelities) - 1)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected improvement of the desirability of candidates."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


def _incumbents(worth: Desirability, values: Mapping[str, Tensor], bounds: Sequence[Bound]) -> Tensor:
    """The best feasible desirability of every draw (s); the least of all where nothing is feasible; 0 without labels.

    `values` are ``k x s`` for each output, or ``k x 1`` where the draws do not differ.
    """
    draws = max(value.shape[1] for value in values.values())
    known = {name: value.expand(-1, draws) for name, value in values.items()}
    found = torch.from_numpy(np.asarray(worth.of({name: value.numpy() for name, value in known.items()})))
    if len(found) == 0:
        return torch.zeros(1, dtype=torch.float64)
    feasible = torch.ones_like(found, dtype=torch.bool)
    for bound in bounds:
        feasible = feasible & (bound.sign * known[bound.output] <= bound.limit)
    best = torch.where(feasible, found, torch.full_like(found, -1.0)).amax(0)
    return torch.where(best >= 0, best, found.amin(0))


class _LogDesirability(FeatureAcquisition):
    def __init__(
        self,
        models: dict[str, OutputModel],
        worth: Desirability,
        bounds: Sequence[Bound],
        best: Tensor,
        base: Tensor,
        target: int,
    ) -> None:
        super().__init__()
        self.models, self.worth, self.bounds = models, worth, bounds
        self.best, self.base, self.target = best, base, target

    def values(self, features: Tensor) -> Tensor:
        """Log expected improvement ``b`` of features ``b x d``."""
        moments = moments_of(self.models, features, self.target)
        total: Tensor = torch.zeros((), dtype=torch.float64)
        for i, (wish, share) in enumerate(zip(self.worth.wishes, self.worth.shares, strict=True)):
            mean, variance = moments[wish.output]
            drawn = mean.unsqueeze(-1) + variance.sqrt()[:, None, None] * self.base[:, i]
            least = torch.stack(wish.ramps(drawn)).amin(0)
            total = total + share * log_fatplus(least.clamp_max(1.0), tau=ROUND_ZERO)
        best = self.best.unsqueeze(-1)
        # Beside an incumbent of no use the gain is all there is, and its logarithm has a slope however small it is.
        gain = torch.where(best > 0, log_fatplus(total.exp() - best, tau=ROUND_BEST), total)
        gain = torch.logsumexp(gain, dim=-1) + log_kept(self.bounds, moments)
        return torch.logsumexp(gain, dim=-1) - float(np.log(gain.shape[-1] * len(self.base)))
