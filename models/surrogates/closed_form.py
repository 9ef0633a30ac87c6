"""The Gaussian process of one output over parameters: its kernel family and outcome transform by marginal posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from theoros.models.data import Array
from theoros.models.encoders import Encoder, feature_names
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.fitting import NOISE_FLOORS, FitFailed, State
from theoros.models.surrogates.input_warp import WarpedKernel, WarpedPosterior
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.marginal import MEAN_VARIANCE, Hyperparameters, MarginalPosterior
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import NOISE_PRIORS, Structure, TaskMean

#: Kernels of numbers.
FAMILIES = ("matern", "rbf")
#: Above this many labels a matrix is worth a GPU, and one fit all the time that there is.
MOST_LABELS = 1_500
#: Fewer labels can't tell a transform from chance.
LEAST_TO_WARP = 8
#: The largest share of the labels' variance that is noise when the oracle has none: ripples that are too fine for the
#: labels look like noise, and a process that calls them so no longer looks for what lies between.
MOST_NUGGET = 1e-3
#: A climb begins where the last one ended, and at every so many labels from the priors' modes as well; up to so many.
#: Beyond, it does so the more rarely the more labels there are, as one label says less and a climb costs more.
AFRESH, OFTEN = 4, 80
#: In between, a variant does not climb that is so much less likely (in nats) than another where its last climb ended:
#: one more label does not make up for it.
BEHIND = 4.0
#: Negative log posteriors above this one stand for matrices without a factor.
NO_FACTOR = 1e8


@dataclass(frozen=True)
class Variant:
    """A kernel family, an outcome transform, and how sparse the length scales are a priori."""

    family: str
    warp: Warp
    tau: float | None = None

    @property
    def key(self) -> str:
        """The name under which a mode is kept for the next fit."""
        return f"{self.family}{self.warp.sign:+d}" + ("" if self.tau is None else f" tau={self.tau:g}")


@dataclass(frozen=True)
class ClosedFit:
    """The best variant, its hyperparameters, and the modes of all variants that were tried, by key."""

    variant: Variant
    hyperparameters: Hyperparameters
    state: State
    message: str = ""


def fit_closed_form(
    structure: Structure,
    encoder: Encoder,
    labels: Labels,
    families: Sequence[str],
    good_side: int,
    start: OutputModel | None,
    taus: Sequence[float | None] = (None,),
    bent: Sequence[int] = (),
) -> tuple[OutputModel, str]:
    """The model of one output and what a person should know of its fit; raises FitFailed.

    `good_side` is 1 where small values are what is looked for, -1 where large ones are, and 0 to leave labels as they
    are; `start` is the model before, whose modes this one's climbs begin from; `taus` are the scales of sparse
    priors, and `bent` the columns that are seen through warps.
    """
    z, features = labels.standardised.numpy(), labels.features.numpy()
    smooth, numeric = structure.noise == "smooth", _numeric(structure)
    posterior = MarginalPosterior(
        families[0],
        features[:, numeric],
        features[:, list(structure.categorical)],
        z,
        Warp(),
        NOISE_PRIORS[structure.noise],
        NOISE_FLOORS[0],
        MOST_NUGGET if smooth else 10.0,
        fixed=labels.variance,
    )
    if bent:
        posterior = WarpedPosterior(**vars(posterior), warped=tuple(numeric.index(column) for column in bent))
    warps = [Warp()]
    if good_side and len(z) >= LEAST_TO_WARP:
        warps.append(Warp(good_side, float(good_side * (good_side * z).min())))
    variants = [Variant(family, warp, tau) for warp in warps for family in families for tau in taus]
    fit = fit_variants(posterior, variants, start.state if start is not None else {})
    return _model(structure, encoder, labels, fit, tuple(bent)), fit.message


def fit_variants(
    posterior: MarginalPosterior, variants: Sequence[Variant], previous: Mapping[str, torch.Tensor]
) -> ClosedFit:
    """The variant with the largest marginal posterior density of the labels.

    Each climbs from where it ended last time, now and then from the priors' modes; `posterior` gives the labels and the
    priors. When no variant has a finite value under a noise floor, the next floor is tried. Raises FitFailed.
    """
    reasons: list[str] = []
    for floor in NOISE_FLOORS:
        found: list[tuple[float, Variant, Array, MarginalPosterior]] = []
        state: State = {}
        tried = {
            variant: replace(posterior, family=variant.family, warp=variant.warp, tau=variant.tau, floor=floor)
            for variant in variants
        }
        for variant, mine in _promising(tried, previous).items():
            try:
                theta, value = _best_mode(mine, previous.get(variant.key))
            except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
                reasons.append(f"{type(error).__name__}: {error}")
                continue
            if not value < NO_FACTOR:
                reasons.append("the matrix is not positive definite")
                continue
            found.append((value, variant, theta, mine))
            state[variant.key] = torch.from_numpy(theta)
        if found:
            _, variant, theta, mine = min(found, key=lambda item: item[0])
            message = f"fitted after {len(reasons)} failed attempts: {reasons[-1]}" if reasons else ""
            return ClosedFit(variant, mine.read(theta), dict(previous) | state, message)
    raise FitFailed("; ".join(dict.fromkeys(reasons)))


def with_labels(model: OutputModel, labels: Labels) -> OutputModel:
    """The process of `model`, units included, conditioned on other labels; raises FitFailed."""
    y = torch.from_numpy(model.standardised(labels.y, labels.fidelity.tolist())).unsqueeze(-1)
    noise = labels.noise(max(float(model.hyperparameters["noise_variance"]), 1e-4))
    return replace(model, posterior=_conditioned(model.posterior.kernel, labels, y, noise))


def afresh(n: int) -> bool:
    """Whether a fit to `n` labels climbs from the priors' modes too: at about one in twenty of them."""
    step = AFRESH
    while n >= OFTEN * step // AFRESH:
        step *= 2
    return n % step == 0


def _promising(
    tried: Mapping[Variant, MarginalPosterior], previous: Mapping[str, torch.Tensor]
) -> Mapping[Variant, MarginalPosterior]:
    """The variants that are worth a climb: all of them now and then, else those that are not far behind."""
    known = {}
    for variant, posterior in tried.items():
        last = previous.get(variant.key)
        if last is None or len(last) != len(posterior.start()) or afresh(len(posterior.y)):
            return tried
        known[variant] = posterior.value(last.numpy())[0]
    best = min(known.values())
    return {variant: posterior for variant, posterior in tried.items() if known[variant] <= best + BEHIND} or tried


def _best_mode(posterior: MarginalPosterior, last: torch.Tensor | None) -> tuple[Array, float]:
    first = posterior.start()
    starts = [] if last is None or len(last) != len(first) else [last.numpy()]
    if not starts or afresh(len(posterior.y)):
        starts.append(first)
    modes = [posterior.mode(start) for start in starts]
    return min(modes, key=lambda mode: mode[1])


def _model(
    structure: Structure, encoder: Encoder, labels: Labels, fit: ClosedFit, bent: tuple[int, ...]
) -> OutputModel:
    found = fit.hyperparameters
    plain = ard_kernel(fit.variant.family, structure, found)
    bends = found.concentrations
    kernel = plain if bends is None else WarpedKernel(plain, bent, *torch.from_numpy(bends))
    z = labels.standardised.numpy()
    warp = fit.variant.warp.fitted(z, found.warp)
    y = torch.from_numpy(warp.forward(z)).unsqueeze(-1)
    posterior = _conditioned(kernel, labels, y, labels.noise(found.noise))
    told = readable_scales(structure, encoder, found)
    if bends is not None:
        told["input_warps"] = dict(zip((_names(structure, encoder)[i] for i in bent), bends.T.tolist(), strict=True))
    if fit.variant.tau is not None:
        told["tau"] = fit.variant.tau
    kept = replace(structure, family=fit.variant.family)
    usual, scatter = labels.usual_noise(found.noise), labels.scatter(found.noise)
    return OutputModel(
        kept,
        posterior,
        labels.offset,
        labels.scale,
        usual,
        fit.state,
        told,
        warp,
        scatter=scatter,
        fences=labels.fences,
    )


def ard_kernel(family: str, structure: Structure, found: Hyperparameters) -> ArdKernel:
    """The kernel with these hyperparameters."""
    return ArdKernel(
        family,
        tuple(_numeric(structure)),
        torch.from_numpy(found.length_scales),
        structure.categorical,
        torch.from_numpy(found.category_scales),
        found.output_scale,
        MEAN_VARIANCE,
    )


def readable_scales(structure: Structure, encoder: Encoder, found: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters as JSON data, length scales by the names of the columns."""
    names = _names(structure, encoder)
    scales = dict(zip((names[i] for i in _numeric(structure)), found.length_scales.tolist(), strict=True))
    scales |= dict(zip((names[i] for i in structure.categorical), found.category_scales.tolist(), strict=True))
    return {
        "noise_variance": found.noise,
        "mean": 0.0,
        "output_scales": [found.output_scale],
        "length_scales": scales,
    }


def _names(structure: Structure, encoder: Encoder) -> list[str]:
    names = feature_names(encoder)
    return names + [str(i) for i in range(len(names), structure.dimension)]


def _conditioned(kernel: torch.nn.Module, labels: Labels, y: torch.Tensor, noise: torch.Tensor) -> Posterior:
    mean = TaskMean(1, priors=False).requires_grad_(False).eval()
    try:
        return Posterior.of(kernel, mean, labels.features, y, noise)
    except (RuntimeError, ValueError) as error:  # NotPSDError and NanError are RuntimeErrors
        raise FitFailed(f"{type(error).__name__}: {error}") from error


def _numeric(structure: Structure) -> list[int]:
    return [i for i in range(structure.dimension) if i not in structure.categorical]
