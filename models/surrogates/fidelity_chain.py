"""The Gaussian process of one output at several fidelities, or over molecules: a chain, fitted in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from theoros.models.encoders import Encoder, feature_names
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.chain_blocks import BlockChainPosterior, BlockKernel, grams
from theoros.models.surrogates.chain_marginal import ChainHyperparameters, ChainPosterior
from theoros.models.surrogates.closed_form import (
    LEAST_TO_WARP,
    MOST_LABELS,
    MOST_NUGGET,
    ClosedFit,
    Variant,
    fit_variants,
)
from theoros.models.surrogates.fitting import NOISE_FLOORS, FitFailed
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.marginal import MEAN_VARIANCE
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import NOISE_PRIORS, Structure, TaskMean

#: Beyond `MOST_LABELS` hyperparameters of molecules are learned from so many labels, at a cost that grows no further.
TEACHING = 1_000


class ChainKernel(torch.nn.Module):
    """``sum over q of L[t, q] L[t', q] k_q(x, x')``, and a constant for points of one level.

    The last input column holds the index of the fidelity; `loadings` L are ``levels x levels`` and lower triangular
    (`theoros.models.kernels.AutoregressiveKernel`, whose values these are, without GPyTorch's bookkeeping).
    """

    def __init__(self, levels: Sequence[ArdKernel | BlockKernel], loadings: Tensor, constant: float) -> None:
        super().__init__()
        self.levels = torch.nn.ModuleList(levels)
        self.loadings, self.constant = loadings, constant

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x (d + 1)`` and ``m x (d + 1)``; ``n`` with `diag`, each row with itself."""
        own = x1[:, -1].detach().long()
        weight = self.loadings[own]
        if diag:
            own_parts = [kernel(x1[:, :-1], diag=True) for kernel in self.levels]
            return (weight.square() * torch.stack(own_parts, dim=1)).sum(1) + self.constant
        points = x1 if x2 is None else x2
        other = points[:, -1].detach().long()
        total = self.constant * (own.unsqueeze(1) == other.unsqueeze(0)).to(x1.dtype)
        across = self.loadings[other]
        for q, kernel in enumerate(self.levels):
            pair = torch.outer(weight[:, q], across[:, q])
            if bool(pair.any()):  # a level's own part says nothing of the levels below it
                total = total + pair * kernel(x1[:, :-1], None if x2 is None else x2[:, :-1])
        return total

    def correlation(self) -> Tensor:
        """A-priori correlations between the fidelities at one point, their means aside: ``levels x levels``."""
        anywhere = self.loadings.new_zeros(1, 1)
        parts = torch.cat([kernel(anywhere, diag=True) for kernel in self.levels])
        covariance = (self.loadings * parts) @ self.loadings.T
        root = covariance.diagonal().sqrt()
        return covariance / torch.outer(root, root)


def fit_chain(
    structure: Structure,
    encoder: Encoder,
    labels: Labels,
    families: Sequence[str],
    ends: Sequence[int],
    start: OutputModel | None,
) -> tuple[OutputModel, str]:
    """The model of one output and what a person should know of its fit; raises FitFailed.

    All labels are believed; hyperparameters are learned from those that `teaching` names. Kernel family and outcome
    transform are chosen as `closed_form.fit_closed_form` chooses them, of which the other arguments are the same; an
    outcome may be magnified at each of the `ends` (1: at its small values, -1: at its large ones).
    """
    posterior = _posterior(structure, labels, families[0])
    warps = [Warp()]
    if int((labels.fidelity == structure.tasks - 1).sum()) >= LEAST_TO_WARP:
        warps += [Warp(end) for end in ends]
    variants = [Variant(family, warp) for warp in warps for family in families]
    fit = fit_variants(posterior, variants, start.state if start is not None else {})
    return _model(structure, encoder, labels, fit, posterior), fit.message


def chain_with_labels(model: OutputModel, labels: Labels) -> OutputModel:
    """The process of `model`, units included, conditioned on other labels; raises FitFailed."""
    y = torch.from_numpy(model.standardised(labels.y, labels.fidelity.tolist())).unsqueeze(-1)
    noise = max(float(model.hyperparameters["noise_variance"]), 1e-4)
    return replace(model, posterior=_conditioned(model.posterior.kernel, model.structure, labels, y, noise))


def teaching(labels: Labels) -> list[int]:
    """The rows that hyperparameters are learned from: all, or so many as tell them (`TEACHING`).

    They are spread evenly over the labels of every fidelity in the order of their values, so that good and bad are
    among them in their own proportion, the best and the worst included.
    """
    n = len(labels.y)
    if n <= MOST_LABELS:
        return list(range(n))
    in_order = np.lexsort((labels.y, labels.fidelity))
    spread = np.linspace(0, n - 1, TEACHING).round().astype(int)
    ends = np.flatnonzero(np.diff(labels.fidelity[in_order]))  # where one fidelity's labels end
    return sorted({int(row) for row in in_order[np.concatenate([spread, ends, ends + 1])]})


def _posterior(structure: Structure, labels: Labels, family: str) -> ChainPosterior:
    rows = teaching(labels)
    features, z = labels.features.numpy(), labels.standardised.numpy()[rows]
    none = np.zeros((len(z), 0))
    plain = ChainPosterior(
        family,
        none if structure.blocks else features[rows][:, _numeric(structure)],
        none if structure.blocks else features[rows][:, list(structure.categorical)],
        z,
        Warp(),
        NOISE_PRIORS[structure.noise],
        NOISE_FLOORS[0],
        MOST_NUGGET if structure.noise == "smooth" else 10.0,
        fixed=None if labels.variance is None else labels.variance[rows],
        level=labels.fidelity[rows],
        levels=structure.tasks,
    )
    if not structure.blocks:
        return plain
    same = {part.name: getattr(plain, part.name) for part in fields(plain)}
    return BlockChainPosterior(**same, grams=grams(labels.features, structure.blocks, rows))


def _model(
    structure: Structure, encoder: Encoder, labels: Labels, fit: ClosedFit, posterior: ChainPosterior
) -> OutputModel:
    found, variant = cast(ChainHyperparameters, fit.hyperparameters), fit.variant
    kernel = _kernel(structure, variant.family, found)
    best = replace(posterior, warp=variant.warp).best
    z = labels.standardised.numpy() - best[labels.fidelity]
    warp = variant.warp.fitted(z, found.warp)
    y = torch.from_numpy(warp.forward(z)).unsqueeze(-1)
    kept = replace(structure, family=variant.family)
    conditioned = _conditioned(kernel, kept, labels, y, found.noise)
    offset = np.asarray(labels.offset + labels.scale * best, dtype=np.float64)
    told = _told(structure, encoder, labels, kernel, found)
    usual, scatter = labels.usual_noise(found.noise), labels.scatter(found.noise)
    return OutputModel(
        kept, conditioned, offset, labels.scale, usual, fit.state, told, warp, scatter=scatter, fences=labels.fences
    )


def _kernel(structure: Structure, family: str, found: ChainHyperparameters) -> ChainKernel | BlockKernel:
    if structure.tasks == 1 and structure.blocks:
        return BlockKernel(structure.blocks, torch.from_numpy(found.length_scales[0]), MEAN_VARIANCE)
    levels = [_level(structure, family, found, q) for q in range(structure.tasks)]
    return ChainKernel(levels, torch.from_numpy(found.loadings), MEAN_VARIANCE)


def _level(structure: Structure, family: str, found: ChainHyperparameters, q: int) -> ArdKernel | BlockKernel:
    scales, categories = torch.from_numpy(found.length_scales[q]), torch.from_numpy(found.category_scales[q])
    if structure.blocks:
        return BlockKernel(structure.blocks, scales)
    return ArdKernel(family, tuple(_numeric(structure)), scales, structure.categorical, categories, 1.0)


def _told(
    structure: Structure, encoder: Encoder, labels: Labels, kernel: torch.nn.Module, found: ChainHyperparameters
) -> dict[str, Any]:
    if not isinstance(kernel, ChainKernel):
        return {"noise_variance": found.noise, "mean": 0.0, "output_scales": found.length_scales[0].tolist()}
    if structure.blocks:
        levels: list[dict[str, Any]] = [{"output_scales": row.tolist()} for row in found.length_scales]
    else:
        names = feature_names(encoder)
        names += [str(i) for i in range(len(names), structure.dimension)]
        own = [names[i] for i in [*_numeric(structure), *structure.categorical]]
        scales = np.concatenate([found.length_scales, found.category_scales], axis=1)
        levels = [{"length_scales": dict(zip(own, row.tolist(), strict=True))} for row in scales]
    return {
        "noise_variance": found.noise,
        "mean": dict.fromkeys(labels.levels, 0.0),
        "fidelity_correlation": kernel.correlation().tolist(),
        "levels": dict(zip(labels.levels, levels, strict=True)),
    }


def _numeric(structure: Structure) -> list[int]:
    return [i for i in range(structure.dimension) if i not in structure.categorical]


def _conditioned(kernel: torch.nn.Module, structure: Structure, labels: Labels, y: Tensor, noise: float) -> Posterior:
    mean = TaskMean(structure.tasks, priors=False).requires_grad_(False).eval()
    try:
        return Posterior.of(kernel, mean, labels.inputs(structure), y, labels.noise(noise))
    except (RuntimeError, ValueError) as error:  # NotPSDError and NanError are RuntimeErrors
        raise FitFailed(f"{type(error).__name__}: {error}") from error
