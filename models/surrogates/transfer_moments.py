"""Means and variances of a process with a `TransferKernel`, and their gradient, written out over arrays.

As in `theoros.models.surrogates.ard_moments`, and for the same reason: with three sources a decision takes a third of
the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack
from torch import Tensor

from theoros.models.data import Array
from theoros.models.surrogates.ard import ArdKernel, stationary
from theoros.models.surrogates.ard_moments import LEAST, PullBack
from theoros.models.surrogates.transfer_kernel import Share, TransferKernel


@dataclass(frozen=True)
class _Crossing:
    """An `ArdKernel` between any points and the fixed `X` (``n x d``)."""

    kernel: ArdKernel
    X: Array
    lengths: Array
    centre: Array
    Z: Array

    @classmethod
    def to(cls, kernel: ArdKernel, X: Array) -> _Crossing:
        lengths, own = kernel.length_scales.numpy(), X[:, list(kernel.numeric)]
        centre = own.mean(0)  # shorter vectors lose fewer digits
        return cls(kernel, X, lengths, centre, (own - centre) / lengths)

    @property
    def prior(self) -> float:
        """The kernel of a point with itself."""
        return float(self.kernel.output_scale) + self.kernel.constant

    def at(self, x: Array) -> tuple[Array, Array, Array]:
        """Values ``b x n``, minus twice their derivatives by squared distances, and the points' scaled columns."""
        a = (x[:, list(self.kernel.numeric)] - self.centre) / self.lengths
        squared = np.square(a).sum(1)[:, None] + np.square(self.Z).sum(1) - 2 * a @ self.Z.T
        cross, slope = stationary(self.kernel.family, np.maximum(squared, 0.0))
        scale: Any = float(self.kernel.output_scale)
        if self.kernel.categorical:
            columns = list(self.kernel.categorical)
            unlike = (x[:, None, columns] != self.X[None, :, columns]) / self.kernel.category_scales.numpy()
            scale = scale * np.exp(-unlike.mean(-1))
        return scale * cross + self.kernel.constant, scale * slope, a

    def back(self, pull: Array, slope: Array, a: Array, found: Array) -> None:
        """Add to `found` (``b x d``) the gradient by the points, from that by the values ``b x n``."""
        pull = pull * slope
        found[:, list(self.kernel.numeric)] += (pull @ self.Z - a * pull.sum(1)[:, None]) / self.lengths


@dataclass(frozen=True)
class _Learned:
    """A source: `uncertain` is its weight squared, in units of its own scale, `labels` and `targets` lead to its own
    labels and to those of the campaign, `half` and `solved` are ``L^-1 K(labels, targets)`` and ``L^-T`` of it, and
    `means` are its centred means at the campaign's labels.
    """

    share: Share
    scale: float
    uncertain: float
    level: float
    means: Array
    labels: _Crossing
    targets: _Crossing
    factor: Array
    weights: Array
    half: Array
    solved: Array

    @classmethod
    def of(cls, share: Share, targets: Array) -> _Learned:
        posterior, kernel = share.source.model.posterior, share.source.model.posterior.kernel
        assert isinstance(kernel, ArdKernel)
        factor, weights = posterior.factor.numpy(), posterior.weights.numpy()[:, 0]
        labels = _Crossing.to(kernel, posterior.X.numpy())
        cross, *_ = labels.at(targets)
        half, _ = lapack.dtrtrs(factor, cross.T, lower=1)
        solved, _ = lapack.dtrtrs(factor, half, lower=1, trans=1)
        scale, level = float(share.source.model.scale[0]), share.source.level - share.centre
        uncertain, means = (share.weight * scale) ** 2, level + scale * cross @ weights
        beside = _Crossing.to(kernel, targets)
        return cls(share, scale, uncertain, level, means, labels, beside, factor, weights, half, solved)


@dataclass(frozen=True)
class TransferMoments:
    """The arrays behind a posterior with sources."""

    own: _Crossing
    sources: tuple[_Learned, ...]
    factor: Array
    weights: Array

    @classmethod
    def of(cls, kernel: TransferKernel, X: Tensor, factor: Tensor, weights: Tensor) -> TransferMoments | None:
        """None where a source was fitted by other means, or where there are no labels."""
        kernels = [kernel.own, *(share.source.model.posterior.kernel for share in kernel.shares)]
        if not len(X) or not all(isinstance(one, ArdKernel) for one in kernels):
            return None
        assert isinstance(kernel.own, ArdKernel)
        points = X.numpy()
        sources = tuple(_Learned.of(share, points) for share in kernel.shares)
        return cls(_Crossing.to(kernel.own, points), sources, factor.numpy(), weights.numpy())

    def at(self, x: Array) -> tuple[Array, Array, PullBack]:
        """Means ``b x s``, variances (b) of f at ``b x d``, and how gradients by them go on."""
        cross, slope, a = self.own.at(x)
        prior, mean = np.full(len(x), self.own.prior), np.zeros(len(x))
        parts = []
        for source in self.sources:
            known, known_slope, known_a = source.labels.at(x)
            beside, beside_slope, beside_a = source.targets.at(x)
            half, _ = lapack.dtrtrs(source.factor, known.T, lower=1)
            own, spread = source.level + source.scale * known @ source.weights, source.share.spread**2
            mean += source.share.expected * own
            cross = cross + source.uncertain * (beside - half.T @ source.half) + spread * np.outer(own, source.means)
            prior += source.uncertain * np.maximum(source.labels.prior - np.square(half).sum(0), 0.0)
            prior += spread * np.square(own)
            parts.append((known_slope, known_a, beside_slope, beside_a, half, own))
        half_own, _ = lapack.dtrtrs(self.factor, cross.T, lower=1)
        variance = prior - np.square(half_own).sum(0)
        moving = variance > LEAST

        def back(by_mean: Array, by_variance: Array) -> Array:
            found, by_variance = np.zeros(x.shape), np.where(moving, by_variance, 0.0)
            solved, _ = lapack.dtrtrs(self.factor, half_own, lower=1, trans=1)
            by_cross = by_mean @ self.weights.T - 2 * by_variance[:, None] * solved.T
            self.own.back(by_cross, slope, a, found)
            for source, part in zip(self.sources, parts, strict=True):
                known_slope, known_a, beside_slope, beside_a, half, own = part
                source.targets.back(source.uncertain * by_cross, beside_slope, beside_a, found)
                through, _ = lapack.dtrtrs(source.factor, half, lower=1, trans=1)
                pull = -source.uncertain * (by_cross @ source.solved.T + 2 * by_variance[:, None] * through.T)
                by_own = source.share.expected * by_mean.sum(1)
                by_own += source.share.spread**2 * (by_cross @ source.means + 2 * by_variance * own)
                pull += source.scale * by_own[:, None] * source.weights
                source.labels.back(pull, known_slope, known_a, found)
            return found

        return mean[:, None] + cross @ self.weights, np.maximum(variance, LEAST), back
