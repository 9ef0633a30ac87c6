"""Expected improvement of one Gaussian belief on one objective, in logarithms."""

from __future__ import annotations

import math
from typing import cast

import torch
from botorch.acquisition.analytic import _log_ei_helper
from botorch.utils.probability.utils import log_ndtr
from botorch.utils.safe_math import log1mexp
from torch import Tensor

from theoros.models.objective import Objective
from theoros.models.surrogates.outcome import FittedWarp

#: Distances to a target that no label can come nearer than; it keeps the logarithm of an improvement on it finite.
NEAREST = 1e-9
#: Below this half-width of a tent, relative to the belief's own width, its density is constant within.
NARROW = 1e-3


def log_improvement(objective: Objective, mean: Tensor, std: Tensor, threshold: Tensor) -> Tensor:
    """Log E[max(u(f) - threshold, 0)] for f ~ N(mean, std²) and the utility u of the objective.

    All have shapes that broadcast; `threshold` is a utility (larger is better), and for ``"match"`` a negative
    distance. Stable logarithms after Ament et al. (NeurIPS 2023, arXiv:2310.20708).
    """
    if objective.sense == "match":
        return _log_tent(objective.target - mean, std, (-threshold).clamp_min(NEAREST))
    return _log_excess((objective.utility(mean) - threshold) / std) + std.log()


def log_warped_improvement(
    objective: Objective, warp: FittedWarp, mean: Tensor, std: Tensor, threshold: Tensor
) -> Tensor:
    """`log_improvement` where f is N(mean, std²) through `warp`, whose inverse f's value is, as `threshold` has it.

    The value is a shifted log-normal one, so that this is what Black & Scholes (J. Political Economy 81, 637 (1973),
    doi:10.1086/260062) pay for an option, a call where the good end is the long tail and else a put.
    """
    if not warp.sign:
        return log_improvement(objective, mean, std, threshold)
    location, width = warp.mean + warp.scale * warp.sign * mean, warp.scale * std
    sense = 1.0 if objective.sense == "maximize" else -1.0
    call = sense * warp.sign > 0
    strike = 1 + warp.sign * (sense * threshold - warp.best) / warp.d  # of the exponential of a N(location, width²)
    log_strike = strike.clamp_min(1e-300).log()
    far, near = (location - log_strike) / width, location + width.square() / 2
    if call:
        some = log_difference(near + log_ndtr(far + width), log_strike + log_ndtr(far))
        found = torch.where(strike > 0, some, torch.logaddexp(near, (-strike).clamp_min(1e-300).log()))
    else:
        some = log_difference(log_strike + log_ndtr(-far), near + log_ndtr(-far - width))
        found = torch.where(strike > 0, some, torch.full_like(some, -math.inf))
    return found + math.log(warp.d)


def log_difference(larger: Tensor, smaller: Tensor) -> Tensor:
    """``log(exp(larger) - exp(smaller))``; -infinity where they are equal."""
    gap = (smaller - larger).clamp_max(-1e-15)
    return larger + torch.where(smaller > -math.inf, log1mexp(gap.clamp_min(-745.0)), torch.zeros_like(larger))


def _log_excess(z: Tensor) -> Tensor:
    """Log E[max(x, 0)] for x ~ N(z, 1)."""
    return cast(Tensor, _log_ei_helper(z))


def _log_tent(distance: Tensor, std: Tensor, width: Tensor) -> Tensor:
    """Log E[max(width - |f|, 0)] for f ~ N(±distance, std²).

    The tent is a second difference of ramps, ``(f + w)+ - 2 f+ + (f - w)+``, seen from the side on which the mean
    lies, so that the first ramp is the largest. Where it is so narrow that the difference would be lost to rounding,
    it holds its area ``w²`` of a constant density.
    """
    z, w = -distance.abs() / std, width / std
    near, middle, far = _log_excess(z + w), _log_excess(z), _log_excess(z - w)
    rest = 1 - 2 * (middle - near).exp() + (far - near).exp()
    wide = near + rest.clamp_min(1e-300).log()
    narrow = 2 * w.log() - 0.5 * z.square() - 0.5 * math.log(2 * math.pi)
    return torch.where(w * z.abs().clamp_min(1.0) < NARROW, narrow, wide) + std.log()
