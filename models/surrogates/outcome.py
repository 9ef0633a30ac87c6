"""Outcome transforms: labels in units in which a stationary process describes them better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theoros.models.data import Array

#: Logarithms beyond this one are no beliefs but overflows.
FARTHEST = 60.0


@dataclass(frozen=True)
class Warp:
    """``t(y) = log(1 + (y - best) / d)`` towards the bad side, or nothing at all; then mean 0 and variance 1.

    `sign` is 1 when small values are good, -1 when large ones are, 0 for the identity; `best` is the best label. The
    one parameter is ``log d``, in units in which the labels have a standard deviation of one. With small d the good
    end is seen through a magnifying glass and the bad end, orders of magnitude away, as if from afar; with large d
    the transform is affine. A shifted logarithm is the Box-Cox transform with exponent zero (Box & Cox, J. R. Stat.
    Soc. B 26, 211 (1964)); that its parameter is found with the process's own, by marginal likelihood, is the warped
    Gaussian process of Snelson, Rasmussen & Ghahramani (NIPS 2003).
    """

    sign: int = 0
    best: float = 0.0

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return abs(self.sign)

    @property
    def prior(self) -> tuple[float, float]:
        """Normal(location, scale) of the parameter."""
        return 1.0, 2.0

    @property
    def start(self) -> list[float]:
        """Where the search begins."""
        return [0.0] * self.size

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The optimiser's box."""
        return [(math.log(1e-4), math.log(1e2))] * self.size

    def standardised(self, y: Array, parameters: Array) -> tuple[Array, float, Array, Array]:
        """Labels with mean 0 and variance 1, -log of the Jacobian, and their derivatives (``k x n`` and k)."""
        if not self.sign:
            return y, 0.0, np.zeros((0, len(y))), np.zeros(0)
        t, slope, d_t, d_slope = self._transformed(y, parameters)
        mean, scale = _moments(t)
        labels = (t - mean) / scale
        d_scale = (d_t * labels).mean(1)
        d_labels = (d_t - d_t.mean(1, keepdims=True) - labels * d_scale[:, None]) / scale
        jacobian = len(y) * math.log(scale) - float(slope.sum())
        return labels, jacobian, d_labels, len(y) * d_scale / scale - d_slope.sum(1)

    def fitted(self, y: Array, parameters: Array) -> FittedWarp:
        """The transform with its parameters and the labels' moments."""
        if not self.sign:
            return IDENTITY
        t, *_ = self._transformed(y, parameters)
        return FittedWarp(self.sign, self.best, math.exp(float(parameters[0])), *_moments(t))

    def _transformed(self, y: Array, parameters: Array) -> tuple[Array, Array, Array, Array]:
        """t, the logarithm of its slope, and the derivatives of both by the parameters."""
        d = math.exp(float(parameters[0]))
        above = np.maximum(self.sign * (y - self.best), 0.0)
        return np.log1p(above / d), -np.log(d + above), (-above / (d + above))[None], (-d / (d + above))[None]


def _moments(t: Array) -> tuple[float, float]:
    scale = float(t.std()) if len(t) else 1.0
    return (float(t.mean()) if len(t) else 0.0), (scale if scale > 1e-12 else 1.0)


@dataclass(frozen=True)
class FittedWarp:
    """``sign · (log(1 + sign · (z - best) / d) - mean) / scale``, which increases, and its inverse.

    Below the best label by d or more there is nothing that could be transformed: such values count as nearly there.
    """

    sign: int
    best: float
    d: float
    mean: float
    scale: float

    def forward(self, z: Array) -> Array:
        """Transformed values of any shape."""
        if not self.sign:
            return z
        above = np.maximum(self.sign * (z - self.best) / self.d, -1 + 1e-9)
        return np.asarray(self.sign * (np.log1p(above) - self.mean) / self.scale, dtype=np.float64)

    def inverse(self, t: Array) -> Array:
        """Values of which `t` are the transformed ones; far beyond the labels they stop growing."""
        if not self.sign:
            return t
        above = np.expm1(np.minimum(self.mean + self.scale * self.sign * t, FARTHEST))
        return np.asarray(self.best + self.sign * self.d * above, dtype=np.float64)


#: No transform.
IDENTITY = FittedWarp(0, 0.0, 1.0, 0.0, 1.0)
