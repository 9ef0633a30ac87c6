"""A sparse Gaussian process for thousands of labels."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.cluster import kmeans_plusplus
from torch import Tensor

from theoros.models.data import Array
from theoros.models.encoders import Encoder
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.fitting import FitFailed
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.marginal import LENGTH_LOCATION, LENGTH_SCALE
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import NOISE_PRIORS, Structure, TaskMean

#: The name under which the hyperparameters are kept for the next fit.
MODE = "variational"
#: Added to the inducing points' covariance, relative to the output scale.
JITTER = 1e-6
#: The optimiser's box in logarithms: length scales, noise variance, output scale.
LENGTHS, NOISES, SCALES = (-3.7, 6.9), (-13.0, 2.0), (-6.0, 6.0)


@dataclass(frozen=True)
class VariationalGaussianProcess(GaussianProcess):
    """A Gaussian process seen through `inducing` points, whose cost grows linearly with the labels.

    Titsias, AISTATS 2009: the hyperparameters maximise the collapsed lower bound of the evidence. Inducing points are
    labelled points, spread by k-means++. What is believed is exactly that of a process with noisy values at the
    inducing points, so pending points, fantasies and sample paths work as they do with ``gp``; that model is fitted as
    long as its closed form serves. Several fidelities enter as a category.
    """

    inducing: int = 256

    name: ClassVar[str] = "variational_gp"

    def _fit_output(
        self, structure: Structure, encoder: Encoder, labels: Labels, start: OutputModel | None, seed: int
    ) -> tuple[OutputModel, str]:
        if len(labels.y) < 2:
            return super()._fit_output(structure, encoder, labels, start, seed)
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        X, y = labels.inputs(structure), labels.standardised
        _, rows = kmeans_plusplus(X.numpy(), min(self.inducing, len(X)), random_state=seed % 2**32)
        bound = _Bound(structure, X.to(device), y.to(device), X[np.sort(rows)].to(device))
        last = None if start is None else start.state.get(MODE)
        theta = bound.maximum(bound.start() if last is None or len(last) != bound.size else last.numpy(), self.seconds)
        kernel, noise = bound.kernel(torch.from_numpy(theta).to(device))
        posterior = bound.posterior(kernel, noise)
        names = [column.name for column in getattr(encoder, "columns", ())]
        told = {
            "noise_variance": float(noise),
            "mean": 0.0,
            "output_scales": [float(kernel.output_scale)],
            "length_scales": {
                (names[i] if i < len(names) else str(i)): float(scale)
                for i, scale in zip(kernel.numeric, kernel.length_scales.tolist(), strict=True)
            },
            "inducing_points": len(rows),
        }
        state = {MODE: torch.from_numpy(theta)}
        return OutputModel(structure, posterior, labels.offset, labels.scale, float(noise), state, told), ""


@dataclass(frozen=True)
class _Bound:
    """The collapsed bound for labels `y` (n) at `X` (``n x d``), with inducing points `Z` (``m x d``)."""

    structure: Structure
    X: Tensor
    y: Tensor
    Z: Tensor

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns that hold categories: the fidelity's is one."""
        return (*self.structure.categorical, *((self.structure.dimension,) if self.structure.tasks > 1 else ()))

    @property
    def numeric(self) -> tuple[int, ...]:
        """The other columns."""
        return tuple(i for i in range(self.X.shape[1]) if i not in self.categorical)

    @property
    def size(self) -> int:
        """Length of the vector of hyperparameters: logarithms of length scales, noise and output scale."""
        return self.X.shape[1] + 2

    def start(self) -> Array:
        """Half the cube's width, little noise, the labels' own variance."""
        return np.array([math.log(0.5)] * self.X.shape[1] + [-4.0, 0.0])

    def kernel(self, theta: Tensor) -> tuple[ArdKernel, Tensor]:
        """The kernel and the noise variance that `theta` stands for; differentiable."""
        d = len(self.numeric)
        lengths, categories = theta[:d].exp(), theta[d:-2].exp()
        family = "matern" if self.structure.family == "matern" else "rbf"
        kernel = ArdKernel(family, self.numeric, lengths, self.categorical, categories, theta[-1].exp())
        return kernel, theta[-2].exp()

    def value(self, theta: Tensor) -> Tensor:
        """The negative bound less the log priors, per label; Titsias (2009), equation 9."""
        kernel, noise = self.kernel(theta)
        n = len(self.y)
        factor = self._factor(kernel)
        A = torch.linalg.solve_triangular(factor, kernel(self.Z, self.X), upper=False) / noise.sqrt()
        B = A @ A.T + torch.eye(len(A), dtype=A.dtype, device=A.device)
        root = torch.linalg.cholesky(B)
        c = torch.linalg.solve_triangular(root, (A @ self.y).unsqueeze(-1), upper=False) / noise.sqrt()
        fit = 0.5 * (self.y.square().sum() / noise - c.square().sum())
        slack = 0.5 * (n * kernel.output_scale / noise - A.square().sum())
        total = fit + slack + root.diagonal().log().sum() + 0.5 * n * noise.log()
        d = len(self.numeric)
        location, scale = NOISE_PRIORS[self.structure.noise]
        lengths = (theta[:d] - LENGTH_LOCATION - 0.5 * math.log(max(d, 1))) / LENGTH_SCALE
        prior = 0.5 * (lengths.square().sum() + ((theta[-2] - location) / scale) ** 2 + theta[-1] ** 2)
        return cast(Tensor, (total + prior) / n)

    def maximum(self, start: Array, seconds: float) -> Array:
        """Hyperparameters by L-BFGS-B, within about `seconds`; raises FitFailed."""
        reasons: list[str] = []
        deadline = _Deadline(seconds)

        def negative(theta: Array) -> tuple[float, Array]:
            deadline.check()
            vector = torch.from_numpy(theta).to(self.X.device).requires_grad_(True)
            try:
                value = self.value(vector)
                (gradient,) = torch.autograd.grad(value, vector)
            except RuntimeError as error:  # no Cholesky factor
                reasons.append(str(error).splitlines()[0])
                return 1e10, np.zeros_like(theta)
            deadline.note(float(value.detach()), theta)
            return float(value.detach()), gradient.cpu().numpy()

        box = [LENGTHS] * self.X.shape[1] + [NOISES, SCALES]
        begin = np.clip(start, [low for low, _ in box], [high for _, high in box])
        with contextlib.suppress(TimeoutError):
            minimize(negative, begin, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 60, "ftol": 1e-6})
        if deadline.best is None:
            raise FitFailed("; ".join(dict.fromkeys(reasons)) or "no time for a single evaluation")
        return deadline.best

    def posterior(self, kernel: ArdKernel, noise: Tensor) -> Posterior:
        """What is believed, on the CPU, as the posterior of noisy values at the inducing points; raises FitFailed.

        With ``G = K_zx K_xz / noise`` the predictive weights are ``(K + G)^-1 K_zx y / noise`` and the variance is
        reduced by ``K^-1 - (K + G)^-1 = (K + K G^-1 K)^-1``: labels at Z with the covariance ``K G^-1 K`` of noise.
        """
        with torch.no_grad():
            try:
                factor = self._factor(kernel)
                A = torch.linalg.solve_triangular(factor, kernel(self.Z, self.X), upper=False) / noise.sqrt()
                identity = torch.eye(len(A), dtype=A.dtype, device=A.device)
                gram = A @ A.T
                solved = torch.cholesky_solve((A @ self.y / noise.sqrt()).unsqueeze(-1), _root(gram + identity))
                weights = torch.linalg.solve_triangular(factor.T, solved, upper=True)
                # K + K G^-1 K = L (1 + gram^-1) L^T
                matrix = factor @ (identity + torch.cholesky_inverse(_root(gram + 1e-10 * identity))) @ factor.T
                root = _root(0.5 * (matrix + matrix.T))
            except RuntimeError as error:
                raise FitFailed(f"{type(error).__name__}: {error}") from error
        held = ArdKernel(
            kernel.family,
            kernel.numeric,
            kernel.length_scales.detach().cpu(),
            kernel.categorical,
            kernel.category_scales.detach().cpu(),
            float(kernel.output_scale),
        )
        Z, root, weights = self.Z.cpu(), root.cpu(), weights.cpu()
        mean = TaskMean(1, priors=False).requires_grad_(False).eval()
        none = torch.zeros(len(Z), dtype=Z.dtype)
        return Posterior(held, mean, Z, root @ (root.T @ weights), none, root, weights)

    def _factor(self, kernel: ArdKernel) -> Tensor:
        covariance = kernel(self.Z)
        eye = torch.eye(len(self.Z), dtype=covariance.dtype, device=covariance.device)
        return _root(covariance + JITTER * kernel.output_scale * eye)


class _Deadline:
    """Stops an optimisation that takes too long, and keeps the best that it has seen."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._value = math.inf
        self.best: Array | None = None

    def check(self) -> None:
        """Raise TimeoutError when there is something to keep and no time left."""
        if self.best is not None and time.monotonic() > self._end:
            raise TimeoutError

    def note(self, value: float, theta: Array) -> None:
        """Keep what is better."""
        if value < self._value:
            self._value, self.best = value, theta.copy()


def _root(matrix: Tensor) -> Tensor:
    return cast(Tensor, torch.linalg.cholesky(matrix))
