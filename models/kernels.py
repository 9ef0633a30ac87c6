"""Kernels that GPyTorch lacks."""

from __future__ import annotations

from typing import Any

import torch
from gpytorch.kernels import Kernel
from torch import Tensor


class TanimotoKernel(Kernel):  # type: ignore[misc]  # GPyTorch is untyped
    """Tanimoto (Jaccard) kernel on non-negative vectors, ``k(a, b) = a·b / (a·a + b·b - a·b)``.

    Positive definite (Ralaivola et al., Neural Networks 18, 1093 (2005), doi:10.1016/j.neunet.2005.07.009). On
    thermometer-encoded counts it equals the MinMax kernel ``sum min(a, b) / sum max(a, b)`` of the counts, the one
    that serves molecular Bayesian optimisation best (Tripp & Hernández-Lobato, arXiv:2406.07709). Two zero vectors
    have similarity one.
    """

    is_stationary = False
    has_lengthscale = False

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Return ``... x n x m`` for ``... x n x d`` and ``... x m x d``; ``... x n`` with `diag`."""
        norm1, norm2 = x1.square().sum(-1), x2.square().sum(-1)
        if diag:
            return _ratio((x1 * x2).sum(-1), norm1 + norm2)
        return _ratio(x1 @ x2.transpose(-1, -2), norm1.unsqueeze(-1) + norm2.unsqueeze(-2))


def _ratio(dot: Tensor, norms: Tensor) -> Tensor:
    union = norms - dot
    return torch.where(union > 0, dot / union.clamp_min(torch.finfo(dot.dtype).tiny), torch.ones_like(dot))


class GramKernel(Kernel):  # type: ignore[misc]  # GPyTorch is untyped
    """A kernel that looks its values up: inputs are row numbers of a matrix computed once.

    For kernels without hyperparameters of their own, whose matrix an optimiser would else compute anew in every
    step.
    """

    is_stationary = False
    has_lengthscale = False

    def __init__(self, gram: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gram = gram

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Return ``n x m`` values for row numbers ``n x 1`` and ``m x 1``; ``n`` with `diag`."""
        rows, columns = x1[..., 0].long(), x2[..., 0].long()
        if diag:
            return self.gram[rows, columns]
        return self.gram[rows.unsqueeze(-1), columns.unsqueeze(-2)]
