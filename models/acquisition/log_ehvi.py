"""Expected hypervolume improvement in logarithms: several objectives, constraints, noise and pending points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import (
    Bound,
    FeatureAcquisition,
    belief_of,
    feature_scorer,
    log_kept,
    moments_of,
    standardised_bound,
    standardised_objective,
)
from theoros.models.acquisition.improvement import Utility
from theoros.models.acquisition.known import Known
from theoros.models.acquisition.undominated import Undominated, undominated
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Point, Problem
from theoros.models.objective import Objective
from theoros.models.pareto import non_dominated
from theoros.models.surrogates.output_model import OutputModel

#: How far below the worst of the front (in units of the front's range) what is worth something begins, where nobody
#: has said; BoTorch's rule (Ishibuchi et al., IEEE CEC 2011).
BELOW_NADIR = 0.1


@dataclass(frozen=True)
class LogExpectedHypervolumeImprovement:
    """log E[hypervolume that f(x) adds to the front · 1(x feasible)], with what is not yet known integrated out.

    On each of `samples` draws of pending answers, and of the true values behind noisy labels, the front of the draw is
    fixed, the region that it does not dominate is cut into boxes, and the expected volume gained in each box is a
    product over the objectives, as their processes are independent: exact for one candidate (Emmerich et al., IEEE CEC
    2011); with more than three objectives places stand for the region (`undominated`). With draws it is noisy
    expected hypervolume improvement (Daulton et al., NeurIPS 2021, arXiv:2105.08195), in the logarithms of Ament et al.
    (NeurIPS 2023, arXiv:2310.20708). Volume is counted in the objectives' own units, also where the process sees an
    objective through a logarithm. The reference point is the objectives' `worst` values, or is inferred from the front.
    While nothing feasible is known, all that counts is how likely a candidate is to be feasible.
    """

    samples: int = 16

    name: ClassVar[str] = "log_ehvi"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"pareto"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
        belief = belief_of(model)
        known = Known.of(problem, belief, dataset, pending)
        models, values = known.judged(problem, belief, self.samples, seed)
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        goals = [standardised_objective(belief, goal) for goal in problem.objectives]
        draws = max(value.shape[1] for value in values.values())
        linear = [_linear(models[goal.output], values[goal.output]) for goal in goals]
        utilities = torch.stack(
            [goal.utility(own).expand(-1, draws) for goal, own in zip(goals, linear, strict=True)], dim=-1
        )
        feasible = torch.ones(utilities.shape[:2], dtype=torch.bool)
        for bound in bounds:
            feasible = feasible & (bound.sign * values[bound.output] <= bound.limit)
        target = len(problem.fidelities) - 1
        if bounds and len(utilities) and not bool(feasible.any()):
            return _LogEHVI(models, goals, bounds, None, target)
        reference = _reference(goals, utilities, feasible)
        return _LogEHVI(models, goals, bounds, undominated(utilities, feasible, reference, seed), target)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Log expected hypervolume improvement of candidates, in the product of the objectives' standardised units."""
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


def _linear(model: OutputModel, values: Tensor) -> Tensor:
    """A process's values in units that are linear in the output's: volume is counted in these."""
    return torch.from_numpy(model.warp.inverse(values.numpy())) if model.warp.sign else values


def _reference(goals: Sequence[Objective], utilities: Tensor, feasible: Tensor) -> Tensor:
    """The utilities (m) from which volume is counted, of those of labels in draws, ``n x s x m``."""
    known = utilities[feasible]
    if len(known) == 0:
        front = torch.zeros(1, len(goals), dtype=torch.float64)
    else:
        front = known[torch.from_numpy(non_dominated(known.numpy()))]
    nadir, ideal = front.amin(0), front.amax(0)
    spread = torch.where(ideal > nadir, ideal - nadir, torch.ones_like(nadir))
    inferred = nadir - BELOW_NADIR * spread
    given = [math.nan if goal.worst is None else float(goal.utility(goal.worst)) for goal in goals]
    wanted = torch.tensor(given, dtype=torch.float64)
    return torch.where(wanted.isnan(), inferred, wanted)


class _LogEHVI(FeatureAcquisition):
    def __init__(
        self,
        models: dict[str, OutputModel],
        goals: Sequence[Objective],
        bounds: Sequence[Bound],
        left: Undominated | None,
        target: int,
    ) -> None:
        super().__init__()
        self.models, self.goals, self.bounds = models, goals, bounds
        self.left, self.target = left, target

    def values(self, features: Tensor) -> Tensor:
        """Log expected hypervolume improvement ``b`` of features ``b x d``."""
        moments = moments_of(self.models, features, self.target)
        total = log_kept(self.bounds, moments)
        if self.left is not None:
            total = total + self.left.log_gain([self._utility(goal, *moments[goal.output]) for goal in self.goals])
        return torch.logsumexp(total, dim=-1) - float(np.log(total.shape[-1]))

    def _utility(self, goal: Objective, mean: Tensor, variance: Tensor) -> Utility:
        """A belief of shape ``b x s x 1`` from means ``b x s`` and variances ``b``."""
        return Utility(goal, self.models[goal.output].warp, mean.unsqueeze(-1), variance.sqrt()[:, None, None])
