"""The marginal posterior of a process that is a weighted sum of earlier campaigns' beliefs and a process of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from theoros.models.data import Array
from theoros.models.surrogates.ard import stationary
from theoros.models.surrogates.marginal import JITTER, MEAN_VARIANCE, OUTPUT, MarginalPosterior, nearest_mode

#: A priori the weights of the sources are normal about an even share of one, with this standard deviation, and they are
#: not negative: an earlier campaign whose good candidates are this one's bad ones is none to learn from. `MOST` is the
#: end of their box.
SPREAD, MOST = 0.5, 3.0
#: LogNormal(location, scale) prior of the output scale (a variance) of what no source explains: it may be little.
REST = (-1.5, 1.5)


@dataclass(frozen=True)
class TransferPosterior:
    """The negative log posterior of hyperparameters and weights given labels.

    The labels are ``sum w (mean) + N(0, sum w^2 (covariance) + the kernel of `own`)``: `own` is the marginal posterior
    of the process without sources, on the same labels, and gives its kernel and priors. `means` are ``s x n``, centred,
    and `covariances` ``s x n x n``, of the sources at the labels' candidates, in the labels' units. A vector holds
    what a vector of `own` holds, and then the weights. Conditioning on each source's own labels alone is the modular
    form of Tighineanu et al., AISTATS 2024, arXiv:2312.00621, equations 6 to 9; the joint form is that of Kennedy &
    O'Hagan, Biometrika 87, 1 (2000), doi:10.1093/biomet/87.1.1.
    """

    own: MarginalPosterior
    means: Array
    covariances: Array

    def value(self, theta: Array) -> tuple[float, Array]:
        """The negative log posterior and its gradient at the vector `theta`."""
        own = self.own
        n, d, c, s = len(own.y), own.X.shape[1], own.C.shape[1], len(self.means)
        weights = theta[len(theta) - s :]
        hyper = theta[: len(theta) - s]
        length, category = np.exp(hyper[:d]), np.exp(hyper[d : d + c])
        noise, output = np.exp(hyper[d + c]), np.exp(hyper[d + c + 1])
        Z = own.X / length
        squares = np.square(Z).sum(1)
        distance = np.maximum(squares[:, None] + squares[None, :] - 2 * Z @ Z.T, 0.0)
        kernel, slope = stationary(own.family, distance)
        unlike = own.C.T[:, :, None] != own.C.T[:, None, :]  # c x n x n
        if c:
            likeness = np.exp(-np.tensordot(1 / category, unlike, 1) / c)
            kernel, slope = kernel * likeness, slope * likeness
        kernel, slope = output * kernel, output * slope
        matrix = kernel + MEAN_VARIANCE + np.tensordot(weights**2, self.covariances, 1)
        matrix[np.diag_indices(n)] += noise + JITTER * output + (0.0 if own.fixed is None else own.fixed)
        residual = own.y - weights @ self.means
        factor, failed = lapack.dpotrf(matrix, lower=1)
        if failed:
            return 1e10, np.zeros_like(theta)
        solved, _ = lapack.dpotrs(factor, residual, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        value = 0.5 * residual @ solved + np.log(np.diag(factor)).sum() + 0.5 * n * math.log(2 * math.pi)
        pull = 0.5 * (inverse - np.outer(solved, solved))  # d value / d matrix
        gradient = np.zeros_like(theta)
        w = pull * slope
        gradient[:d] = 2 * (w.sum(1) @ np.square(Z)) - 2 * ((w @ Z) * Z).sum(0)
        if c:
            gradient[d : d + c] = np.tensordot(unlike, pull * kernel, 2) / (c * category)
        gradient[d + c] = noise * np.trace(pull)
        gradient[d + c + 1] = (pull * kernel).sum() + JITTER * output * np.trace(pull)
        gradient[len(hyper) :] = -self.means @ solved + 2 * weights * np.tensordot(self.covariances, pull, 2)
        prior, slopes = own._prior(hyper)
        gradient[: len(hyper)] += slopes
        away = (weights - 1 / s) / SPREAD
        gradient[len(hyper) :] += away / SPREAD
        rest = (hyper[d + c + 1] - REST[0]) / REST[1]
        usual = (hyper[d + c + 1] - OUTPUT[0]) / OUTPUT[1]
        gradient[d + c + 1] += rest / REST[1] - usual / OUTPUT[1]
        prior += 0.5 * (rest**2 - usual**2) + math.log(REST[1] / OUTPUT[1])
        return float(value + prior + 0.5 * away @ away + s * math.log(SPREAD)), gradient

    def starts(self) -> list[Array]:
        """The modes of the priors, with an even share for each source, and with none."""
        begin, s = self.own.start(), len(self.means)
        return [np.append(begin, np.full(s, 1 / s)), np.append(begin, np.zeros(s))]

    def mode(self, start: Array, *, steps: int = 100) -> tuple[Array, float]:
        """The nearest mode to `start`, by L-BFGS-B, and the negative log posterior there."""
        box: list[tuple[float, float]] = [*self.own.bounds(), *[(0.0, MOST)] * len(self.means)]
        return nearest_mode(self.value, start, box, len(self.own.y), steps)
