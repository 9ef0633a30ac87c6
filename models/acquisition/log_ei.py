"""Expected improvement in logarithms, under outcome constraints, noise and pending points."""

from __future__ import annotations

import math
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
    log_kept,
    moments_of,
    standardised_bound,
    standardised_objective,
)
from theoros.models.acquisition.exhausted import demanded
from theoros.models.acquisition.improvement import log_improvement
from theoros.models.acquisition.joint_picks import MOST, JointBelief
from theoros.models.acquisition.known import Known
from theoros.models.acquisition.written_out import log_expected_improvement
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed, normal_quasirandom
from theoros.models.surrogates.output_model import OutputModel
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class LogExpectedImprovement:
    """log E[max(f(x) - f*, 0) · 1(x feasible)] with everything not yet known integrated out.

    The answers of pending points, and with a noisy oracle the true values of the best labelled ones, are drawn
    jointly `samples` times by quasi-Monte Carlo; on each draw the processes are conditioned, the incumbent f* is the
    best feasible value of the draw, and the improvement and the constraints' probabilities are analytic. This is
    noisy expected improvement (Letham et al., Bayesian Analysis 14, 495 (2019), arXiv:1706.07094) in the stable
    logarithms of Ament et al. (NeurIPS 2023, arXiv:2310.20708). Without pending points and noise it is analytic EI.
    While nothing feasible is known f* is the worst value known, so that feasibility decides. Where the surroundings of
    the incumbent are exhausted, f* is better than it by what is worth the search elsewhere (`exhausted.demanded`).
    """

    samples: int = 64

    name: ClassVar[str] = "log_ei"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        return self._built(problem, model, dataset, pending, seed)

    def _built(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], seed: int
    ) -> _LogEI:
        belief = belief_of(model)
        known = Known.of(problem, belief, dataset, pending)
        models, values = {}, {}
        for name in problem.judged:
            models[name], values[name] = known.realised(belief, name, self.samples, derived_seed(seed, name))
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        goal = standardised_objective(belief, problem.objective)
        return _LogEI(models, goal, bounds, values, demanded(problem, belief, dataset), len(problem.fidelities) - 1)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected improvement of candidates, in standardised units of the objective."""
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
        """What one scorer after another would pick, but from one joint belief, with a draw for each pick as it is made.

        None with several fidelities, which are chosen pick by pick, and beside more than `MOST` candidates.
        """
        if len(problem.fidelities) > 1 or len(candidates) > MOST:
            return None
        function = self._built(problem, model, dataset, pending, seed)
        features = belief_of(model).encode(candidates)
        beliefs = {name: JointBelief.of(own, features, function.target) for name, own in function.models.items()}
        normals = {
            name: normal_quasirandom(self.samples, n, derived_seed(seed, name, "picks")) for name in function.models
        }
        picks: list[Pick] = []
        left = np.ones(len(candidates), dtype=bool)
        for place in range(min(n, len(candidates))):
            moments = {
                name: (torch.from_numpy(own.means), torch.from_numpy(own.variance)) for name, own in beliefs.items()
            }
            values = np.nan_to_num(function.of_moments(moments).numpy(), nan=-np.inf)
            best = int(np.argmax(np.where(left, values, -np.inf)))
            picks.append(Pick(best, float(values[best])))
            left[best] = False
            function.learn({name: own.drawn(best, normals[name][:, place]) for name, own in beliefs.items()})
        return picks


def _incumbents(objective: Tensor, values: Mapping[str, Tensor], bounds: Sequence[Bound]) -> Tensor:
    """The best feasible value of every draw (s); the worst of all where nothing is feasible; -2 without labels."""
    if len(objective) == 0:
        return torch.full((1,), -2.0, dtype=torch.float64)
    feasible = torch.ones_like(objective, dtype=torch.bool)
    for bound in bounds:
        feasible = feasible & (bound.sign * values[bound.output] <= bound.limit)
    best = torch.where(feasible, objective, torch.full_like(objective, -math.inf)).amax(0)
    return torch.where(best.isfinite(), best, objective.amin(0))


class _LogEI(WrittenOut):
    def __init__(
        self,
        models: dict[str, OutputModel],
        objective: Objective,
        bounds: Sequence[Bound],
        known: Mapping[str, Tensor],
        margin: float,
        target: int,
    ) -> None:
        super().__init__(models)
        self.objective, self.bounds = objective, bounds
        self.known, self.margin, self.target = dict(known), margin, target
        self.best = self._to_beat()

    def _to_beat(self) -> Tensor:
        """What a value has to exceed in every draw (s)."""
        own = self.objective.utility(self.known[self.objective.output])
        return _incumbents(own, self.known, self.bounds) + self.margin

    def learn(self, answers: Mapping[str, Array]) -> None:
        """Count the drawn `answers` (s) of one more place as known; the moments under them are the caller's."""
        for name, own in answers.items():
            self.known[name] = torch.cat([self.known[name].expand(-1, len(own)), torch.from_numpy(own)[None]])
        self.best = self._to_beat()

    def values(self, features: Tensor) -> Tensor:
        """Log expected improvement ``b`` of features ``b x d``."""
        return self.of_moments(moments_of(self.models, features, self.target))

    def of_moments(self, moments: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Log expected improvement ``b`` where the outputs have means ``b x s`` and variances ``b``."""
        mean, variance = moments[self.objective.output]
        total = log_improvement(self.objective, mean, variance.sqrt().unsqueeze(-1), self.best)
        total = total + log_kept(self.bounds, moments)
        return torch.logsumexp(total, dim=-1) - float(np.log(total.shape[-1]))

    def head(
        self, moments: Mapping[str, tuple[Array, Array]]
    ) -> tuple[Array, Mapping[str, tuple[Array, Array]]] | None:
        """See `WrittenOut.head`."""
        return log_expected_improvement(self.objective, self.bounds, self.best.numpy(), moments)
