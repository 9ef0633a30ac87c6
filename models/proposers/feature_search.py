"""The maximisers of a differentiable function over the unit cube: everything is a matrix until the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from theoros.models.encoders import ParameterEncoder
from theoros.models.proposers.local_search import neighbours

Features = NDArray[np.float64]
#: A BoTorch acquisition function of one point: features ``b x 1 x d`` to values ``b``, larger is better.
Function = Callable[[Tensor], Tensor]
#: Starts closer than this in every coordinate are one start.
APART = 0.02


@dataclass(frozen=True)
class FeatureSearch:
    """Climbs from the best of many points, all climbs in one matrix (Wilson et al., NeurIPS 2018, arXiv:1805.10196).

    Columns that are not continuous stay at values that are allowed: a random local search moves them first, and the
    climb the others. The search stays in the box from `low` to `high` (d), by default the whole cube. `steps` bounds
    the climb's iterations.
    """

    encoder: ParameterEncoder
    low: Features | None = None
    high: Features | None = None
    steps: int = 60

    @property
    def discrete(self) -> list[int]:
        """Columns that hold categories, or steps of a grid."""
        return [i for i, column in enumerate(self.encoder.columns) if column.kind != "continuous"]

    def allowed(self, points: Features) -> Features:
        """Points of the encoded cube (``n x d``) with the nearest allowed value in every grid's column."""
        result = points.copy()
        for i in self.discrete:
            column = self.encoder.columns[i]
            if column.kind == "grid":
                result[:, i] = column.encode_all([column.decode(float(u)) for u in points[:, i]])
        return result

    def maximise(self, function: Function, pool: Features, restarts: int, rng: np.random.Generator) -> Features:
        """The ends of `restarts` climbs that start from the best of `pool` (``n x d``), and these, best first."""
        values = evaluate(function, pool)
        if self.discrete:
            pool, values = self._wander(function, pool, values, rng)
        starts = spread_out(pool, values, restarts)
        ends = self._climb(function, starts)
        found = np.concatenate([ends, starts])
        return found[np.argsort(-evaluate(function, found), kind="stable")]

    def _wander(
        self, function: Function, pool: Features, values: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[Features, NDArray[np.float64]]:
        """Random neighbours of the best, of shrinking width."""
        for width in (0.2, 0.1, 0.05, 0.02, 0.01):
            best = np.argsort(-values, kind="stable")[:8]
            new = self.allowed(self._boxed(neighbours(self.encoder, pool[best].repeat(16, axis=0), width, rng)))
            pool, values = np.concatenate([pool, new]), np.concatenate([values, evaluate(function, new)])
        return pool, values

    def _climb(self, function: Function, starts: Features) -> Features:
        shape, free = starts.shape, np.ones(starts.shape, dtype=bool)
        free[:, self.discrete] = False
        if not free.any():
            return starts
        bottom = 0.0 if self.low is None else self.low
        top = 1.0 if self.high is None else self.high
        low, high = np.where(free, bottom, starts).ravel(), np.where(free, top, starts).ravel()
        own = getattr(function, "with_gradient", None)
        with_gradient = own if own is not None else partial(_by_torch, function)

        def negative(flat: Features) -> tuple[float, Features]:
            values, gradients = with_gradient(flat.reshape(shape))
            total, slope = -float(values.sum()), -np.where(free, gradients, 0.0).ravel()
            if not (np.isfinite(slope).all() and np.isfinite(total)):
                return 1e10, np.zeros_like(flat)
            return total, slope

        box = list(zip(low, high, strict=True))
        begin = np.clip(starts.ravel(), low, high)
        found = minimize(
            negative,
            begin,
            jac=True,
            method="L-BFGS-B",
            bounds=box,
            options={"maxiter": self.steps, "ftol": 1e-10, "gtol": 1e-6},
        )
        return np.asarray(found.x, dtype=np.float64).reshape(shape)

    def _boxed(self, points: Features) -> Features:
        """Points with their continuous columns moved into the box."""
        if self.low is None or self.high is None:
            return points
        inside = np.clip(points, self.low, self.high)
        inside[:, self.discrete] = points[:, self.discrete]
        return np.asarray(inside, dtype=np.float64)


def evaluate(function: Function, points: Features) -> NDArray[np.float64]:
    """Values ``b``; what is not a number is -infinity."""
    with torch.no_grad():
        values = function(torch.from_numpy(points).unsqueeze(-2)).cpu().numpy()
    known = np.nan_to_num(values, nan=-np.inf, posinf=np.finfo(np.float64).max, neginf=-np.inf)
    return np.asarray(known, dtype=np.float64)


def spread_out(points: Features, values: NDArray[np.float64], n: int) -> Features:
    """The best `n` of `points` (``b x d``) that are no neighbours of a better one; fewer when there are no more."""
    order = np.argsort(-values, kind="stable")[: 64 * n]
    chosen: list[int] = []
    for index in order:
        if len(chosen) == n:
            break
        if not chosen or np.abs(points[chosen] - points[index]).max(axis=1).min() > APART:
            chosen.append(int(index))
    return points[chosen]


def _by_torch(function: Function, points: Features) -> tuple[Features, Features]:
    """Values (b) at ``b x d`` and their gradients."""
    features = torch.from_numpy(points).requires_grad_(True)
    values = function(features.unsqueeze(-2))
    (gradient,) = torch.autograd.grad(values.sum(), features)
    return values.detach().numpy(), gradient.numpy()
