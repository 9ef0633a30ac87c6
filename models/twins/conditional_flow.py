"""The conditional normalising flow (``conditional_flow``): neural splines, one outcome after the other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from zuko.transforms import MonotonicRQSTransform

from theoros.models.twins.ensemble import Twin
from theoros.models.twins.networks import Network, Size
from theoros.models.twins.shape import PointNoise, Shape, log_normal, normal

#: Bins of a spline, and the residual (in standard deviations) beyond which it is a straight line.
BINS, BOUND = 8, 5.0


class SplineShape(nn.Module):
    """A residual is an increasing function of a normal number, given the conditions and the outcomes before it.

    Autoregressive rational-quadratic splines: Durkan et al., NeurIPS 2019, arXiv:1906.04032. The networks of the m
    outcomes lie side by side like those of the members; each sees only the outcomes before its own.
    """

    has_density: ClassVar[bool] = True

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.networks = nn.ModuleList(
            Network(members, conditions, k, 3 * BINS + 1, size, generator, silent=True) for k in range(outcomes)
        )

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.loss`."""
        return -self.log_prob(conditions, residuals, generator).mean(1)

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.score`."""
        return -self.log_prob(conditions, residuals, generator)

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """See `Shape.sample`."""
        base = normal((*conditions.shape[:2], self.outcomes), conditions, generator)
        found = base[..., :0]
        for k in range(self.outcomes):
            spline, shift, log_scale = self._spline(k, conditions, found)
            value = spline.inv(base[..., k]) * log_scale.exp() + shift
            found = torch.cat([found, value[..., None]], -1)
        return found

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.log_prob`: exact."""
        total = torch.zeros(conditions.shape[:2]).to(conditions)
        for k in range(self.outcomes):
            spline, shift, log_scale = self._spline(k, conditions, residuals[..., :k])
            value, stretch = spline.call_and_ladj((residuals[..., k] - shift) * (-log_scale).exp())
            total = total + log_normal(value[..., None]) + stretch - log_scale
        return total

    def _spline(self, k: int, conditions: Tensor, before: Tensor) -> tuple[MonotonicRQSTransform, Tensor, Tensor]:
        """The spline of outcome `k`, and the shift and log scale of its argument (``M x b`` each)."""
        widths, heights, slopes, line = self.networks[k](conditions, before).split([BINS, BINS, BINS - 1, 2], -1)
        return MonotonicRQSTransform(widths, heights, slopes, bound=BOUND), line[..., 0], line[..., 1].clamp(-3.0, 3.0)


class ConditionalFlow(Twin):
    """An ensemble of conditional normalising flows; `theoros.models.twins.ensemble` tells what all twins share."""

    name: ClassVar[str] = "conditional_flow"

    def shape(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> Shape:
        """See `Twin.shape`."""
        return SplineShape(members, conditions, outcomes, size, generator)
