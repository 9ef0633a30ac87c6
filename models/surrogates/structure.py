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
from botorch.models.kernels.positive_index import PositiveIndexKernel
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from botorch.models.utils.priors import BetaPrior
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.kernels import Kernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.priors import LogNormalPrior, NormalPrior
from torch import Tensor

from theoros.models.kernels import GramKernel, TanimotoKernel

#: LogNormal(location, scale) priors of the noise variance relative to the outputs' variance. A deterministic oracle
#: keeps a nugget, small a priori, that takes up what the kernel can't explain (two molecules with one fingerprint).
NOISE_PRIORS = {"noisy": (-4.0, 1.0), "fingerprint": (-6.0, 1.5), "smooth": (-9.0, 2.0)}
#: Where the correlation between fidelities starts, before labels speak.
INITIAL_CORRELATION = 0.8


@dataclass(frozen=True)
class Structure:
    """Which Gaussian process: everything but its data and the values of its hyperparameters.

    `family` is ``"rbf"``, ``"matern"`` or ``"tanimoto"``; `dimension` counts feature columns and `categorical` are
    those that hold categories. With `tasks` > 1 one more column, the last, holds the index of the fidelity, and
    `target` is the one whose variance is the unit.
    """

    family: str
    dimension: int
    categorical: tuple[int, ...] = ()
    tasks: int = 1
    target: int = 0
    noise: str = "smooth"

    @property
    def columns(self) -> int:
        """Input columns of the process, the fidelity's included."""
        return self.dimension + (self.tasks > 1)

    def kernel(self, *, priors: bool, gram: Tensor | None = None) -> Kernel:
        """The kernel with its initial values; with `gram` the features are replaced by a row number of it."""
        width = self.dimension if gram is None else 1
        kernel = self._features(priors, tuple(range(width)), gram)
        if self.tasks > 1:
            kernel = kernel * self._fidelities(priors, width)
        return kernel.double()

    def mean(self, *, priors: bool) -> TaskMean:
        """A constant for each fidelity, with a prior that holds it near the labels' own mean."""
        return TaskMean(self.tasks, priors=priors)

    def model(self, X: Tensor, y: Tensor, floor: float, gram: Tensor | None = None) -> SingleTaskGP:
        """A BoTorch model of standardised labels `y` (n) at `X` to be fitted; its noise variance is at least `floor`."""
        location, scale = NOISE_PRIORS[self.noise]
        prior = LogNormalPrior(location, scale)
        start = max(2 * floor, float(prior.mode))
        likelihood = GaussianLikelihood(
            noise_prior=prior, noise_constraint=GreaterThan(floor, transform=None, initial_value=start)
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

    def _fidelities(self, priors: bool, column: int) -> Kernel:
        # Intrinsic coregionalisation (Bonilla et al., NeurIPS 2007) with non-negative correlations.
        with torch.random.fork_rng(devices=[]):  # the kernel draws its initial values; they are set just below
            kernel = PositiveIndexKernel(
                num_tasks=self.tasks,
                rank=self.tasks,
                task_prior=BetaPrior(2.5, 1.5) if priors else None,
                target_task_index=self.target,
                active_dims=[column],
            ).double()
        n = self.tasks * (self.tasks - 1) // 2
        with torch.no_grad():
            kernel._set_lower_triangle_corr(torch.full((n,), INITIAL_CORRELATION, dtype=torch.float64))
            kernel.initialize(var=torch.full((self.tasks,), 0.05, dtype=torch.float64))
        return kernel


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
    structure: Structure, names: tuple[str, ...], kernel: Kernel, mean: TaskMean, noise: float
) -> dict[str, Any]:
    """The hyperparameters as JSON data; `names` are the feature columns' names, where they have some."""
    found: dict[str, Any] = {"noise_variance": noise}
    for module in kernel.modules():
        if isinstance(module, ScaleKernel):
            found["output_scale"] = float(module.outputscale)
        elif isinstance(module, PositiveIndexKernel):
            covariance = module.covar_matrix.detach()
            root = covariance.diagonal().sqrt()
            found["fidelity_correlation"] = (covariance / torch.outer(root, root)).tolist()
        elif getattr(module, "has_lengthscale", False) and module.lengthscale is not None:
            columns = module.active_dims.tolist() if module.active_dims is not None else range(structure.dimension)
            scales = module.lengthscale.detach().flatten().tolist()
            labels = [names[i] if i < len(names) else str(i) for i in columns]
            found.setdefault("length_scales", {}).update(zip(labels, scales, strict=True))
    found["mean"] = mean.constants.detach().tolist()
    return found
