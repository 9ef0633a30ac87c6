"""Gaussian processes over parameters (``gp``) and over molecules (``tanimoto_gp``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.contract import Array, Dataset, FittedSurrogate, Paths, Point, Prediction, Problem
from theoros.models.encoders import Encoder, FingerprintEncoder, ParameterEncoder, encoder_for
from theoros.models.kernels import TanimotoKernel
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.fitting import FitFailed, State, fit_hyperparameters, load_state
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.sample_paths import GaussianPaths
from theoros.models.surrogates.standardise import standardisation
from theoros.models.surrogates.structure import Structure, readable
from theoros.oracles.candidate import Candidate

#: The parameter that holds the logarithm of the noise variance above its floor.
NOISE = "likelihood.noise_covar.raw_noise"
#: Noise variance, relative, of a model that could not be fitted: it believes little.
PRIOR_NOISE = 1e-2


@dataclass(frozen=True)
class OutputModel:
    """What is believed of one output, in standardised units: ``value = offset[f] + scale[f] * f(x)`` at fidelity f.

    `offset` and `scale` hold one number for each fidelity; `noise` is the standardised variance of a label.
    """

    structure: Structure
    posterior: Posterior
    offset: Array
    scale: Array
    noise: float
    state: State = field(repr=False)
    hyperparameters: Mapping[str, Any] = field(repr=False)

    def inputs(self, features: Tensor, fidelity: int | Sequence[int]) -> Tensor:
        """Features ``n x d`` with the fidelity's column where the process has one; differentiable in the features."""
        if self.structure.tasks == 1:
            return features
        column = torch.as_tensor(fidelity, dtype=features.dtype, device=features.device).reshape(-1, 1)
        return torch.cat([features, column.expand(len(features), 1)], dim=1)

    def conditioned(self, features: Tensor, fidelity: Sequence[int], values: Tensor) -> OutputModel:
        """Also know the noise-free standardised `values` (``p x s``)."""
        return replace(self, posterior=self.posterior.conditioned(self.inputs(features, fidelity), values))


@dataclass(frozen=True)
class FittedGaussianProcess:
    """One process for each output, independent of each other, over all fidelities of the problem."""

    name: str
    n_labels: int
    outputs: tuple[str, ...]
    fidelities: tuple[str, ...]
    encoder: Encoder
    models: tuple[OutputModel, ...]
    fell_back: bool = False
    message: str = ""

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Means and standard deviations ``n x m`` of the noise-free outputs, each at its point's own fidelity."""
        features = self.encoder.encode([point.candidate for point in points])
        fidelity = self.fidelity_indices(points)
        mean, std, noise = (np.empty((len(points), len(self.outputs))) for _ in range(3))
        for column, model in enumerate(self.models):
            with torch.no_grad():
                means, variances = model.posterior.moments(model.inputs(features, fidelity))
            scale = model.scale[fidelity]
            mean[:, column] = model.offset[fidelity] + scale * means[:, 0].cpu().numpy()
            std[:, column] = scale * variances.sqrt().cpu().numpy()
            noise[:, column] = scale * model.noise**0.5
        return Prediction(self.outputs, mean, std, noise)

    def output(self, name: str) -> OutputModel:
        """The process of the output `name`; raises KeyError."""
        try:
            return self.models[self.outputs.index(name)]
        except ValueError:
            raise KeyError(f"the model has no output {name!r}; it has {list(self.outputs)}") from None

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions; see `theoros.models.contract.SamplePaths`."""
        return GaussianPaths(self, self.output(output), self.fidelities.index(fidelity), n, seed).at

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``."""
        return self.encoder.encode(candidates)

    def fidelity_indices(self, points: Sequence[Point]) -> list[int]:
        """The place of each point's fidelity in the problem's ladder."""
        return [self.fidelities.index(point.fidelity) for point in points]

    def hyperparameters(self) -> Mapping[str, Any]:
        """JSON data for each output: length scales, noise variance (in units of the scale squared), offset, scale."""
        return {
            name: {
                **model.hyperparameters,
                "kernel": model.structure.family,
                "offset": dict(zip(self.fidelities, model.offset.tolist(), strict=True)),
                "scale": dict(zip(self.fidelities, model.scale.tolist(), strict=True)),
            }
            for name, model in zip(self.outputs, self.models, strict=True)
        }


@dataclass(frozen=True)
class GaussianProcess:
    """Exact Gaussian processes, one for each output, with hyperparameters at their posterior mode.

    Length scales have priors that grow with the square root of the dimension (Hvarfner et al., ICML 2024,
    arXiv:2402.02229); categories enter by a product with a categorical kernel (Ru et al., ICML 2020,
    arXiv:1906.08878). Several fidelities form an autoregressive chain (`theoros.models.kernels.AutoregressiveKernel`);
    each has its own offset and scale, so that a shifted cheap method does no harm. The kernel is
    ``"rbf"`` or ``"matern"`` (5/2). `device` is torch's name for where the fit runs, by default a GPU when one is
    granted; the fitted model lies on the CPU. `seconds` bounds one optimisation of one output's hyperparameters.
    """

    kernel: str = "rbf"
    device: str | None = None
    seconds: float = 20.0

    name: ClassVar[str] = "gp"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples", "posterior", "gradient"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedGaussianProcess:
        """Fit to all labels; see `theoros.models.contract.Surrogate.fit` for what happens when that fails."""
        last = previous if isinstance(previous, FittedGaussianProcess) and previous.name == self.name else None
        encoder = last.encoder if last is not None else encoder_for(problem.space)
        features = encoder.encode([point.candidate for point in dataset.points])
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        models, messages = [], []
        for output in problem.outputs:
            start = last.output(output) if last is not None and output in last.outputs else None
            labels = _Labels.of(problem, dataset, output, features, fidelity)
            structure = self._structure(problem, encoder)
            try:
                model, message = self._fit_output(structure, encoder, labels, start, derived_seed(seed, output))
            except FitFailed as failure:
                message = f"{output}: no fit worked ({failure})"
                kept = _without_fit(structure, encoder, labels, start)
                if kept is None and last is not None:
                    return replace(last, fell_back=True, message=f"{message}; the previous version is kept")
                model = kept or _ignorant(structure, encoder, labels)
                messages.append((True, message))
            else:
                messages.append((False, f"{output}: {message}" if message else ""))
            models.append(model)
        return FittedGaussianProcess(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            encoder=encoder,
            models=tuple(models),
            fell_back=any(failed for failed, _ in messages),
            message="; ".join(text for _, text in messages if text),
        )

    def _structure(self, problem: Problem, encoder: Encoder) -> Structure:
        return Structure(
            family=self._family(),
            dimension=encoder.dimension,
            categorical=encoder.categorical,
            tasks=len(problem.fidelities),
            noise=self._noise() if problem.deterministic else "noisy",
            blocks=encoder.blocks if isinstance(encoder, FingerprintEncoder) else (),
        )

    def _family(self) -> str:
        return self.kernel

    def _noise(self) -> str:
        return "smooth"

    def _fit_output(
        self, structure: Structure, encoder: Encoder, labels: _Labels, start: OutputModel | None, seed: int
    ) -> tuple[OutputModel, str]:
        if len(labels.y) < 2:
            return _ignorant(structure, encoder, labels), ""
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        X, y, grams = labels.inputs(structure).to(device), labels.standardised.to(device), None
        if structure.blocks:  # their matrices have no hyperparameters: compute them once
            with torch.no_grad():
                grams = [TanimotoKernel()(X[:, first:end]).to_dense() for first, end in structure.blocks]
            rows = torch.arange(len(X), dtype=X.dtype, device=device).unsqueeze(-1)
            X = torch.cat([rows, X[:, structure.dimension :]], dim=1)
        starts: list[State | None] = [None] if start is None or structure.tasks == 1 else []
        if start is not None:
            starts.append(start.state)
        if structure.tasks > 1:
            starts.append(structure.unrelated())
        fit = fit_hyperparameters(
            lambda floor: structure.model(X, y, floor, grams),
            starts,
            seed=seed,
            seconds=self.seconds,
        )
        return _output_model(structure, encoder, labels, fit.state, fit.floor), fit.message


@dataclass(frozen=True)
class TanimotoGaussianProcess(GaussianProcess):
    """Exact Gaussian processes over molecules: MinMax kernels on composition and on Morgan counts of radius 3, added.

    The recipe of Tripp & Hernández-Lobato (arXiv:2406.07709) with a coarser scale beside it
    (`theoros.models.encoders.FingerprintEncoder` says why), output scales and noise at their posterior mode.
    """

    name: ClassVar[str] = "tanimoto_gp"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples", "posterior"})
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})

    def _family(self) -> str:
        return "tanimoto"

    def _noise(self) -> str:
        return "fingerprint"


@dataclass(frozen=True)
class _Labels:
    """The labels of one output: features ``n x d``, fidelity indices and values ``n``, standardisation by fidelity."""

    features: Tensor
    fidelity: np.ndarray[Any, np.dtype[np.int64]]
    y: Array
    offset: Array
    scale: Array
    levels: tuple[str, ...]

    @classmethod
    def of(
        cls,
        problem: Problem,
        dataset: Dataset,
        output: str,
        features: Tensor,
        fidelity: np.ndarray[Any, np.dtype[np.int64]],
    ) -> _Labels:
        values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
        kept = np.isfinite(values)
        y, fidelity = values[kept], fidelity[kept]
        offset, scale = standardisation(y, fidelity, len(problem.fidelities))
        return cls(features[torch.from_numpy(kept)], fidelity, y, offset, scale, problem.fidelities)

    @property
    def standardised(self) -> Tensor:
        return torch.from_numpy((self.y - self.offset[self.fidelity]) / self.scale[self.fidelity])

    def inputs(self, structure: Structure) -> Tensor:
        if structure.tasks == 1:
            return self.features
        return torch.cat([self.features, torch.from_numpy(self.fidelity).double().unsqueeze(-1)], dim=1)


def _output_model(structure: Structure, encoder: Encoder, labels: _Labels, state: State, floor: float) -> OutputModel:
    """Condition the process with hyperparameters `state` on the labels; raises FitFailed if the matrix is singular."""
    kernel, mean = structure.kernel(priors=False), structure.mean(priors=False)
    load_state(kernel, {k.removeprefix("covar_module."): v for k, v in state.items() if k.startswith("covar_module.")})
    load_state(mean, {k.removeprefix("mean_module."): v for k, v in state.items() if k.startswith("mean_module.")})
    kernel.requires_grad_(False).eval()
    mean.requires_grad_(False).eval()
    noise = floor + float(state[NOISE].exp()) if NOISE in state else PRIOR_NOISE
    y = labels.standardised.unsqueeze(-1)
    try:
        posterior = Posterior.of(kernel, mean, labels.inputs(structure), y, torch.full((len(y),), noise, dtype=y.dtype))
    except (RuntimeError, ValueError) as error:  # NotPSDError and NanError are RuntimeErrors
        raise FitFailed(f"{type(error).__name__}: {error}") from error
    names = tuple(column.name for column in encoder.columns) if isinstance(encoder, ParameterEncoder) else ()
    found = readable(structure, names, labels.levels, kernel, mean, noise)
    return OutputModel(structure, posterior, labels.offset, labels.scale, noise, state, found)


def _without_fit(
    structure: Structure, encoder: Encoder, labels: _Labels, start: OutputModel | None
) -> OutputModel | None:
    """The last version's hyperparameters with the new labels, if there are such and they can be factorised."""
    if start is None:
        return None
    try:
        return _output_model(structure, encoder, labels, start.state, 1e-4)
    except FitFailed:
        return None


def _ignorant(structure: Structure, encoder: Encoder, labels: _Labels) -> OutputModel:
    """Initial hyperparameters and much noise, which can always be factorised."""
    return _output_model(structure, encoder, labels, {}, PRIOR_NOISE)
