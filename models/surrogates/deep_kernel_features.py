"""The kernel of a deep Gaussian process: distances in the inputs and in what a network makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theoros.models.surrogates.marginal import LENGTH_LOCATION, LENGTH_SCALE

#: Values of the last layer, and the factor of its first weights: a network begins by saying little.
FEATURES, QUIET = 8, 0.1
#: The largest spectral norm of a layer's weights.
STEEPEST = 1.5
#: Logarithms of length scales, noise variance and output scale stay in these bounds.
LENGTHS, NOISES, SCALES = (-4.0, 7.0), (-13.0, 2.0), (-6.0, 6.0)

#: What is not of the network.
KERNEL = ("lengths", "noise", "scale")

#: Names to tensors: ``lengths``, ``noise`` and ``scale`` (logarithms), ``w0``, ``b0``, ``w1``, ...
Theta = dict[str, Tensor]


@dataclass(frozen=True)
class Inputs:
    """Columns of a process's inputs ``n x d``: numbers as they are, and categories with how many choices each has.

    With `shared` all numbers have one length scale: a fingerprint's thousand columns could not tell as many.
    """

    numeric: tuple[int, ...]
    categories: Mapping[int, int]
    shared: bool = False

    @property
    def width(self) -> int:
        """Columns once categories are spread out."""
        return len(self.numeric) + sum(self.categories.values())

    @property
    def lengths(self) -> int:
        """Length scales: one for each number and each category."""
        return (1 if self.shared else len(self.numeric)) + len(self.categories)

    def spread(self, X: Tensor) -> Tensor:
        """Numbers, and a column of zeros and ones for each choice: ``n x width``; differentiable in the numbers."""
        parts = [X[:, list(self.numeric)]]
        for column, choices in self.categories.items():
            index = X[:, column].detach().long().clamp(0, choices - 1)
            parts.append(torch.nn.functional.one_hot(index, choices).to(X.dtype))
        return torch.cat(parts, dim=1)

    def stretched(self, lengths: Tensor) -> Tensor:
        """Length scales of the spread columns (width); two choices lie one length scale apart."""
        numbers = lengths[:1].expand(len(self.numeric)) if self.shared else lengths[: len(self.numeric)]
        own = lengths[len(lengths) - len(self.categories) :]
        parts = [numbers]
        for length, choices in zip(own, self.categories.values(), strict=True):
            parts.append((math.sqrt(2) * length).reshape(1).expand(choices))
        return torch.cat(parts)

    def begin(self, width: int, noise: float, seed: int) -> Theta:
        """Where a fit begins: broad length scales, and a network of two hidden layers that says little."""
        rng = np.random.default_rng(seed)
        root = 0.0 if self.shared else 0.5 * math.log(max(len(self.numeric), 1))
        theta: Theta = {
            "lengths": torch.full((self.lengths,), math.log(0.3) + root, dtype=torch.float64),
            "noise": torch.tensor(noise, dtype=torch.float64),
            "scale": torch.tensor(0.0, dtype=torch.float64),
        }
        sizes = [self.width, width, width, FEATURES]
        for layer, (a, b) in enumerate(pairwise(sizes)):
            factor = QUIET if layer == 2 else 1.0
            theta[f"w{layer}"] = torch.from_numpy(rng.normal(size=(a, b)) * factor / math.sqrt(max(a, 1)))
            theta[f"b{layer}"] = torch.zeros(b, dtype=torch.float64)
        return theta

    def log_prior(self, theta: Theta, noise: tuple[float, float]) -> Tensor:
        """Log density of the hyperparameters, without constants; `noise` is its location and scale."""
        root = 0.0 if self.shared else 0.5 * math.log(max(len(self.numeric), 1))
        lengths = (theta["lengths"] - LENGTH_LOCATION - root) / LENGTH_SCALE
        total = lengths.square().sum() + ((theta["noise"] - noise[0]) / noise[1]) ** 2 + theta["scale"] ** 2
        return -0.5 * total


class DeepKernel(torch.nn.Module):
    """``s k(r)`` with ``r^2 = sum_i ((x_i - x'_i) / l_i)^2 + |g(x) - g(x')|^2``, k being Matern's of order 5/2.

    Wilson et al., AISTATS 2016 (arXiv:1511.02222), with the inputs kept beside the network's features ``g``: what the
    network collapses stays apart, and without one it is the usual kernel. The weights' spectral norms are bounded, so
    that distances are not stretched at will (van Amersfoort et al., arXiv:2102.11409).
    """

    def __init__(self, inputs: Inputs, theta: Theta) -> None:
        super().__init__()
        self.inputs = inputs
        self.output_scale = theta["scale"].clamp(*SCALES).exp()
        self.length_scales = inputs.stretched(theta["lengths"].clamp(*LENGTHS).exp())
        self.layers = [(_bounded(theta[f"w{i}"]), theta[f"b{i}"]) for i in range(3)]

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ``n`` with `diag`, each row with itself."""
        if diag:
            return x1.new_ones(len(x1)) * self.output_scale
        a = self._features(x1)
        b = a if x2 is None else self._features(x2)
        squares = a.square().sum(1).unsqueeze(1) + b.square().sum(1).unsqueeze(0)
        squared = torch.addmm(squares, a, b.T, alpha=-2.0)
        root = (5 * squared.clamp_min(1e-30)).sqrt()
        return self.output_scale * (1 + root + root**2 / 3) * torch.exp(-root)

    def _features(self, X: Tensor) -> Tensor:
        spread = self.inputs.spread(X)
        hidden = spread - 0.5
        for i, (weights, bias) in enumerate(self.layers):
            hidden = hidden @ weights + bias
            hidden = hidden if i == len(self.layers) - 1 else torch.tanh(hidden)
        return torch.cat([spread / self.length_scales, hidden], dim=1)

    def __deepcopy__(self, memo: dict[int, Any]) -> DeepKernel:
        return self  # it is never changed


def _bounded(weights: Tensor) -> Tensor:
    if weights.numel() == 0:
        return weights
    norm: Tensor = torch.linalg.matrix_norm(weights, 2)
    return weights * (STEEPEST / norm.clamp_min(STEEPEST))
