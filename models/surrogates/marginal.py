"""The marginal posterior of a Gaussian process with one length scale for each column, and its gradient, in closed form.

What GPyTorch differentiates automatically is written out here for the one process that nearly every campaign over
parameters fits: at fifty labels an evaluation takes a tenth of the time, and a decision may afford several fits.
Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), equation 5.9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from theoros.models.data import Array
from theoros.models.surrogates.ard import stationary
from theoros.models.surrogates.outcome import Warp

#: LogNormal(location, scale) prior of a length scale: its location grows with the dimension so that a function's
#: complexity does not (Hvarfner et al., ICML 2024, arXiv:2402.02229, proposition 1).
LENGTH_LOCATION, LENGTH_SCALE = math.sqrt(2), math.sqrt(3)
#: LogNormal(location, scale) prior of a category's length scale, and of the output scale (a variance).
CATEGORY = (0.5, 1.0)
OUTPUT = (0.0, 1.0)
#: Length scales are at least `SHORTEST`, and at least `SHARE` of the spacing of as many labels on a grid: with shorter
#: ones a process knows nothing between its labels, and calls that an explanation. They are at most `LONGEST`.
SHORTEST, SHARE, LONGEST = 2.5e-2, 0.2, 1e3
#: The output scale's box, in logarithms.
OUTPUT_BOX = (-6.0, 9.0)

#: The process's mean is a constant of this variance a priori, about the labels' own mean. It is integrated over.
MEAN_VARIANCE = 0.09
#: Variance, relative to the output scale, that is always added to the labels': the matrix stays positive definite.
JITTER = 1e-9


@dataclass(frozen=True)
class Hyperparameters:
    """Length scales by column, the variance of noise, the output scale (a variance), and the warp's parameters.

    `concentrations`, ``2 x k``, are those of the warps of `k` inputs (`theoros.models.surrogates.input_warp`).
    """

    length_scales: Array
    category_scales: Array
    noise: float
    output_scale: float
    warp: Array
    concentrations: Array | None = None


@dataclass(frozen=True)
class MarginalPosterior:
    """The negative log posterior of hyperparameters given labels.

    The process's mean stays near the labels' own (`MEAN_VARIANCE`): one that is free follows the bad labels when a
    campaign has crowded good ones into one place, and then no other place is worth a look. `X` is ``n x d``
    (numbers), `C` is ``n x c`` (indices of categories), `y` the standardised labels (n). `family` is ``"rbf"`` or
    ``"matern"`` (5/2). `noise_prior` is LogNormal(location, scale) of the noise variance, which lies between `floor`
    and `most`; `fixed` are variances (n) that labels have beside it. A vector of hyperparameters holds the logarithms
    of length scales, categories' length scales, noise and output scale, and then the warp's parameters.
    """

    family: str
    X: Array
    C: Array
    y: Array
    warp: Warp
    noise_prior: tuple[float, float]
    floor: float
    most: float = 10.0
    tau: float | None = None
    fixed: Array | None = None

    def value(self, theta: Array) -> tuple[float, Array]:
        """The negative log posterior and its gradient at the vector `theta`."""
        value, gradient, _ = self._differentiated(theta)
        return value, gradient

    def differentiated(self, theta: Array) -> tuple[float, Array, Array]:
        """The same, and the gradient by `X`, ``n x d``."""
        value, gradient, by_numbers = self._differentiated(theta)
        return value, gradient, by_numbers()

    def likelihood(self, theta: Array) -> tuple[float, Array]:
        """The same without the priors."""
        value, gradient = self.value(theta)
        prior, slopes = self._prior(theta)
        return value - prior, gradient - slopes

    def _differentiated(self, theta: Array) -> tuple[float, Array, Callable[[], Array]]:
        n, d, c = len(self.y), self.X.shape[1], self.C.shape[1]
        length, category = np.exp(theta[:d]), np.exp(theta[d : d + c])
        noise, output = np.exp(theta[d + c]), np.exp(theta[d + c + 1])
        labels, jacobian, d_labels, d_jacobian = self.warp.standardised(self.y, theta[d + c + 2 :])
        Z = self.X / length
        squares = np.square(Z).sum(1)
        distance = np.maximum(squares[:, None] + squares[None, :] - 2 * Z @ Z.T, 0.0)
        kernel, slope = stationary(self.family, distance)
        unlike = self.C.T[:, :, None] != self.C.T[:, None, :]  # c x n x n
        if c:
            likeness = np.exp(-np.tensordot(1 / category, unlike, 1) / c)
            kernel, slope = kernel * likeness, slope * likeness
        kernel, slope = output * kernel, output * slope
        matrix = kernel + MEAN_VARIANCE
        matrix[np.diag_indices(n)] += noise + JITTER * output + (0.0 if self.fixed is None else self.fixed)
        factor, failed = lapack.dpotrf(matrix, lower=1)
        if failed:
            return 1e10, np.zeros_like(theta), lambda: np.zeros_like(self.X)
        weights, _ = lapack.dpotrs(factor, labels, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        value = 0.5 * labels @ weights + np.log(np.diag(factor)).sum() + 0.5 * n * math.log(2 * math.pi) + jacobian
        pull = 0.5 * (inverse - np.outer(weights, weights))  # d value / d matrix
        gradient = np.zeros_like(theta)
        w = pull * slope
        gradient[:d] = 2 * (w.sum(1) @ np.square(Z)) - 2 * ((w @ Z) * Z).sum(0)
        if c:
            gradient[d : d + c] = np.tensordot(unlike, pull * kernel, 2) / (c * category)
        gradient[d + c] = noise * np.trace(pull)
        gradient[d + c + 1] = (pull * kernel).sum() + JITTER * output * np.trace(pull)
        gradient[d + c + 2 :] = d_labels @ weights + d_jacobian
        prior, slopes = self._prior(theta)
        return float(value + prior), gradient + slopes, lambda: -2 * (Z * w.sum(1)[:, None] - w @ Z) / length

    def _prior(self, theta: Array) -> tuple[float, Array]:
        """Minus the log density of the priors, and its gradient."""
        d, c = self.X.shape[1], self.C.shape[1]
        location = np.full(len(theta), 0.0)
        scale = np.ones(len(theta))
        location[:d], scale[:d] = LENGTH_LOCATION + 0.5 * math.log(max(d, 1)), LENGTH_SCALE
        location[d : d + c], scale[d : d + c] = CATEGORY
        location[d + c], scale[d + c] = self.noise_prior
        location[d + c + 1], scale[d + c + 1] = OUTPUT
        location[d + c + 2 :], scale[d + c + 2 :] = self.warp.prior
        sparse = d if self.tau is not None else 0  # whose prior is not log-normal
        away = (theta - location) / scale
        away[:sparse] = 0.0
        gradient = away / scale
        value = 0.5 * float(away @ away)
        if self.tau is not None:
            ratio = np.exp(-4 * theta[:d]) / self.tau**2
            value += float(np.log1p(ratio).sum())
            gradient[:d] = -4 * ratio / (1 + ratio)
        # A log-normal density of x is a normal one of log x divided by x; the warp's parameter is normal.
        logs = slice(sparse, d + c + 2)
        gradient[logs] += 1.0
        return value + float(theta[logs].sum() + np.log(scale[d + c + 2 :]).sum()), gradient

    def read(self, theta: Array) -> Hyperparameters:
        """What the vector `theta` says."""
        d, c = self.X.shape[1], self.C.shape[1]
        noise, output = float(np.exp(theta[d + c])), float(np.exp(theta[d + c + 1]))
        return Hyperparameters(
            np.exp(theta[:d]),
            np.exp(theta[d : d + c]),
            noise + JITTER * output,
            output,
            theta[d + c + 2 :],
        )

    def start(self) -> Array:
        """The modes of the priors."""
        d, c = self.X.shape[1], self.C.shape[1]
        length = LENGTH_LOCATION + 0.5 * math.log(max(d, 1)) - LENGTH_SCALE**2
        location, scale = self.noise_prior
        noise = max(location - scale**2, math.log(2 * self.floor))
        return np.array([length] * d + [CATEGORY[0] - CATEGORY[1] ** 2] * c + [noise, 0.0, *self.warp.start])

    def bounds(self) -> list[tuple[float, float]]:
        """The optimiser's box."""
        d, c = self.X.shape[1], self.C.shape[1]
        spacing = len(self.y) ** (-1 / max(d + c, 1))
        shortest, longest = math.log(max(SHORTEST, SHARE * spacing)), math.log(LONGEST)
        lengths = [(shortest, longest)] * d + [(math.log(1e-2), longest)] * c
        noise = (math.log(self.floor), math.log(max(self.most, self.floor)))
        return [*lengths, noise, OUTPUT_BOX, *self.warp.bounds]

    def mode(self, start: Array, *, steps: int = 100) -> tuple[Array, float]:
        """The nearest mode to `start`, by L-BFGS-B, and the negative log posterior there."""
        return nearest_mode(self.value, start, self.bounds(), len(self.y), steps)


def nearest_mode(
    value: Callable[[Array], tuple[float, Array]], start: Array, box: Sequence[tuple[float, float]], n: int, steps: int
) -> tuple[Array, float]:
    """Where in the `box` L-BFGS-B comes to rest from `start`, and the `value` there.

    `value` gives a negative log posterior of `n` labels with its gradient; it is divided by their number, so that the
    tolerances mean the same beside many labels as beside few.
    """

    def scaled(theta: Array) -> tuple[float, Array]:
        found, gradient = value(theta)
        return found / n, gradient / n

    begin = np.clip(start, [low for low, _ in box], [high for _, high in box])
    end = minimize(
        scaled,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=box,
        options={"maxiter": steps, "ftol": 1e-7, "gtol": 1e-4},
    )
    return np.asarray(end.x, dtype=np.float64), n * float(end.fun)
