"""Kernels that GPyTorch lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.priors import LogNormalPrior, NormalPrior
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
            return similarity((x1 * x2).sum(-1), norm1 + norm2)
        return similarity(x1 @ x2.transpose(-1, -2), norm1.unsqueeze(-1) + norm2.unsqueeze(-2))


def similarity(dot: Tensor, norms: Tensor) -> Tensor:
    """Tanimoto similarities of vectors whose products are `dot`, and the sums of their squared norms `norms`."""
    union = norms - dot
    if bool((union > 0).all()):  # as a rule, and in half the time
        return dot / union
    return torch.where(union > 0, dot / union.clamp_min(torch.finfo(dot.dtype).tiny), torch.ones_like(dot))


class AutoregressiveKernel(Kernel):  # type: ignore[misc]  # GPyTorch is untyped
    """Fidelities as a chain, ``f_t(x) = rho_t f_{t-1}(x) + g_t(x)`` with ``rho_t >= 0`` and independent ``g_t``.

    Kennedy & O'Hagan, Biometrika 87, 1 (2000), doi:10.1093/biomet/87.1.1. Every ``g_t`` has a kernel of its own, so a
    cheap level that varies on another scale, or has nothing to do with the truth (``rho = 0``), leaves the truth's
    length scales alone; an intrinsic coregionalisation model, which shares one kernel, does not. The last input
    column holds the index of the fidelity, from the cheapest, 0.
    """

    has_lengthscale = False
    is_stationary = False

    def __init__(self, levels: Sequence[Kernel], *, priors: bool) -> None:
        super().__init__()
        self.levels = torch.nn.ModuleList(levels)
        steps = len(levels) - 1
        # With standardised labels rho is a correlation and the share of g_t is 1 - rho^2, a priori.
        self.register_parameter("raw_slope", torch.nn.Parameter(torch.full((steps,), 0.8, dtype=torch.float64)))
        self.register_parameter("raw_share", torch.nn.Parameter(torch.full((steps,), 0.3, dtype=torch.float64)))
        self.register_constraint("raw_slope", GreaterThan(0.0, transform=None))
        self.register_constraint("raw_share", GreaterThan(1e-4, transform=None))
        if priors:
            self.register_prior("slope_prior", NormalPrior(0.8, 0.5), "raw_slope")
            self.register_prior("share_prior", LogNormalPrior(-1.0, 1.0), "raw_share")

    def loadings(self) -> Tensor:
        """The weight of ``g_q`` in ``f_t`` times its standard deviation: lower triangular, levels x levels."""
        count = len(self.levels)
        rows: list[Tensor] = []
        row = self.raw_slope.new_zeros(count)
        for t in range(count):
            own = self.raw_share[t - 1].sqrt() if t else self.raw_slope.new_ones(())
            row = (row * self.raw_slope[t - 1] if t else row) + own * torch.nn.functional.one_hot(
                torch.tensor(t, device=row.device), count
            ).to(row)
            rows.append(row)
        return torch.stack(rows)

    def correlation(self) -> Tensor:
        """A-priori correlations between the fidelities at one point: levels x levels."""
        covariance = self.loadings() @ self.loadings().T
        root = covariance.diagonal().sqrt()
        return covariance / torch.outer(root, root)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Return ``... x n x m``; ``... x n`` with `diag`."""
        loadings = self.loadings()
        weights1, weights2 = loadings[x1[..., -1].detach().long()], loadings[x2[..., -1].detach().long()]
        total: Tensor | None = None
        for q, kernel in enumerate(self.levels):
            if diag:
                term = weights1[..., q] * weights2[..., q] * kernel(x1, x2, diag=True)
            else:
                term = weights1[..., q].unsqueeze(-1) * weights2[..., q].unsqueeze(-2) * kernel(x1, x2).to_dense()
            total = term if total is None else total + term
        assert total is not None  # there is at least one level
        return total
