"""A Gaussian process whose prior is made of what earlier campaigns believe, and a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from theoros.models.surrogates.ard_moments import Moments
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.structure import TaskMean


@dataclass(frozen=True)
class Source:
    """What an earlier campaign believes of an output, fitted to its own labels alone."""

    campaign: str
    n_labels: int
    model: OutputModel

    def mean(self, X: Tensor) -> Tensor:
        """Means ``n`` at ``n x d``, in the output's unit."""
        scale = float(self.model.scale[0])
        return self.level + scale * (self._cross(X).T @ self.model.posterior.weights)[:, 0]

    @property
    def level(self) -> float:
        """The mean where the labels say nothing, in the output's unit."""
        constant = float(cast(TaskMean, self.model.posterior.mean).constants[0])
        return float(self.model.offset[0]) + float(self.model.scale[0]) * constant

    def half(self, X: Tensor) -> Tensor:
        """``L^-1 K(labels, X)`` (labels x n): what the covariance of two sets of points needs of each."""
        return cast(Tensor, torch.linalg.solve_triangular(self.model.posterior.factor, self._cross(X), upper=False))

    def covariance(self, x1: Tensor, x2: Tensor, half1: Tensor, half2: Tensor) -> Tensor:
        """Posterior covariance ``a x b``, in the output's unit squared."""
        prior = self.model.posterior.kernel(x1, x2).to_dense()
        return cast(Tensor, float(self.model.scale[0]) ** 2 * (prior - half1.T @ half2))

    def variance(self, X: Tensor, half: Tensor) -> Tensor:
        """Posterior variances ``n``, in the output's unit squared."""
        prior = self.model.posterior.kernel(X, diag=True)
        variance = (prior - half.square().sum(0)).clamp_min(0.0)
        return cast(Tensor, float(self.model.scale[0]) ** 2 * variance)

    def _cross(self, X: Tensor) -> Tensor:
        return cast(Tensor, self.model.posterior.kernel(self.model.posterior.X, X).to_dense())


@dataclass(frozen=True)
class Share:
    """A source's part in a process: ``w (f_source - centre)``, ``w ~ N(expected, spread^2)``.

    `weight` is the size of w by which the source's own uncertainty counts. All are in units of the process's scale per
    unit of the sources' output, and `centre` is in the latter.
    """

    source: Source
    weight: float
    expected: float
    spread: float
    centre: float

    def mean(self, X: Tensor) -> Tensor:
        """The source's means ``n`` at ``n x d``, less the centre."""
        return self.source.mean(X) - self.centre


class TransferKernel(torch.nn.Module):
    """``k(x, x') + sum over sources of weight^2 k_source(x, x' | its labels) + spread^2 m_source(x) m_source(x')``.

    The last term is what is not known of the weight: conditioning on labels is a linear regression on the sources'
    means (Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), section 2.7).
    """

    def __init__(self, own: torch.nn.Module, shares: Sequence[Share]) -> None:
        super().__init__()
        self.own, self.shares = own, tuple(shares)
        self._known: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None  # the labels', asked for at every call

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ``n`` with `diag`, each row with itself."""
        if diag:
            total: Tensor = self.own(x1, diag=True)
            for share in self.shares:
                uncertain = share.weight**2 * share.source.variance(x1, share.source.half(x1))
                total = total + uncertain + share.spread**2 * share.mean(x1).square()
            return total
        other = x1 if x2 is None else x2
        parts1 = self._of_labels(x1)
        parts2 = parts1 if other is x1 else [(share.source.half(other), share.mean(other)) for share in self.shares]
        total = self.own(x1, other)
        for share, (half1, mean1), (half2, mean2) in zip(self.shares, parts1, parts2, strict=True):
            uncertain = share.weight**2 * share.source.covariance(x1, other, half1, half2)
            total = total + uncertain + share.spread**2 * torch.outer(mean1, mean2)
        return total

    def written_out(self, mean: TransferMean, X: Tensor, factor: Tensor, weights: Tensor) -> Moments | None:
        """The moments of a posterior with this kernel over arrays; see `theoros.models.surrogates.posterior`."""
        from theoros.models.surrogates.transfer_moments import TransferMoments

        return TransferMoments.of(self, X, factor, weights)

    def _of_labels(self, X: Tensor) -> list[tuple[Tensor, Tensor]]:
        if self._known is not None and self._known[0] is X:
            return self._known[1]
        parts = [(share.source.half(X), share.mean(X)) for share in self.shares]
        if not X.requires_grad:
            self._known = (X, parts)
        return parts


class TransferMean(torch.nn.Module):
    """``sum over sources of expected (mean of the source - centre)``."""

    def __init__(self, shares: Sequence[Share]) -> None:
        super().__init__()
        self.shares = tuple(shares)

    def forward(self, X: Tensor) -> Tensor:
        """Means ``n`` at ``n x d``."""
        total = X.new_zeros(len(X))
        for share in self.shares:
            total = total + share.expected * share.mean(X)
        return total
