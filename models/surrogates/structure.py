"""The parts of a Gaussian process: its kernel, mean and noise, with their priors."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, cast

import torch
from botorch import settings
from botorch.exceptions import InputDataWarning
from botorch.models import SingleTaskGP
from botorch.models.kernels import CategoricalKernel
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.kernels import Kernel, ScaleKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood, GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior
from gpytorch.utils.warnings import NumericalWarning
from torch import Tensor

from theoros.models.kernels import AutoregressiveKernel, TanimotoKernel

#: LogNormal(location, scale) priors of the noise variance relative to the outputs' variance. A deterministic oracle
#: keeps a nugget, small a priori, that takes up what the kernel can't explain (two molecules with one fingerprint).
#: Success or failure is a step, which no smooth function follows closely: told to, a process shrinks its length scales
#: until it knows nothing between its labels. With noise it keeps them, and is sure where neighbours agree.
#: Beside errors of labels that are ``"known"`` it is what they leave out.
NOISE_PRIORS = {
    "noisy": (-4.0, 1.0),
    "fingerprint": (-6.0, 1.5),
    "smooth": (-10.0, 2.5),
    "binary": (-2.0, 0.5),
    "known": (-8.0, 2.0),
}

#: LogNormal(location, scale) priors of the output scales of a fingerprint's blocks: the first, and the later ones.
BLOCK_SCALES = ((0.0, 0.7), (-1.5, 1.0))


@dataclass(frozen=True)
class Structure:
    """Which Gaussian process: everything but its data and the values of its hyperparameters.

    `family` is ``"rbf"``, ``"matern"`` or ``"tanimoto"``; `dimension` counts feature columns and `categorical` are
    those that hold categories; `blocks` (of a Tanimoto process, from column to column) are the parts of a fingerprint,
    each with a kernel and an output scale of its own, which add up. With `tasks` > 1 one more column, the last, holds
    the index of the fidelity.
    """

    family: str
    dimension: int
    categorical: tuple[int, ...] = ()
    tasks: int = 1
    noise: str = "smooth"
    blocks: tuple[tuple[int, int], ...] = ()

    @property
    def columns(self) -> int:
        """Input columns of the process, the fidelity's included."""
        return self.dimension + (self.tasks > 1)

    def kernel(self, *, priors: bool) -> Kernel:
        """The kernel with its initial values."""
        levels = [self._features(priors) for _ in range(self.tasks)]
        kernel = levels[0] if self.tasks == 1 else AutoregressiveKernel(levels, priors=priors)
        return kernel.double()

    def mean(self, *, priors: bool) -> TaskMean:
        """A constant for each fidelity, with a prior that holds it near the labels' own mean."""
        return TaskMean(self.tasks, priors=priors)

    def model(
        self,
        X: Tensor,
        y: Tensor,
        floor: float,
        variance: Tensor | None = None,
    ) -> SingleTaskGP:
        """A BoTorch model of standardised labels `y` (n) at `X`, to be fitted; its noise is at least `floor`.

        Labels may have a `variance` (n) of their own beside it.
        """
        location, scale = NOISE_PRIORS[self.noise]
        prior = LogNormalPrior(location, scale)
        # In its logarithm: a variance near 1e-6 moves nothing else by steps an optimiser can see.
        constraint = GreaterThan(
            floor, transform=torch.exp, inv_transform=torch.log, initial_value=2 * floor + float(prior.mode)
        )
        with warnings.catch_warnings(), settings.validate_input_scaling(False):
            warnings.simplefilter("ignore", InputDataWarning)
            warnings.simplefilter("ignore", NumericalWarning)  # exact labels among others have a variance of zero
            likelihood = (
                GaussianLikelihood(noise_prior=prior, noise_constraint=constraint)
                if variance is None
                else FixedNoiseGaussianLikelihood(
                    variance, learn_additional_noise=True, noise_prior=prior, noise_constraint=constraint
                )
            )
            return SingleTaskGP(
                X,
                y.unsqueeze(-1),
                likelihood=likelihood.to(X),
                covar_module=self.kernel(priors=True).to(X),
                mean_module=self.mean(priors=True).to(X),
                outcome_transform=None,
            )

    def unrelated(self) -> dict[str, Tensor]:
        """Hyperparameters of fidelities that have nothing to do with each other: a start beside the usual one.

        From the usual start, where levels are alike, an optimiser may call an unrelated cheap level noise, and then
        the truth is noisy too, as the relative noise is one number for all levels. (Noises of their own, tried on
        Branin with six seeds, cost two thirds of what the cheap level saves: a few true labels can't tell noise.)
        """
        start = {
            "covar_module.raw_slope": torch.full((self.tasks - 1,), 0.05, dtype=torch.float64),
            "covar_module.raw_share": torch.full((self.tasks - 1,), 1.0, dtype=torch.float64),
        }
        numeric = self.dimension - len(self.categorical)
        for level in range(self.tasks - 1):
            for path in ("raw_lengthscale", "kernels.0.raw_lengthscale"):
                start[f"covar_module.levels.{level}.{path}"] = torch.full((1, numeric), 0.15, dtype=torch.float64)
        return start

    def _features(self, priors: bool) -> Kernel:
        if self.family == "tanimoto":
            return self._blocks()
        numeric = [i for i in range(self.dimension) if i not in self.categorical]
        kernels: list[Kernel] = []
        if numeric:
            kernels.append(_numeric(self.family, numeric, priors))
        if self.categorical:
            kernels.append(
                CategoricalKernel(
                    ard_num_dims=len(self.categorical),
                    active_dims=self.categorical,
                    lengthscale_prior=LogNormalPrior(0.5, 1.0) if priors else None,
                    lengthscale_constraint=_positive(1e-2, 1.0),
                )
            )
        product = kernels[0]
        for kernel in kernels[1:]:
            product = product * kernel
        return product

    def _blocks(self) -> Kernel:
        """A sum over the blocks with its scales at their priors' medians: it is fitted elsewhere, in closed form."""
        kernels: list[Kernel] = []
        for index, (first, end) in enumerate(self.blocks):
            location, _ = BLOCK_SCALES[min(index, 1)]
            kernels.append(
                ScaleKernel(
                    TanimotoKernel(active_dims=tuple(range(first, end))),
                    outputscale_constraint=_positive(1e-4, math.exp(location)),
                )
            )
        total = kernels[0]
        for kernel in kernels[1:]:
            total = total + kernel
        return total


class TaskMean(Mean):  # type: ignore[misc]  # GPyTorch is untyped
    """A constant for each fidelity; the last input column holds the fidelity's index when there are several."""

    def __init__(self, tasks: int, *, priors: bool) -> None:
        super().__init__()
        self.tasks = tasks
        self.register_parameter("constants", torch.nn.Parameter(torch.zeros(tasks, dtype=torch.float64)))
        if priors:
            self.register_prior("constants_prior", NormalPrior(0.0, 1.0), "constants")

    def forward(self, x: Tensor) -> Tensor:
        """Means ``... x n`` of inputs ``... x n x d``."""
        if self.tasks == 1:
            return cast(Tensor, self.constants.expand(x.shape[:-1]))
        return cast(Tensor, self.constants[x[..., -1].detach().long()])


def _positive(low: float, initial: float) -> Interval:
    return GreaterThan(low, transform=None, initial_value=initial)


def _numeric(family: str, columns: list[int], priors: bool) -> Kernel:
    kernel = get_covar_module_with_dim_scaled_prior(
        ard_num_dims=len(columns), active_dims=columns, use_rbf_kernel=family == "rbf"
    )
    if not priors:
        del kernel._priors["lengthscale_prior"]
        del kernel._modules["lengthscale_prior"]
    return kernel


def readable(
    structure: Structure,
    names: tuple[str, ...],
    fidelities: tuple[str, ...],
    kernel: Kernel,
    mean: TaskMean,
    noise: float,
) -> dict[str, Any]:
    """The hyperparameters as JSON data; `names` are the feature columns' names, where they have some."""
    if not isinstance(kernel, AutoregressiveKernel):
        own = {"noise_variance": noise, "mean": float(mean.constants[0])}
        return own | _readable_features(names, kernel)
    found: dict[str, Any] = {
        "noise_variance": noise,
        "mean": dict(zip(fidelities, mean.constants.detach().tolist(), strict=True)),
    }
    found["fidelity_correlation"] = kernel.correlation().detach().tolist()
    found["levels"] = {
        fidelity: _readable_features(names, level) for fidelity, level in zip(fidelities, kernel.levels, strict=True)
    }
    return found


def _readable_features(names: tuple[str, ...], kernel: Kernel) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in kernel.modules():
        if isinstance(module, ScaleKernel):
            found.setdefault("output_scales", []).append(float(module.outputscale))
        elif getattr(module, "has_lengthscale", False):
            scales = module.lengthscale.detach().flatten().tolist()
            labels = [names[i] if i < len(names) else str(i) for i in module.active_dims.tolist()]
            found.setdefault("length_scales", {}).update(zip(labels, scales, strict=True))
    return found
