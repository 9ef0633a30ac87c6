"""Networks of an ensemble side by side: one matrix product a layer trains all members for about the cost of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Degrees of freedom of the waves' frequencies: those of a Matern-5/2 process.
FREEDOM = 5
#: The waves' length scale in standardised conditions, for one condition; it grows with the root of their number.
LENGTH = 1.25


@dataclass(frozen=True)
class Size:
    """How large networks are: `depth` hidden layers of `width`, which read `waves` random waves of the conditions."""

    width: int = 64
    depth: int = 3
    waves: int = 64


class Layers(nn.Module):
    """M perceptrons with smooth (SiLU) activations: ``M x b x sizes[0]`` to ``M x b x sizes[-1]``.

    With `silent` the last layer is zero, so that training begins from an answer of zero everywhere.
    """

    def __init__(self, members: int, sizes: Sequence[int], generator: torch.Generator, *, silent: bool = False) -> None:
        super().__init__()
        shapes = list(pairwise(sizes))
        drawn = [torch.randn(members, a, b, generator=generator) / math.sqrt(max(a, 1)) for a, b in shapes]
        drawn[-1] = drawn[-1] * (0.0 if silent else 0.1)
        self.weights = nn.ParameterList(drawn)
        self.biases = nn.ParameterList([torch.zeros(members, 1, b) for _, b in shapes])

    def forward(self, x: Tensor) -> Tensor:
        """``M x b x in`` to ``M x b x out``."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = x if i == last else nn.functional.silu(x)
        return x


class Waves(nn.Module):
    """Cosines of the conditions, whose frequencies begin as the spectrum of a Matern-5/2 process, beside them.

    Random features (Rahimi & Recht, NeurIPS 2007) that are trained on. A plain perceptron learns slow variation first
    and sharp features very late (Rahaman et al., ICML 2019, arXiv:1806.08734); a spectrum with a heavy tail, which for
    a Matern process of order nu is a multivariate t distribution with 2 nu degrees of freedom, gives it both scales.
    """

    def __init__(self, members: int, conditions: int, count: int, generator: torch.Generator) -> None:
        super().__init__()
        normal = torch.randn(members, conditions, count, generator=generator)
        tail = torch.randn(members, FREEDOM, count, generator=generator).square().mean(1, keepdim=True).sqrt()
        length = LENGTH * math.sqrt(max(conditions, 1))
        self.frequency = nn.Parameter(normal / tail / length)
        self.phase = nn.Parameter(2 * math.pi * torch.rand(members, 1, count, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """``M x b x d`` to ``M x b x (d + count)``."""
        return torch.cat([x, math.sqrt(2) * torch.cos(torch.baddbmm(self.phase, x, self.frequency))], -1)


class Network(nn.Module):
    """M networks from conditions ``M x b x d``, and what else they are told ``M x b x extra``, to ``M x b x out``."""

    def __init__(
        self,
        members: int,
        conditions: int,
        extra: int,
        out: int,
        size: Size,
        generator: torch.Generator,
        *,
        silent: bool = False,
    ) -> None:
        super().__init__()
        self.waves = Waves(members, conditions, size.waves, generator)
        sizes = (conditions + size.waves + extra, *(size.width,) * size.depth, out)
        self.layers = Layers(members, sizes, generator, silent=silent)

    def forward(self, conditions: Tensor, *extra: Tensor) -> Tensor:
        """Answers ``M x b x out``."""
        answer: Tensor = self.layers(torch.cat([self.waves(conditions), *extra], -1))
        return answer
