"""Gaussian processes that begin with what earlier campaigns learned (``transfer_gp``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Problem
from theoros.models.feasibility import SUCCEEDS
from theoros.models.surrogates.closed_form import (
    FAMILIES,
    MOST_LABELS,
    MOST_NUGGET,
    NO_FACTOR,
    afresh,
    ard_kernel,
    readable_scales,
)
from theoros.models.surrogates.fitting import NOISE_FLOORS
from theoros.models.surrogates.gaussian_process import FittedGaussianProcess, GaussianProcess
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.marginal import Hyperparameters, MarginalPosterior
from theoros.models.surrogates.outcome import IDENTITY, FittedWarp, Warp
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import NOISE_PRIORS
from theoros.models.surrogates.transfer_kernel import Share, Source, TransferKernel, TransferMean
from theoros.models.surrogates.transfer_marginal import SPREAD, TransferPosterior


@dataclass(frozen=True)
class View:
    """The unit in which the outputs of all campaigns are held against each other, and the sources' beliefs in it.

    It is the output itself (`sign` 0), or ``sign log(1 + sign (y - best) / d)`` as in
    `theoros.models.surrogates.outcome`, where an earlier campaign's labels are likelier in that unit: `best` is the
    best label of all campaigns.
    """

    sign: int
    best: float
    d: float
    sources: tuple[Source, ...]

    def seen(self, y: Array) -> Array:
        """Values of the output (n) in this unit."""
        if not self.sign:
            return y
        return np.asarray(self.sign * np.log1p(np.maximum(self.sign * (y - self.best), 0.0) / self.d))


@dataclass(frozen=True)
class FittedTransfer(FittedGaussianProcess):
    """A fitted process, with the sources' beliefs by output, so that the next fit need not fit them again."""

    views: Mapping[str, tuple[View, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class TransferGaussianProcess(GaussianProcess):
    """A process whose prior is the weighted beliefs of earlier campaigns and a process of its own.

    ``f = sum w_s f_s + g``: each `f_s` is the belief of a process that was fitted to that campaign's labels alone, the
    weights are at their posterior mode together with the hyperparameters of g (Tighineanu et al., AISTATS 2024,
    arXiv:2312.00621). The sources' uncertainty counts, so far from their labels they say nothing, and so does that of
    the weights. An unrelated source makes labels less likely and gets no weight; and where the labels are likelier
    under the process without any sources, with its own transform of the outcome, that one is kept. Without earlier
    campaigns it is ``gp``.
    """

    name: ClassVar[str] = "transfer_gp"

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedTransfer:
        """Fit the process without sources, and then with them; see `theoros.models.contract.Surrogate.fit`."""
        plain = super().fit(problem, dataset, seed=seed, previous=previous)
        last = previous if isinstance(previous, FittedTransfer) else None
        views: dict[str, tuple[View, ...]] = {}
        models, messages = list(plain.models), [plain.message] if plain.message else []
        features = plain.encoder.encode([point.candidate for point in dataset.points])
        for place, output in enumerate(problem.outputs if len(problem.fidelities) == 1 and not plain.fell_back else ()):
            model = models[place]
            X = features if model.places is None else model.places.expand(features)
            labels = Labels.of(problem, dataset, output, X, np.zeros(len(dataset), dtype=np.int64))
            if output == SUCCEEDS or not 2 <= len(labels.y) <= MOST_LABELS:
                continue
            try:
                known = last.views.get(output, ()) if last is not None else ()
                views[output] = _views(problem, output, labels, known, seed)
                if views[output]:
                    start = last.output(output) if last is not None and output in last.outputs else None
                    models[place] = _with_sources(model, plain, labels, views[output], start)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
                messages.append(f"{output}: without earlier campaigns ({type(error).__name__}: {error})")
        own = {f.name: getattr(plain, f.name) for f in fields(FittedGaussianProcess)}
        return FittedTransfer(**own | {"models": tuple(models), "message": "; ".join(messages)}, views=views)


def _views(problem: Problem, output: str, labels: Labels, known: tuple[View, ...], seed: int) -> tuple[View, ...]:
    """The units in which labels are compared; those that are `known` are kept as long as no label is better."""
    datasets = [
        (earlier.campaign, part) for earlier in problem.earlier if len(part := _of(earlier.dataset, output)) >= 2
    ]
    if not datasets:
        return ()
    if not known:
        own = replace(problem, outputs=(output,), earlier=(), noise=())
        fits = [GaussianProcess().fit(own, part, seed=seed).output(output) for _, part in datasets]
        natural = View(0, 0.0, 1.0, ())
        views = [replace(natural, sources=_sources(problem, datasets, output, natural, seed))]
        warped = [(len(part), fit) for (_, part), fit in zip(datasets, fits, strict=True) if fit.warp.sign]
        if warped:
            _, fit = max(warped, key=lambda pair: pair[0])
            views.append(View(fit.warp.sign, np.inf, fit.warp.d * float(fit.scale[0]), ()))
        known = tuple(views)
    found = []
    for view in known:
        if view.sign:
            values = np.concatenate([labels.y, *(part.values[:, 0] for _, part in datasets)])
            best = float(view.sign * (view.sign * values).min())
            if best != view.best:
                view = replace(view, best=best)
                view = replace(view, sources=_sources(problem, datasets, output, view, seed))
        found.append(view)
    return tuple(found)


def _sources(
    problem: Problem, datasets: Sequence[tuple[str, Dataset]], output: str, view: View, seed: int
) -> tuple[Source, ...]:
    """A process for each earlier campaign's labels alone, in the unit of `view`."""
    own = replace(problem, outputs=(output,), constraints=(), earlier=(), noise=())
    surrogate = GaussianProcess(outcome="plain")
    seen = [(campaign, replace(part, values=view.seen(part.values))) for campaign, part in datasets]
    return tuple(
        Source(campaign, len(part), surrogate.fit(own, part, seed=seed).output(output)) for campaign, part in seen
    )


def _of(dataset: Dataset, output: str) -> Dataset:
    """The labels that have `output`, and of them this alone."""
    if output not in dataset.outputs:
        return Dataset((), (output,), np.zeros((0, 1)))
    values = dataset.values[:, [dataset.outputs.index(output)]]
    kept = np.flatnonzero(np.isfinite(values[:, 0]))
    return Dataset(tuple(dataset.points[row] for row in kept), (output,), values[kept])


def _with_sources(
    plain: OutputModel,
    fitted: FittedGaussianProcess,
    labels: Labels,
    views: Sequence[View],
    start: OutputModel | None,
) -> OutputModel:
    """The likeliest process with sources, or `plain` where the labels are likelier without."""
    found: list[OutputModel] = []
    state = dict(plain.state)
    for view in views:
        y = view.seen(labels.y)
        mean, scale = (float(labels.offset[0]), float(labels.scale[0])) if not view.sign else _moments(y)
        t = (y - mean) / scale
        with torch.no_grad():
            centres = [float(source.mean(labels.features).mean()) for source in view.sources]
            means = np.stack([source.mean(labels.features).numpy() for source in view.sources])
            halves = [source.half(labels.features) for source in view.sources]
            covariances = np.stack(
                [
                    source.covariance(labels.features, labels.features, half, half).numpy()
                    for source, half in zip(view.sources, halves, strict=True)
                ]
            )
        means = (means - np.array(centres)[:, None]) / scale
        for family in FAMILIES:
            own = _marginal(plain, labels, family, t)
            posterior = TransferPosterior(own, means, covariances / scale**2)
            key = f"transfer {family}{view.sign:+d}"
            last = start.state.get(key) if start is not None else None
            starts = [] if last is None or len(last) != len(posterior.starts()[0]) else [last.numpy()]
            if not starts or afresh(len(t)):
                starts += posterior.starts()
            theta, value = min((posterior.mode(begin) for begin in starts), key=lambda mode: mode[1])
            if not value < NO_FACTOR:
                continue
            state[key] = torch.from_numpy(theta)
            hyper, weights = own.read(theta[: len(theta) - len(means)]), theta[len(theta) - len(means) :]
            warp = FittedWarp(view.sign, *_warp(view, labels, mean, scale)) if view.sign else IDENTITY
            found.append(_model(plain, fitted, labels, family, hyper, view, weights, scale, centres, t, warp))
    if not found:
        raise ArithmeticError("the matrix is not positive definite")
    best = max(found, key=lambda model: _log_density(model, labels.y))
    if _log_density(plain, labels.y) > _log_density(best, labels.y):
        return replace(plain, state=state, hyperparameters=dict(plain.hyperparameters) | _told(views[0].sources, None))
    return replace(best, state=state)


def _model(
    plain: OutputModel,
    fitted: FittedGaussianProcess,
    labels: Labels,
    family: str,
    hyper: Hyperparameters,
    view: View,
    weights: Array,
    scale: float,
    centres: Sequence[float],
    t: Array,
    warp: FittedWarp,
) -> OutputModel:
    structure = plain.structure
    own = ard_kernel(family, structure, hyper)
    # A source without weight is left out: what is not known of a weight that is none says nothing either.
    even, told_of = 1 / len(weights), zip(view.sources, weights.tolist(), centres, strict=True)
    shares = [Share(source, w / scale, even / scale, SPREAD / scale, centre) for source, w, centre in told_of if w > 0]
    kernel, mean = TransferKernel(own, shares), TransferMean(shares)
    y = torch.from_numpy(t).unsqueeze(-1)
    posterior = Posterior.of(kernel, mean, labels.features, y, labels.noise(hyper.noise))
    told = readable_scales(structure, fitted.encoder, hyper) | _told(view.sources, weights)
    return replace(
        plain,
        structure=replace(structure, family=family),
        posterior=posterior,
        noise=labels.usual_noise(hyper.noise),
        scatter=labels.scatter(hyper.noise),
        hyperparameters=told,
        warp=warp,
    )


def _told(sources: Sequence[Source], weights: Array | None) -> dict[str, Any]:
    """What was learned from, and how much of it counts: the slope of this output over that campaign's."""
    shares = [0.0] * len(sources) if weights is None else weights.tolist()
    told = zip(sources, shares, strict=True)
    return {"learned_from": {source.campaign: {"labels": source.n_labels, "weight": share} for source, share in told}}


def _marginal(plain: OutputModel, labels: Labels, family: str, y: Array) -> MarginalPosterior:
    structure = plain.structure
    numeric = [i for i in range(structure.dimension) if i not in structure.categorical]
    X = labels.features.numpy()
    return MarginalPosterior(
        family,
        X[:, numeric],
        X[:, list(structure.categorical)],
        y,
        Warp(),
        NOISE_PRIORS[structure.noise],
        NOISE_FLOORS[0],
        MOST_NUGGET if structure.noise == "smooth" else 10.0,
        fixed=labels.variance,
    )


def _log_density(model: OutputModel, y: Array) -> float:
    """The logarithm of the density of the labels (n) that `model` is conditioned on, in its standardised units.

    It is the marginal likelihood: the weights of sources are integrated over, as their uncertainty is in the kernel.
    """
    posterior, warp = model.posterior, model.warp
    with torch.no_grad():
        residual = posterior.Y[:, 0] - posterior.mean(posterior.X)
        value = 0.5 * residual @ posterior.weights[:, 0] + posterior.factor.diagonal().log().sum()
    slope = np.zeros(len(y))
    if warp.sign:
        z = (y - float(model.offset[0])) / float(model.scale[0])
        slope = -np.log((warp.d + np.maximum(warp.sign * (z - warp.best), 0.0)) * warp.scale)
    return float(slope.sum()) - float(value)


def _moments(y: Array) -> tuple[float, float]:
    scale = float(y.std())
    return float(y.mean()), scale if scale > 1e-12 else 1.0


def _warp(view: View, labels: Labels, mean: float, scale: float) -> tuple[float, float, float, float]:
    """The unit as a transform of standardised labels: best, d, mean and scale of its logarithm."""
    offset, width = float(labels.offset[0]), float(labels.scale[0])
    return (view.best - offset) / width, view.d / width, view.sign * mean, scale
