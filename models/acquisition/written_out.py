"""Heads of acquisitions over arrays: values, and their gradients by the moments of the outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from theoros.models.acquisition.base import Bound
from theoros.models.acquisition.predicted import VIOLATION_WEIGHT
from theoros.models.data import Array
from theoros.models.objective import Objective

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
#: Beyond so many standard deviations the first term of the asymptotic series is exact to rounding.
_FAR = 1e4


def log_excess(z: Array) -> tuple[Array, Array]:
    """Log E[max(x, 0)] for x ~ N(z, 1), and its derivative, without loss of digits for negative z.

    Ament et al. (NeurIPS 2023, arXiv:2310.20708), appendix A.1.
    """
    away = np.clip(-z, 1.0, _FAR)
    mills = math.sqrt(math.pi / 2) * erfcx(away / math.sqrt(2))  # (1 - Phi) / phi
    rest = np.where(-z > _FAR, 1 / np.square(np.maximum(-z, 1.0)), 1 - away * mills)
    near = np.maximum(z, -1.0)
    density = np.exp(-0.5 * np.square(near)) / math.sqrt(2 * math.pi)
    close = density + near * ndtr(near)
    far = z < -1
    value = np.where(far, -0.5 * np.square(z) - _LOG_SQRT_2PI + np.log(rest), np.log(close))
    slope = np.where(far, np.where(-z > _FAR, -z, mills / rest), ndtr(near) / close)
    return value, slope


def log_expected_improvement(
    objective: Objective, bounds: Sequence[Bound], best: Array, moments: Mapping[str, tuple[Array, Array]]
) -> tuple[Array, dict[str, tuple[Array, Array]]] | None:
    """Log E[improvement on `best` (s) · 1(bounds hold)] averaged over draws (b), and its gradients by the moments.

    None where the objective is to match a target.
    """
    if objective.sense == "match":
        return None
    sign = -1.0 if objective.sense == "minimize" else 1.0
    mean, variance = moments[objective.output]
    std = np.sqrt(variance)[:, None]
    z = (sign * mean - best) / std
    value, slope = log_excess(z)
    total = value + np.log(std)
    parts = [(objective.output, sign * slope / std, (1 - z * slope) / (2 * variance[:, None]))]
    for bound in bounds:
        mean, variance = moments[bound.output]
        std = np.sqrt(variance)[:, None]
        room = (bound.limit - bound.sign * mean) / std
        kept = log_ndtr(room)
        slope = np.exp(-0.5 * np.square(room) - _LOG_SQRT_2PI - kept)
        total = total + kept
        parts.append((bound.output, -bound.sign * slope / std, -slope * room / (2 * variance[:, None])))
    value = np.logaddexp.reduce(total, axis=1)
    share = np.exp(total - value[:, None])
    gradients: dict[str, tuple[Array, Array]] = {}
    for name, by_mean, by_variance in parts:
        mine = share * by_mean, (share * by_variance).sum(1)
        before = gradients.get(name)
        gradients[name] = mine if before is None else (before[0] + mine[0], before[1] + mine[1])
    return value - math.log(total.shape[1]), gradients


def upper_bound(
    objective: Objective, bounds: Sequence[Bound], width: float, moments: Mapping[str, tuple[Array, Array]]
) -> tuple[Array, dict[str, tuple[Array, Array]]] | None:
    """``mean + width * std`` of the objective's utility less what constraints lose by (b), and its gradients.

    None where the objective is to match a target.
    """
    if objective.sense == "match":
        return None
    sign = -1.0 if objective.sense == "minimize" else 1.0
    mean, variance = moments[objective.output]
    std = np.sqrt(variance)
    total = sign * mean[:, 0] + width * std
    gradients = {objective.output: (_first(mean, np.full(len(mean), sign)), width / (2 * std))}
    for bound in bounds:
        mean, variance = moments[bound.output]
        std = np.sqrt(variance)
        violation = bound.sign * mean[:, 0] - width * std - bound.limit
        weight = np.where(violation > 0, VIOLATION_WEIGHT, 0.0)
        total = total - weight * violation
        mine = _first(mean, -bound.sign * weight), weight * width / (2 * std)
        before = gradients.get(bound.output)
        gradients[bound.output] = mine if before is None else (before[0] + mine[0], before[1] + mine[1])
    return total, gradients


def _first(mean: Array, slope: Array) -> Array:
    """The gradient by means ``b x s`` of what depends on the first draw only."""
    gradient = np.zeros(mean.shape)
    gradient[:, 0] = slope
    return gradient
