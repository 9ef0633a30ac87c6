"""The parts of a Gaussian process: its kernel, mean and noise, with their priors."""

from __future__ import annotations

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
from gpytorch.likelihoods import GaussianLikelihood, Likelihood
from gpytorch.likelihoods.hadamard_gaussian_likelihood import HadamardGaussianLikelihood
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior
from torch import Tensor

from theoros.models.contract import Array
from theoros.models.kernels import AutoregressiveKernel, GramKernel, TanimotoKernel

#: LogNormal(location, scale) priors of the noise variance relative to the outputs' variance. A deterministic oracle
#: keeps a nugget, small a priori, that takes up what the kernel can't explain (two molecules with one fingerprint).
NOISE_PRIORS = {"noisy": (-4.0, 1.0), "fingerprint": (-6.0, 1.5), "smooth": (-9.0, 2.0)}


@dataclass(frozen=True)
class Structure:
    """Which Gaussian process: everything but its data and the values of its hyperparameters.

    `family` is ``"rbf"``, ``"matern"`` or ``"tanimoto"``; `dimension` counts feature columns and `categorical` are
    those that hold categories. With `tasks` > 1 one more column, the last, holds the index of the fidelity.
    """

    family: str
    dimension: int
    categorical: tuple[int, ...] = ()
    tasks: int = 1
    noise: str = "smooth"

    @property
    def columns(self) -> int:
        """Input columns of the process, the fidelity's included."""
        return self.dimension + (self.tasks > 1)

    def kernel(self, *, priors: bool, gram: Tensor | None = None) -> Kernel:
        """The kernel with its initial values; with `gram` the features are replaced by a row number of it."""
        width = self.dimension if gram is None else 1
        levels = [self._features(priors, tuple(range(width)), gram) for _ in range(self.tasks)]
        kernel = levels[0] if self.tasks == 1 else AutoregressiveKernel(levels, priors=priors)
        return kernel.double()

    def mean(self, *, priors: bool) -> TaskMean:
        """A constant for each fidelity, with a prior that holds it near the labels' own mean."""
        return TaskMean(self.tasks, priors=priors)

    def model(self, X: Tensor, y: Tensor, floor: float, gram: Tensor | None = None) -> SingleTaskGP:
        """A BoTorch model of standardised labels `y` (n) at `X`, to be fitted; its noise is at least `floor`."""
        location, scale = NOISE_PRIORS[self.noise]
        prior = LogNormalPrior(location, scale)
        start = max(2 * floor, float(prior.mode))
        constraint = GreaterThan(floor, transform=None, initial_value=start)
        likelihood: Likelihood = GaussianLikelihood(noise_prior=prior, noise_constraint=constraint)
        if self.tasks > 1:  # each level has a noise of its own: what can't be explained of one is no noise of another
            likelihood = HadamardGaussianLikelihood(
                self.tasks, noise_prior=prior, noise_constraint=constraint, task_feature_index=-1
            )
        with warnings.catch_warnings(), settings.validate_input_scaling(False):
            warnings.simplefilter("ignore", InputDataWarning)
            return SingleTaskGP(
                X,
                y.unsqueeze(-1),
                likelihood=likelihood.to(X),
                covar_module=self.kernel(priors=True, gram=gram).to(X),
                mean_module=self.mean(priors=True).to(X),
                outcome_transform=None,
            )

    def _features(self, priors: bool, columns: tuple[int, ...], gram: Tensor | None) -> Kernel:
        if self.family == "tanimoto":
            base: Kernel = (
                TanimotoKernel(active_dims=columns) if gram is None else GramKernel(gram, active_dims=columns)
            )
            prior = LogNormalPrior(0.0, 0.7) if priors else None
            return ScaleKernel(base, outputscale_prior=prior, outputscale_constraint=_positive(1e-3, 1.0))
        numeric = [i for i in columns if i not in self.categorical]
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
    noise: Array,
) -> dict[str, Any]:
    """The hyperparameters as JSON data; `names` are the feature columns' names, where they have some."""
    if not isinstance(kernel, AutoregressiveKernel):
        found = {"noise_variance": float(noise[0]), "mean": float(mean.constants[0])}
        return found | _readable_features(names, kernel)
    found = {
        "noise_variance": dict(zip(fidelities, noise.tolist(), strict=True)),
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
            found["output_scale"] = float(module.outputscale)
        elif getattr(module, "has_lengthscale", False):
            scales = module.lengthscale.detach().flatten().tolist()
            labels = [names[i] if i < len(names) else str(i) for i in module.active_dims.tolist()]
            found.setdefault("length_scales", {}).update(zip(labels, scales, strict=True))
    return found
