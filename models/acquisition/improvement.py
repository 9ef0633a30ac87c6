"""How far above a threshold a Gaussian belief puts one objective, and with what probability, in logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Utility:
    """A belief on an objective's utility: f is N(mean, std²), through `warp` where it has one.

    Where it has one, `warp`'s inverse of a normal number is f's value, as thresholds have it: a shifted log-normal one.
    """

    objective: Objective
    warp: FittedWarp
    mean: Tensor
    std: Tensor

    def log_improvement(self, threshold: Tensor) -> Tensor:
        """Log E[max(u(f) - threshold, 0)]; see `log_improvement`.

        Of a log-normal value it is what Black & Scholes (J. Political Economy 81, 637 (1973), doi:10.1086/260062) pay
        for an option, a call where the good end is the long tail and else a put.
        """
        if not self.warp.sign:
            return log_improvement(self.objective, self.mean, self.std, threshold)
        location, width, strike, call = self._log_normal(threshold)
        log_strike = strike.clamp_min(1e-300).log()
        far, near = (location - log_strike) / width, location + width.square() / 2
        if call:
            some = log_difference(near + log_ndtr(far + width), log_strike + log_ndtr(far))
            found = torch.where(strike > 0, some, torch.logaddexp(near, (-strike).clamp_min(1e-300).log()))
        else:
            some = log_difference(log_strike + log_ndtr(-far), near + log_ndtr(-far - width))
            found = torch.where(strike > 0, some, torch.full_like(some, -math.inf))
        return found + math.log(self.warp.d)

    def log_above(self, threshold: Tensor) -> Tensor:
        """Log of the probability that u(f) is larger than `threshold`, a utility; shapes broadcast."""
        if self.objective.sense == "match":
            distance, width = (self.objective.target - self.mean).abs(), (-threshold).clamp_min(0.0)
            return log_difference(log_ndtr((width - distance) / self.std), log_ndtr((-width - distance) / self.std))
        if not self.warp.sign:
            return cast(Tensor, log_ndtr((self.objective.utility(self.mean) - threshold) / self.std))
        location, width, strike, call = self._log_normal(threshold)
        far = (location - strike.clamp_min(1e-300).log()) / width
        found, certain = log_ndtr(far if call else -far), 0.0 if call else -math.inf
        return torch.where(strike > 0, found, torch.full_like(found, certain))

    def _log_normal(self, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor, bool]:
        """Mean and deviation of a normal number, the `strike` that its exponential has at the threshold, and whether it
        is to be above it.
        """
        warp, sense = self.warp, 1.0 if self.objective.sense == "maximize" else -1.0
        location, width = warp.mean + warp.scale * warp.sign * self.mean, warp.scale * self.std
        strike = 1 + warp.sign * (sense * threshold - warp.best) / warp.d
        return location, width, strike, sense * warp.sign > 0


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
