"""The exact posterior of one Gaussian process with its hyperparameters fixed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from gpytorch.kernels import Kernel
from gpytorch.means import Mean
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from theoros.models.sampling import normal_quasirandom
from theoros.models.surrogates.ard_moments import ArdMoments, Moments, as_node

#: Variance given to values that are known exactly (fantasies, samples of the noise-free function): conditioning on
#: them stays well posed in float64 when they lie close together.
EXACT = 1e-8


@dataclass(frozen=True)
class Posterior:
    """p(f | X, Y) with `s` alternative data vectors that share one Cholesky factor.

    `X` is ``n x d``, `Y` is ``n x s``, `noise` is ``n`` (variances), `factor` is the lower Cholesky factor of
    ``K(X, X) + diag(noise)`` and `weights` is its solution for ``Y - m(X)``. Several columns of `Y` are fantasies
    (Snoek et al., NeurIPS 2012): their means differ, their variance does not, so they cost one factorisation.
    All results are differentiable in the inputs. Rasmussen & Williams, Gaussian Processes for Machine Learning
    (2006), algorithm 2.1.
    """

    kernel: Kernel
    mean: Mean
    X: Tensor
    Y: Tensor
    noise: Tensor
    factor: Tensor
    weights: Tensor

    @classmethod
    def of(cls, kernel: Kernel, mean: Mean, X: Tensor, Y: Tensor, noise: Tensor) -> Posterior:
        """Factorise; raises linear_operator's NotPSDError or NanError when even added jitter does not help."""
        with torch.no_grad():
            matrix = kernel(X).to_dense() + torch.diag(noise)
            factor = psd_safe_cholesky(matrix, max_tries=6)
            weights = torch.cholesky_solve(Y - mean(X).unsqueeze(-1), factor)
        return cls(kernel, mean, X, Y, noise, factor, weights)

    @cached_property
    def written_out(self) -> Moments | None:
        """The same moments over arrays, with their gradient, where the kernel allows it."""
        own = getattr(self.kernel, "written_out", None)
        if own is not None:
            return cast("Moments | None", own(self.mean, self.X, self.factor, self.weights))
        return ArdMoments.of(self.kernel, self.mean, self.X, self.factor, self.weights)

    def moments(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Means ``b x s`` and variances ``b`` of f at `X`, ``b x d``."""
        if X.requires_grad and torch.is_grad_enabled() and (written_out := self.written_out) is not None:
            return as_node(X, written_out)
        prior_mean = self.mean(X).unsqueeze(-1)
        prior_variance = self.kernel(X, diag=True)
        if len(self.X) == 0:
            return prior_mean.expand(-1, self.Y.shape[-1]), prior_variance.clamp_min(1e-14)
        cross = self.kernel(self.X, X).to_dense()
        half = torch.linalg.solve_triangular(self.factor, cross, upper=False)
        variance = prior_variance - half.square().sum(0)
        return prior_mean + cross.T @ self.weights, variance.clamp_min(1e-14)

    def covariance(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Posterior covariance of f between ``a x d`` and ``b x d``: ``a x b``."""
        prior: Tensor = self.kernel(X1, X2).to_dense()
        if len(self.X) == 0:
            return prior
        half1 = torch.linalg.solve_triangular(self.factor, self.kernel(self.X, X1).to_dense(), upper=False)
        half2 = torch.linalg.solve_triangular(self.factor, self.kernel(self.X, X2).to_dense(), upper=False)
        return cast(Tensor, prior - half1.T @ half2)

    def joint(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `moments` and `covariance` say of f at `X` (``b x d``), from one solution."""
        mean, variance = self.mean(X).unsqueeze(-1), self.kernel(X, diag=True)
        covariance: Tensor = self.kernel(X, X).to_dense()
        if len(self.X) == 0:
            return mean.expand(-1, self.Y.shape[-1]), variance.clamp_min(1e-14), covariance
        cross = self.kernel(self.X, X).to_dense()
        half = torch.linalg.solve_triangular(self.factor, cross, upper=False)
        variance = (variance - half.square().sum(0)).clamp_min(1e-14)
        return mean + cross.T @ self.weights, variance, covariance - half.T @ half

    def sample(self, X: Tensor, n: int, *, seed: int) -> Tensor:
        """Draw `n` joint quasi-random samples of f at `X` (``b x d``): ``b x n``.

        All are of the one data vector, or the i-th is of the i-th when there are `n`.
        """
        with torch.no_grad():
            mean, _, covariance = self.joint(X)
            covariance = 0.5 * (covariance + covariance.T) + EXACT * torch.eye(len(X), dtype=X.dtype, device=X.device)
            root = psd_safe_cholesky(covariance, max_tries=6)
            base = torch.as_tensor(normal_quasirandom(n, len(X), seed), dtype=X.dtype, device=X.device)
            return cast(Tensor, mean + root @ base.T)

    def conditioned(self, X: Tensor, values: Tensor, noise: float = EXACT) -> Posterior:
        """Also know `values` (``p x s``) at `X` (``p x d``), by a block update of the Cholesky factor.

        A posterior with one data vector is spread over the `s` columns of `values`.
        """
        if len(X) == 0:
            return self
        with torch.no_grad():
            previous = self.Y.expand(-1, values.shape[-1]) if self.Y.shape[-1] == 1 else self.Y
            Y = torch.cat([previous, values])
            new_noise = torch.full((len(X),), noise, dtype=X.dtype, device=X.device)
            lower = torch.linalg.solve_triangular(self.factor, self.kernel(self.X, X).to_dense(), upper=False).T
            schur = self.kernel(X).to_dense() + torch.diag(new_noise) - lower @ lower.T
            corner = psd_safe_cholesky(0.5 * (schur + schur.T), max_tries=6)
            factor = torch.cat(
                [torch.cat([self.factor, torch.zeros_like(lower.T)], dim=1), torch.cat([lower, corner], dim=1)]
            )
            joint = torch.cat([self.X, X])
            weights = torch.cholesky_solve(Y - self.mean(joint).unsqueeze(-1), factor)
        return Posterior(self.kernel, self.mean, joint, Y, torch.cat([self.noise, new_noise]), factor, weights)
