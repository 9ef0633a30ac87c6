"""The seam of a twin's families: what residuals look like without their mean and their standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor


class Shape(Protocol):
    """M members' distributions of residuals ``M x b x m`` given scaled conditions ``M x b x d``; a torch Module.

    A residual is ``(outcome - mean) / std`` by `theoros.models.twins.location_scale`, so that every family begins as
    the standard normal distribution and departs from it as far as labels that a member had not seen approve. Every
    parameter has the members as its first axis. A fifth family is one class with these methods.
    """

    #: Whether `log_prob` gives a density or a bound of it.
    has_density: ClassVar[bool]

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """What training lowers, for every member (M); residuals are complete."""
        ...

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """How badly each residual is foreseen, ``M x b``: lower is better, by a proper score of single draws."""
        ...

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """One residual at each condition, ``M x b x m``, differentiable in the parameters."""
        ...

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """Log densities ``M x b``, or lower bounds of them."""
        ...


class PointNoise:
    """Standard normal numbers for `each` rows in a row of every point: a point's own follow from its seed alone.

    So what is drawn at a point does not depend on which others are asked beside it.
    """

    def __init__(self, seeds: Sequence[int], each: int) -> None:
        self._points = [np.random.default_rng(seed) for seed in seeds]
        self._each = each

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Numbers ``M x b x k`` for the b rows of all points, float64."""
        members, _, width = shape
        own = [point.standard_normal((members, self._each, width)) for point in self._points]
        return torch.from_numpy(np.concatenate(own, axis=1))


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
    """Standard normal numbers with the type and place of `like`, drawn on the CPU: the same on every device."""
    if isinstance(generator, PointNoise):
        return generator.normal(shape).to(like)
    return torch.randn(shape, generator=generator).to(like)


def log_normal(x: Tensor) -> Tensor:
    """Log density of the standard normal distribution over the last axis."""
    return -0.5 * (x.square() + math.log(2 * math.pi)).sum(-1)


def repeated(x: Tensor, times: int) -> Tensor:
    """Every row of ``M x b x d`` so many times in a row: ``M x (b * times) x d``."""
    return x.repeat_interleave(times, dim=1)


def energy_score(draws: Tensor, observed: Tensor) -> Tensor:
    """The energy score of ``M x b x s x m`` draws against ``M x b x m`` observations: ``M x b``, lower is better.

    Gneiting & Raftery, J. Am. Stat. Assoc. 102, 359 (2007), eq. 22, without bias. A small length is added under the
    roots, so that the gradient exists where draws coincide.
    """
    s = draws.shape[2]
    missed = _distance(draws - observed[:, :, None]).mean(2)
    apart = _distance(draws[:, :, :, None] - draws[:, :, None]).sum((2, 3)) - s * math.sqrt(TINY)
    return missed - 0.5 * apart / (s * (s - 1))


#: Squared length under the roots of distances.
TINY = 1e-10


def _distance(difference: Tensor) -> Tensor:
    return (difference.square().sum(-1) + TINY).sqrt()
