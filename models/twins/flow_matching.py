"""Conditional flow matching (``flow_matching``): a velocity that carries noise to outcomes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from theoros.models.twins.ensemble import Twin
from theoros.models.twins.networks import Network, Size
from theoros.models.twins.shape import PointNoise, Shape, log_normal, normal, repeated

#: Runge-Kutta steps from noise to an outcome, and beginnings for each residual where it is scored.
STEPS, BEGINNINGS = 12, 8


class VelocityShape(nn.Module):
    """Residuals are where noise arrives at time 1 that moves with a learned velocity from time 0 on.

    Lipman et al., ICLR 2023, arXiv:2210.02747, on straight paths (Liu et al., ICLR 2023, arXiv:2209.03003). The network
    learns how the velocity departs from the one that keeps a standard normal distribution.
    """

    has_density: ClassVar[bool] = True

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.network = Network(members, conditions, outcomes + 3, outcomes, size, generator, silent=True)

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.loss`."""
        return self._missed(conditions, residuals, generator).mean(1)

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.score`: squared errors of velocities."""
        many = self._missed(repeated(conditions, BEGINNINGS), repeated(residuals, BEGINNINGS), generator)
        return many.view(*conditions.shape[:2], BEGINNINGS).mean(-1)

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """See `Shape.sample`: by the classical Runge-Kutta method."""
        x = normal((*conditions.shape[:2], self.outcomes), conditions, generator)
        h = 1 / STEPS
        for step in range(STEPS):
            t = step * h
            k1 = self._velocity(conditions, x, t)
            k2 = self._velocity(conditions, x + 0.5 * h * k1, t + 0.5 * h)
            k3 = self._velocity(conditions, x + 0.5 * h * k2, t + 0.5 * h)
            k4 = self._velocity(conditions, x + h * k3, t + h)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.log_prob`: the density along the way back, with the velocity's exact divergence.

        Chen et al., NeurIPS 2018, arXiv:1806.07366.
        """
        x, h = residuals, 1 / STEPS
        grown = torch.zeros(conditions.shape[:2]).to(conditions)
        for step in range(STEPS, 0, -1):
            t = step * h
            k1, d1 = self._divergence(conditions, x, t)
            k2, d2 = self._divergence(conditions, x - 0.5 * h * k1, t - 0.5 * h)
            k3, d3 = self._divergence(conditions, x - 0.5 * h * k2, t - 0.5 * h)
            k4, d4 = self._divergence(conditions, x - h * k3, t - h)
            x = x - h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            grown = grown + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        return log_normal(x) - grown

    def _velocity(self, conditions: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """The velocity at `x` (``M x b x m``) and the time `t`, which is one number or ``M x b x 1``."""
        time = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(*x.shape[:2], 1)
        straight = (2 * time - 1) / (time.square() + (1 - time).square())
        learned: Tensor = self.network(conditions, x, time, torch.cos(torch.pi * time), straight)
        return straight * x + learned

    def _divergence(self, conditions: Tensor, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            velocity = self._velocity(conditions, x, t)
            rows = [
                torch.autograd.grad(velocity[..., k].sum(), x, retain_graph=k + 1 < self.outcomes)[0][..., k]
                for k in range(self.outcomes)
            ]
        return velocity.detach(), torch.stack(rows).sum(0)

    def _missed(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        begin = normal(tuple(residuals.shape), residuals, generator)
        t = torch.rand((*residuals.shape[:2], 1), generator=generator).to(residuals)
        velocity = self._velocity(conditions, (1 - t) * begin + t * residuals, t)
        return (velocity - (residuals - begin)).square().mean(-1)


class FlowMatching(Twin):
    """An ensemble of flow-matching models; `theoros.models.twins.ensemble` tells what all twins share."""

    name: ClassVar[str] = "flow_matching"

    def shape(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> Shape:
        """See `Twin.shape`."""
        return VelocityShape(members, conditions, outcomes, size, generator)
