"""Members part beyond the conditions that they were taught: extrapolation is ignorance, and has to show."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from theoros.models.twins.networks import Waves

#: Waves of each member's process.
COUNT = 64


class Beyond(nn.Module):
    """What is added to M members' means ``M x b x m`` at scaled conditions ``M x b x d`` outside the labels' range.

    Networks that agree where labels are go on together beyond them. So each member has a random function of its own, of
    a Matern-5/2 process with the outcomes' deviation, less its value at the nearest conditions in range: nothing
    inside, and steadily more outside. After randomised prior functions (Osband et al., NeurIPS 2018, arXiv:1806.03335),
    which are there inside too, where the members would have to unlearn them. The range is that of the labels, wider on
    either side by the gap that is expected there of as many uniform numbers.
    """

    low: Tensor
    high: Tensor
    weights: Tensor

    def __init__(self, members: int, outcomes: int, conditions: Tensor, generator: torch.Generator) -> None:
        """`conditions` are those of the labels, ``n x d``."""
        super().__init__()
        n, d = conditions.shape
        low, high = conditions.min(0).values, conditions.max(0).values
        gap = (high - low) / max(1, n - 1)
        self.register_buffer("low", low - gap)
        self.register_buffer("high", high + gap)
        self.waves = Waves(members, d, COUNT, generator)
        self.register_buffer("weights", torch.randn(members, COUNT, outcomes, generator=generator) / math.sqrt(COUNT))

    def forward(self, conditions: Tensor) -> Tensor:
        """What to add, in standardised outcomes."""
        if not bool(((conditions < self.low) | (conditions > self.high)).any()):
            return torch.zeros(*conditions.shape[:2], self.weights.shape[2]).to(conditions)
        return self._process(conditions) - self._process(conditions.clamp(self.low, self.high))

    def _process(self, conditions: Tensor) -> Tensor:
        waves: Tensor = self.waves(conditions)[..., conditions.shape[-1] :]
        return waves @ self.weights
