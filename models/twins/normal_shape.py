"""Residuals before any training, and where labels are too few to tell another shape: standard normal."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from theoros.models.twins.shape import PointNoise, log_normal, normal


class NormalShape(nn.Module):
    """A `theoros.models.twins.shape.Shape` without parameters."""

    has_density: ClassVar[bool] = True

    def __init__(self, outcomes: int) -> None:
        super().__init__()
        self.outcomes = outcomes

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.loss`."""
        return self.score(conditions, residuals, generator).mean(1)

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.score`."""
        return -log_normal(residuals)

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """See `Shape.sample`."""
        return normal((*conditions.shape[:2], self.outcomes), conditions, generator)

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.log_prob`."""
        return log_normal(residuals)
