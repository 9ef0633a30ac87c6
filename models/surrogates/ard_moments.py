"""Means and variances of a process with an `ArdKernel`, and their gradient, written out over arrays.

An acquisition is climbed by thousands of evaluations at a few points each. Their arithmetic is small: what they cost is
the bookkeeping of some fifty nodes of torch's graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

from theoros.models.data import Array
from theoros.models.surrogates.ard import ArdKernel, stationary
from theoros.models.surrogates.structure import TaskMean

#: Variances are at least this.
LEAST = 1e-14
#: The gradient by the features (``b x d``) of a function of the moments, from its gradient by means (``b x s``) and by
#: variances (b).
PullBack = Callable[[Array, Array], Array]


class Moments(Protocol):
    """Means and variances over arrays."""

    def at(self, x: Array) -> tuple[Array, Array, PullBack]:
        """Means ``b x s``, variances (b) of f at ``b x d``, and how gradients by them go on."""
        ...


@dataclass(frozen=True)
class ArdMoments:
    """A process: labelled points `X` (``n x d``), the Cholesky `factor` of their matrix, and `weights` (``n x s``).

    `constant` is the prior's mean; `Z` are the numeric columns of `X`, less their `centre`, in units of `lengths`.
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1; the gradients by the chain rule
    through the squared distance. Categories have no gradient.
    """

    kernel: ArdKernel
    X: Array
    factor: Array
    weights: Array
    constant: float
    lengths: Array
    centre: Array
    Z: Array

    @classmethod
    def of(cls, kernel: object, mean: object, X: Tensor, factor: Tensor, weights: Tensor) -> ArdMoments | None:
        """The arrays behind the tensors of a posterior; None for other kernels and means, or where a GPU holds them."""
        if not isinstance(kernel, ArdKernel) or not isinstance(mean, TaskMean) or mean.tasks > 1 or not len(X):
            return None
        held = (kernel.length_scales, kernel.category_scales, kernel.output_scale, mean.constants)
        if any(isinstance(t, Tensor) and (t.requires_grad or t.device.type != "cpu") for t in held):
            return None
        points, lengths = X.numpy(), kernel.length_scales.numpy()
        own = points[:, list(kernel.numeric)]
        centre = own.mean(0)  # shorter vectors lose fewer digits
        constant, Z = float(mean.constants[0]), (own - centre) / lengths
        return cls(kernel, points, factor.numpy(), weights.numpy(), constant, lengths, centre, Z)

    def at(self, x: Array) -> tuple[Array, Array, PullBack]:
        """Means ``b x s``, variances (b) of f at ``b x d``, and how gradients by them go on."""
        kernel, numeric = self.kernel, list(self.kernel.numeric)
        a, z = (x[:, numeric] - self.centre) / self.lengths, self.Z
        squared = np.square(a).sum(1)[:, None] + np.square(z).sum(1) - 2 * a @ z.T
        cross, slope = stationary(kernel.family, np.maximum(squared, 0.0))
        scale: Any = float(kernel.output_scale)
        if kernel.categorical:
            columns = list(kernel.categorical)
            unlike = (x[:, None, columns] != self.X[None, :, columns]) / kernel.category_scales.numpy()
            scale = scale * np.exp(-unlike.mean(-1))
        cross, slope = scale * cross + kernel.constant, scale * slope
        half, _ = lapack.dtrtrs(self.factor, cross.T, lower=1)
        variance = float(kernel.output_scale) + kernel.constant - np.square(half).sum(0)
        moving = variance > LEAST

        def back(by_mean: Array, by_variance: Array) -> Array:
            solved, _ = lapack.dtrtrs(self.factor, half, lower=1, trans=1)
            pull = by_mean @ self.weights.T - 2 * np.where(moving, by_variance, 0.0)[:, None] * solved.T
            pull *= slope
            found = np.zeros(x.shape)
            found[:, numeric] = (pull @ z - a * pull.sum(1)[:, None]) / self.lengths
            return found

        return self.constant + cross @ self.weights, np.maximum(variance, LEAST), back


class _Node(torch.autograd.Function):
    """`Moments` as one node of torch's graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
        """Means ``b x s`` and variances ``b`` at `x`, ``b x d`` float64."""
        mean, variance, ctx.back = moments.at(x.detach().numpy())
        return torch.from_numpy(mean), torch.from_numpy(variance)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """By means ``b x s`` and variances ``b``."""
        by_mean, by_variance = gradients
        return torch.from_numpy(ctx.back(by_mean.numpy(), by_variance.numpy())), None


def as_node(x: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
    """Means ``b x s`` and variances ``b`` at `x` (``b x d`` float64), differentiable in it."""
    return cast("tuple[Tensor, Tensor]", cast(Any, _Node).apply(x, moments))
