"""The kernel with one length scale for each column, as a plain function of tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array


class ArdKernel(torch.nn.Module):
    """``c + s * k(r) * exp(-mean over categories of [x != x'] / l)``, r being the distance in units of the length
    scales.

    The values are GPyTorch's for the same hyperparameters; what it saves is GPyTorch's bookkeeping, which at fifty
    labels takes ten times longer than the arithmetic. `family` is ``"rbf"`` or ``"matern"`` (5/2).
    """

    def __init__(
        self,
        family: str,
        numeric: tuple[int, ...],
        length_scales: Tensor,
        categorical: tuple[int, ...],
        category_scales: Tensor,
        output_scale: float | Tensor,
        constant: float = 0.0,
    ) -> None:
        super().__init__()
        self.family, self.numeric, self.categorical, self.output_scale = family, numeric, categorical, output_scale
        self.constant = constant
        self.length_scales, self.category_scales = length_scales, category_scales

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ``n`` with `diag`, each row with itself."""
        if diag:
            return x1.new_ones(len(x1)) * (self.output_scale + self.constant)
        other = x1 if x2 is None else x2
        kernel = self._stationary(_squared_distance(self._scaled(x1), self._scaled(other)))
        if self.categorical:
            columns = list(self.categorical)
            unlike = (x1[:, None, columns] != other[None, :, columns]).to(x1.dtype) / self.category_scales
            kernel = kernel * torch.exp(-unlike.mean(-1))
        return self.output_scale * kernel + self.constant

    def _scaled(self, x: Tensor) -> Tensor:
        return (x if not self.categorical else x[:, list(self.numeric)]) / self.length_scales

    def _stationary(self, squared: Tensor) -> Tensor:
        if self.family == "rbf":
            return torch.exp(-0.5 * squared)
        root = (5 * squared.clamp_min(1e-30)).sqrt()
        return (1 + root + root**2 / 3) * torch.exp(-root)


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    centre = b.mean(0) if len(b) else 0.0  # shorter vectors lose fewer digits
    a, b = a - centre, b - centre
    squares = a.square().sum(1).unsqueeze(1) + b.square().sum(1).unsqueeze(0)
    return torch.addmm(squares, a, b.T, alpha=-2.0).clamp_min(0.0)


def stationary(family: str, squared: Array) -> tuple[Array, Array]:
    """A kernel of the squared distance, and minus twice its derivative by it."""
    if family == "rbf":
        kernel = np.exp(-0.5 * squared)
        return kernel, kernel
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, (5 / 3) * (1 + root) * decay
