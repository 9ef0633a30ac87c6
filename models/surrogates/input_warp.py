"""Inputs seen through a monotone warp, so that a function that varies faster at one end is alike everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from botorch.models.transforms.utils import kumaraswamy_warp
from torch import Tensor

from theoros.models.data import Array
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.marginal import Hyperparameters, MarginalPosterior

#: Normal(0, scale) prior of the logarithms of both concentrations, and their box.
PRIOR_SCALE, BOX = math.sqrt(0.75), 3.0
#: Coordinates are kept so far from the ends, where slopes are infinite.
EDGE = 1e-7


def kumaraswamy(x: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """``1 - (1 - x**a)**b`` of ``n x k`` coordinates, and its derivatives by ``log a`` and ``log b``."""
    x = np.clip(x * (1 - 2 * EDGE) + EDGE, EDGE, 1 - EDGE)
    power = x**a
    rest = 1 - power
    return 1 - rest**b, a * b * rest ** (b - 1) * power * np.log(x), -b * rest**b * np.log(rest)


@dataclass(frozen=True)
class WarpedPosterior(MarginalPosterior):
    """The marginal posterior of a process of warped inputs: each of the columns `warped` of `X` has a warp of its own.

    The cumulative distribution function of Kumaraswamy's distribution with concentrations a and b, which may stretch
    either end, both or the middle (Snoek, Swersky, Zemel & Adams, ICML 2014, arXiv:1402.0929). A vector of
    hyperparameters ends with the logarithms of all a and of all b; a priori they are near the identity.
    """

    warped: tuple[int, ...] = ()

    def value(self, theta: Array) -> tuple[float, Array]:
        """The negative log posterior and its gradient at the vector `theta`."""
        own, logs = self._split(theta)
        a, b = np.exp(logs)
        columns, X = list(self.warped), self.X.copy()
        X[:, columns], by_a, by_b = kumaraswamy(self.X[:, columns], a, b)
        plain = MarginalPosterior(
            self.family, X, self.C, self.y, self.warp, self.noise_prior, self.floor, self.most, self.tau, self.fixed
        )
        value, gradient, by_inputs = plain.differentiated(own)
        pull = by_inputs[:, columns]
        slopes = np.concatenate([(pull * by_a).sum(0), (pull * by_b).sum(0)]) + logs.ravel() / PRIOR_SCALE**2
        return value + 0.5 * float(np.square(logs / PRIOR_SCALE).sum()), np.concatenate([gradient, slopes])

    def read(self, theta: Array) -> Hyperparameters:
        """What the vector `theta` says."""
        own, logs = self._split(theta)
        return replace(super().read(own), concentrations=np.exp(logs))

    def start(self) -> Array:
        """The modes of the priors."""
        return np.concatenate([super().start(), np.zeros(2 * len(self.warped))])

    def bounds(self) -> list[tuple[float, float]]:
        """The optimiser's box."""
        return [*super().bounds(), *[(-BOX, BOX)] * (2 * len(self.warped))]

    def _split(self, theta: Array) -> tuple[Array, Array]:
        k = len(self.warped)
        return theta[: len(theta) - 2 * k], theta[len(theta) - 2 * k :].reshape(2, k)


class WarpedKernel(torch.nn.Module):
    """A kernel of warped inputs: the columns `warped` have the concentrations `a` and `b` (k each)."""

    def __init__(self, inner: ArdKernel, warped: tuple[int, ...], a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.inner, self.warped, self.a, self.b = inner, warped, a, b

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ``n`` with `diag`, each row with itself."""
        other = None if x2 is None else self._through(x2)
        return cast(Tensor, self.inner(self._through(x1), other, diag=diag))

    def _through(self, x: Tensor) -> Tensor:
        columns = list(self.warped)
        index = torch.tensor(columns, device=x.device)
        seen = kumaraswamy_warp(x[:, columns], c0=self.b.to(x), c1=self.a.to(x), eps=EDGE)
        return x.index_copy(1, index, seen)
