"""A Bayesian linear model of learned features: the last layer of a network, with its uncertainty in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theoros.models.data import Array

#: Noise variance (of standardised labels) is at least this.
SMALLEST = 1e-6


@dataclass(frozen=True, eq=False)
class BayesianLayer:
    """``f(x) = w · [features(x), 1]`` with ``w`` normal: `weights` (k + 1), and a `factor` of its covariance.

    `factor` is ``(k + 1) x (k + 1)`` with ``factor @ factor.T`` the covariance; `noise` is the variance of a label.
    """

    weights: Array
    factor: Array
    noise: float

    @classmethod
    def of(cls, features: Array, y: Array) -> BayesianLayer:
        """Fit to standardised labels `y` (n) at ``n x k`` features; the variances of weights and noise are by evidence.

        MacKay, Neural Computation 4, 415 (1992), doi:10.1162/neco.1992.4.3.415, as scikit-learn does it. With fewer
        than two labels it knows mean zero and variance one.
        """
        from sklearn.linear_model import BayesianRidge

        k = features.shape[1]
        weights, factor = np.zeros(k + 1), np.zeros((k + 1, k + 1))
        factor[k, k] = 1.0
        if len(y) < 2:
            return cls(weights, factor, SMALLEST)
        fit = BayesianRidge().fit(features, y)
        noise = max(1 / float(fit.alpha_), SMALLEST)
        centre = features.mean(0)
        # With f = c + w · (x - centre), c is known by the mean of all labels, and independent of w.
        values, vectors = np.linalg.eigh(0.5 * (fit.sigma_ + fit.sigma_.T))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        factor[:k, :k], factor[k, :k], factor[k, k] = root, -centre @ root, np.sqrt(noise / len(y))
        weights[:k], weights[k] = fit.coef_, float(fit.intercept_)
        return cls(weights, factor, noise)

    def scaled(self, scale: float) -> BayesianLayer:
        """The same means with all standard deviations `scale` times as large."""
        return BayesianLayer(self.weights, scale * self.factor, scale**2 * self.noise)

    def mean(self, features: Array) -> Array:
        """Means (n) at ``n x k`` features."""
        return np.asarray(features @ self.weights[:-1] + self.weights[-1], dtype=np.float64)

    def variance(self, features: Array) -> Array:
        """Variances (n) of the noise-free value."""
        return np.asarray(np.square(self.deviations(features)).sum(0), dtype=np.float64)

    def deviations(self, features: Array) -> Array:
        """What each of ``k + 1`` independent standard normal numbers does to the value: ``(k + 1) x n``."""
        return np.asarray((features @ self.factor[:-1] + self.factor[-1]).T, dtype=np.float64)
