"""The marginal posterior of a chain of fidelities, and its gradient, in closed form.

What `theoros.models.surrogates.marginal` is for one level, this is for several: ``f_t(x) = rho_t f_{t-1}(x) + g_t(x)``
(Kennedy & O'Hagan, Biometrika 87, 1 (2000), doi:10.1093/biomet/87.1.1) with a kernel of its own for each ``g_t``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import lapack

from theoros.models.data import Array
from theoros.models.surrogates.ard import stationary
from theoros.models.surrogates.marginal import (
    CATEGORY,
    JITTER,
    LENGTH_LOCATION,
    LENGTH_SCALE,
    LONGEST,
    MEAN_VARIANCE,
    OUTPUT,
    OUTPUT_BOX,
    SHARE,
    SHORTEST,
    Hyperparameters,
    MarginalPosterior,
)

#: Normal(location, scale) prior of rho, which is not negative, and LogNormal(location, scale) prior of the variance of
#: g_t: in standardised units rho is near a correlation and the variance near 1 - rho^2. Wide, because the labels of two
#: levels lie at different places, and so have different spreads, as a campaign goes on.
SLOPE, OWN = (0.8, 1.0), (-1.0, 1.0)
STEEPEST = 10.0


@dataclass(frozen=True)
class ChainHyperparameters(Hyperparameters):
    """As for one level, with ``length_scales`` ``levels x d``, ``category_scales`` ``levels x c``, and `loadings`
    ``levels x levels``: the weight of ``g_q`` in ``f_t`` times its standard deviation, lower triangular.
    """

    loadings: Array = field(default_factory=lambda: np.ones((1, 1)))


class Term(NamedTuple):
    """The kernel matrix of one ``g_q`` at the labels, and the derivatives by the logarithms of its scales of whatever
    has the derivatives ``n x n`` by that matrix.
    """

    kernel: Array
    by_scales: Callable[[Array], Array]


@dataclass(frozen=True)
class ChainPosterior(MarginalPosterior):
    """The negative log posterior of the hyperparameters of `levels` fidelities given labels at `level` (n) each.

    The mean of every level stays near its labels' own, as for one level. A vector of hyperparameters holds for each
    level the logarithms of its length scales and categories' length scales, then the logarithms of noise and of the
    first level's variance, then for each later level its rho, then the logarithm of its own variance, and then the
    warp's parameters. With a warp the best label of each level counts as zero, so that each is magnified at its own
    good end.
    """

    level: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    levels: int = 2

    @property
    def best(self) -> Array:
        """The best label of each level, from which a warp counts; 0 without a warp or labels."""
        found = np.zeros(self.levels)
        for q in set(self.level.tolist()) if self.warp.sign else ():
            found[q] = self.warp.sign * (self.warp.sign * self.y[self.level == q]).min()
        return found

    @property
    def _width(self) -> int:
        """How many scales each level has."""
        return int(self.X.shape[1] + self.C.shape[1])

    @property
    def _after(self) -> int:
        """Where the length scales end."""
        return self.levels * self._width

    def _parts(self, theta: Array) -> tuple[float, float, Array, Array, Array]:
        """Noise, the first level's variance, rhos, own variances, and the warp's parameters."""
        k, later = self._after, self.levels - 1
        scales = np.exp(theta[k : k + 2])
        slopes, own = theta[k + 2 : k + 2 + later], np.exp(theta[k + 2 + later : k + 2 + 2 * later])
        return float(scales[0]), float(scales[1]), slopes, own, theta[k + 2 + 2 * later :]

    def loadings(self, theta: Array) -> Array:
        """``levels x levels``, lower triangular."""
        _, first, slopes, own, _ = self._parts(theta)
        rows = np.diag(np.sqrt(np.concatenate([[first], own])))
        for t in range(1, self.levels):
            rows[t] += slopes[t - 1] * rows[t - 1]
        return rows

    def value(self, theta: Array) -> tuple[float, Array]:
        """The negative log posterior and its gradient at the vector `theta`."""
        n = len(self.y)
        noise, _, _, _, warping = self._parts(theta)
        labels, jacobian, d_labels, d_jacobian = self.warp.standardised(self.y - self.best[self.level], warping)
        weight = self.loadings(theta)[self.level]  # n x levels
        terms = [self._term(theta, q) for q in range(self.levels)]
        matrix = MEAN_VARIANCE * (self.level[:, None] == self.level[None, :])
        for q, term in enumerate(terms):
            matrix = matrix + weight[:, q, None] * weight[None, :, q] * term.kernel
        jitter = np.square(weight).sum(1)
        matrix[np.diag_indices(n)] += noise + JITTER * jitter + (0.0 if self.fixed is None else self.fixed)
        factor, failed = lapack.dpotrf(matrix, lower=1)
        if failed:
            return 1e10, np.zeros_like(theta)
        weights, _ = lapack.dpotrs(factor, labels, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        value = 0.5 * labels @ weights + np.log(np.diag(factor)).sum() + 0.5 * n * math.log(2 * math.pi) + jacobian
        pull = 0.5 * (inverse - np.outer(weights, weights))  # d value / d matrix
        gradient = np.zeros_like(theta)
        by_loading = np.zeros((self.levels, self.levels))
        for q, term in enumerate(terms):
            pair = weight[:, q, None] * weight[None, :, q]
            gradient[q * self._width : (q + 1) * self._width] = term.by_scales(pull * pair)
            by_row = 2 * (pull * term.kernel) @ weight[:, q] + 2 * JITTER * np.diag(pull) * weight[:, q]
            by_loading[:, q] = np.bincount(self.level, by_row, minlength=self.levels)
        gradient[self._after] = noise * np.trace(pull)
        self._through_loadings(theta, by_loading, gradient)
        gradient[self._after + 2 * self.levels :] = d_labels @ weights + d_jacobian
        prior, slopes = self._prior(theta)
        return float(value + prior), gradient + slopes

    def _term(self, theta: Array, q: int) -> Term:
        """The kernel of g_q."""
        d, c, begin = self.X.shape[1], self.C.shape[1], q * self._width
        Z = self.X / np.exp(theta[begin : begin + d])
        squares = np.square(Z).sum(1)
        kernel, slope = stationary(self.family, np.maximum(squares[:, None] + squares[None, :] - 2 * Z @ Z.T, 0.0))
        unlike = self.C.T[:, :, None] != self.C.T[:, None, :]  # c x n x n
        category = np.exp(theta[begin + d : begin + self._width])
        if c:
            likeness = np.exp(-np.tensordot(1 / category, unlike, 1) / c)
            kernel, slope = kernel * likeness, slope * likeness

        def by_scales(pull: Array) -> Array:
            w = pull * slope
            lengths = 2 * (w.sum(1) @ np.square(Z)) - 2 * ((w @ Z) * Z).sum(0)
            return np.concatenate(
                [lengths, np.tensordot(unlike, pull * kernel, 2) / (c * category)] if c else [lengths]
            )

        return Term(kernel, by_scales)

    def _through_loadings(self, theta: Array, by_loading: Array, gradient: Array) -> None:
        """Write the derivatives by variances and rhos, given those by the loadings."""
        later, k = self.levels - 1, self._after
        rows, slopes, pulled = self.loadings(theta), self._parts(theta)[2], by_loading.copy()
        for t in range(later, 0, -1):
            gradient[k + 2 + later + t - 1] = 0.5 * pulled[t, t] * rows[t, t]
            gradient[k + 2 + t - 1] = pulled[t] @ rows[t - 1]
            pulled[t - 1] += slopes[t - 1] * pulled[t]
        gradient[k + 1] = 0.5 * pulled[0, 0] * rows[0, 0]

    def _locations(self) -> tuple[Array, Array]:
        """Of all the priors, which are normal or log-normal."""
        later = self.levels - 1
        pairs = [*self._scale_priors() * self.levels, self.noise_prior, OUTPUT]
        pairs += [*[SLOPE] * later, *[OWN] * later, *[self.warp.prior] * self.warp.size]
        table = np.array(pairs, dtype=np.float64)
        return table[:, 0], table[:, 1]

    def _scale_priors(self) -> list[tuple[float, float]]:
        """LogNormal(location, scale) priors of one level's scales."""
        d, c = self.X.shape[1], self.C.shape[1]
        return [*[(LENGTH_LOCATION + 0.5 * math.log(max(d, 1)), LENGTH_SCALE)] * d, *[CATEGORY] * c]

    def _prior(self, theta: Array) -> tuple[float, Array]:
        """Minus the log density of the priors, and its gradient."""
        location, scale = self._locations()
        away = (theta - location) / scale
        gradient = away / scale
        later = self.levels - 1
        logs = np.ones(len(theta), dtype=bool)  # a log-normal density of x is a normal one of log x divided by x
        logs[self._after + 2 : self._after + 2 + later] = False
        logs[self._after + 2 + 2 * later :] = False
        gradient[logs] += 1.0
        return 0.5 * float(away @ away) + float(theta[logs].sum() + np.log(scale[~logs]).sum()), gradient

    def read(self, theta: Array) -> ChainHyperparameters:
        """What the vector `theta` says."""
        d = self.X.shape[1]
        noise, first, _, _, warping = self._parts(theta)
        scales = np.exp(theta[: self._after].reshape(self.levels, self._width))
        return ChainHyperparameters(
            scales[:, :d], scales[:, d:], noise + JITTER * first, first, warping, loadings=self.loadings(theta)
        )

    def start(self) -> Array:
        """The modes of the priors."""
        location, scale = self._locations()
        begin = location - np.square(scale)
        k, later = self._after, self.levels - 1
        begin[k] = max(begin[k], math.log(2 * self.floor))
        begin[k + 1] = 0.0
        begin[k + 2 : k + 2 + later] = SLOPE[0]
        begin[k + 2 + 2 * later :] = self.warp.start
        return begin

    def bounds(self) -> list[tuple[float, float]]:
        """The optimiser's box."""
        later = self.levels - 1
        scales = [pair for q in range(self.levels) for pair in self._scale_bounds(q)]
        noise = (math.log(self.floor), math.log(max(self.most, self.floor)))
        slopes, own = [(0.0, STEEPEST)] * later, [(math.log(1e-4), OUTPUT_BOX[1])] * later
        return [*scales, noise, OUTPUT_BOX, *slopes, *own, *self.warp.bounds]

    def _scale_bounds(self, q: int) -> list[tuple[float, float]]:
        """The box of the scales of level q."""
        d, c, longest = self.X.shape[1], self.C.shape[1], math.log(LONGEST)
        # A place that is labelled at several levels is one place.
        n = max(1, *(int((self.level == t).sum()) for t in range(q, self.levels)))
        shortest = math.log(max(SHORTEST, SHARE * n ** (-1 / max(d + c, 1))))
        return [*[(shortest, longest)] * d, *[(math.log(1e-2), longest)] * c]
