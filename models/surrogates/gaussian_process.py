"""Gaussian processes over parameters (``gp``) and over molecules (``tanimoto_gp``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.contract import FittedSurrogate, Paths
from theoros.models.data import RUN_TIME, Dataset, Point, Prediction, Problem
from theoros.models.embedding import Places
from theoros.models.encoders import Encoder, ParameterEncoder, encoder_for, feature_names
from theoros.models.feasibility import SUCCEEDS
from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.chain_blocks import BlockKernel
from theoros.models.surrogates.closed_form import FAMILIES, MOST_LABELS, fit_closed_form, with_labels
from theoros.models.surrogates.fidelity_chain import ChainKernel, chain_with_labels, fit_chain
from theoros.models.surrogates.fitting import FitFailed, State, fit_hyperparameters, load_state
from theoros.models.surrogates.input_warp import WarpedKernel
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.sample_paths import GaussianPaths
from theoros.models.surrogates.structure import Structure, readable
from theoros.oracles.candidate import Candidate

#: The parameter that holds the logarithm of the noise variance above its floor; where labels have variances of their
#: own beside it, GPyTorch names it otherwise.
NOISE = ("likelihood.noise_covar.raw_noise", "likelihood.second_noise_covar.raw_noise")
#: Noise variance, relative, of a model that could not be fitted: it believes little.
PRIOR_NOISE = 1e-2


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
        """Means and standard deviations ``n x m`` of the noise-free outputs, each at its point's own fidelity.

        Where an output was transformed the belief in its own unit is skewed: then its median and half the width of its
        central 68 %, which are a normal belief's mean and standard deviation, stand for it.
        """
        features = self.encoder.encode([point.candidate for point in points])
        fidelity = self.fidelity_indices(points)
        mean, std, noise = (np.empty((len(points), len(self.outputs))) for _ in range(3))
        for column, model in enumerate(self.models):
            inputs = model.inputs(features, fidelity)
            with torch.no_grad():
                means, variances = model.posterior.moments(inputs)
            centre, deviation = means[:, 0].cpu().numpy(), variances.sqrt().cpu().numpy()
            mean[:, column] = model.natural(centre, fidelity)
            std[:, column] = model.spread(centre, deviation, fidelity)
            noise[:, column] = model.spread(centre, model.label_variance(inputs, fidelity) ** 0.5, fidelity)
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
                **({"log_transform": model.warp.d} if model.warp.sign else {}),
                "offset": dict(zip(self.fidelities, model.offset.tolist(), strict=True)),
                "scale": dict(zip(self.fidelities, model.scale.tolist(), strict=True)),
            }
            for name, model in zip(self.outputs, self.models, strict=True)
        }


@dataclass(frozen=True)
class FittedMolecularProcess(FittedGaussianProcess):
    """Processes over molecules; they can believe other labels than those they were fitted to."""

    def remembering(self, problem: Problem, dataset: Dataset) -> FittedMolecularProcess:
        """The same hyperparameters and units with the labels of `dataset` alone; raises FitFailed."""
        features = self.encode([point.candidate for point in dataset.points])
        fidelity = np.array(self.fidelity_indices(dataset.points), dtype=np.int64)
        models = [
            chain_with_labels(model, Labels.of(problem, dataset, output, features, fidelity))
            for output, model in zip(self.outputs, self.models, strict=True)
        ]
        return replace(self, n_labels=len(dataset), models=tuple(models))


@dataclass(frozen=True)
class GaussianProcess:
    """Exact Gaussian processes, one for each output, with hyperparameters at their posterior mode.

    Length scales have priors that grow with the square root of the dimension (Hvarfner et al., ICML 2024,
    arXiv:2402.02229); categories enter by a product with a categorical kernel (Ru et al., ICML 2020, arXiv:1906.08878).
    Several fidelities form an autoregressive chain (`theoros.models.surrogates.fidelity_chain`); each has its own
    offset and scale, so that a shifted cheap method does no harm. The kernel is ``"rbf"``, ``"matern"`` (5/2), or by
    ``"auto"`` the one under which the labels are likelier; the outcome that is to be optimised, and of molecules each
    of several, is by ``"auto"`` seen through a logarithm where that makes the labels likelier
    (`theoros.models.surrogates.outcome`), and never with ``"plain"``. `device` is torch's name for where the fit runs,
    by default a GPU when one is granted; the fitted model lies on the CPU. `seconds` bounds one optimisation of one
    output's hyperparameters.
    """

    kernel: str = "auto"
    outcome: str = "auto"
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
        encoder = last.encoder if last is not None else self._encoder(problem)
        places: Places | None = getattr(encoder, "places", None)
        features = encoder.encode([point.candidate for point in dataset.points])
        if places is not None:
            features = places.expand(features)
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        models, messages = [], []
        for output in problem.outputs:
            start = last.output(output) if last is not None and output in last.outputs else None
            labels = Labels.of(problem, dataset, output, features, fidelity)
            structure = self._structure(problem, encoder, places)
            if labels.errors is not None:
                structure = replace(structure, noise="known")
            if output == SUCCEEDS:
                structure = replace(structure, noise="binary")
            elif output == RUN_TIME:  # which scatters, whatever the oracle's answers do
                structure = replace(structure, noise="noisy")
            try:
                if structure.family in FAMILIES and 2 <= len(labels.y) <= MOST_LABELS:
                    families = FAMILIES if self.kernel == "auto" else (self.kernel,)
                    sign = _good_side(problem, output) if self.outcome == "auto" else 0
                    if structure.tasks == 1:
                        model, message = self._closed_form(structure, encoder, labels, families, sign, start)
                    else:
                        magnified = (sign,) if sign else ()
                        model, message = fit_chain(structure, encoder, labels, families, magnified, start)
                elif structure.blocks and len(labels.y) >= 2:
                    ends = _ends(problem, output) if self.outcome == "auto" else ()
                    model, message = fit_chain(structure, encoder, labels, (structure.family,), ends, start)
                else:
                    model, message = self._fit_output(structure, encoder, labels, start, derived_seed(seed, output))
            except FitFailed as failure:
                message = f"{output}: no fit worked ({failure})"
                kept = _without_fit(structure, encoder, labels, start)
                if kept is None and last is not None and set(problem.outputs) <= set(last.outputs):
                    return replace(last, fell_back=True, message=f"{message}; the previous version is kept")
                model = kept or _ignorant(structure, encoder, labels)
                messages.append((True, message))
            else:
                told = "; ".join(text for text in (message, labels.message) if text)
                messages.append((False, f"{output}: {told}" if told else ""))
            models.append(replace(model, places=places))
        made = FittedMolecularProcess if isinstance(encoder, FingerprintEncoder) else FittedGaussianProcess
        return made(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            encoder=encoder,
            models=tuple(models),
            fell_back=any(failed for failed, _ in messages),
            message="; ".join(text for _, text in messages if text),
        )

    def _structure(self, problem: Problem, encoder: Encoder, places: Places | None) -> Structure:
        return Structure(
            family=self._family(),
            dimension=encoder.dimension if places is None else places.dimension,
            categorical=encoder.categorical if places is None else places.kept(encoder.categorical),
            tasks=len(problem.fidelities),
            noise=self._noise() if problem.deterministic else "noisy",
            blocks=encoder.blocks if isinstance(encoder, FingerprintEncoder) else (),
        )

    def _encoder(self, problem: Problem) -> Encoder:
        return encoder_for(problem.space)

    def _family(self) -> str:
        return "rbf" if self.kernel == "auto" else self.kernel

    def _noise(self) -> str:
        return "smooth"

    def _taus(self) -> tuple[float | None, ...]:
        return (None,)

    def _bent(self, encoder: Encoder) -> tuple[int, ...]:
        return ()

    def _closed_form(
        self,
        structure: Structure,
        encoder: Encoder,
        labels: Labels,
        families: Sequence[str],
        good_side: int,
        start: OutputModel | None,
    ) -> tuple[OutputModel, str]:
        return fit_closed_form(
            structure, encoder, labels, families, good_side, start, self._taus(), self._bent(encoder)
        )

    def _fit_output(
        self, structure: Structure, encoder: Encoder, labels: Labels, start: OutputModel | None, seed: int
    ) -> tuple[OutputModel, str]:
        if len(labels.y) < 2:
            return _ignorant(structure, encoder, labels), ""
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        X, y = labels.inputs(structure).to(device), labels.standardised.to(device)
        variance = None if labels.variance is None else torch.from_numpy(labels.variance).to(device)
        starts: list[State | None] = [None] if start is None or structure.tasks == 1 else []
        if start is not None:
            starts.append(start.state)
        if structure.tasks > 1:
            starts.append(structure.unrelated())
        fit = fit_hyperparameters(
            lambda floor: structure.model(X, y, floor, variance),
            starts,
            seed=seed,
            seconds=self.seconds,
        )
        return _output_model(structure, encoder, labels, fit.state, fit.floor), fit.message


@dataclass(frozen=True)
class TanimotoGaussianProcess(GaussianProcess):
    """Exact Gaussian processes over molecules: MinMax kernels on the blocks of a fingerprint, added.

    The recipe of Tripp & Hernández-Lobato (arXiv:2406.07709) for Morgan counts of radius 3, with composition, atom
    pairs and descriptors beside them (`theoros.models.fingerprints.FingerprintEncoder`); output scales and noise at
    their posterior mode, so that the labels say which of them matter.
    """

    encoder: FingerprintEncoder = field(default_factory=FingerprintEncoder)

    name: ClassVar[str] = "tanimoto_gp"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples", "posterior"})
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})

    def _encoder(self, problem: Problem) -> Encoder:
        return self.encoder

    def _family(self) -> str:
        return "tanimoto"

    def _noise(self) -> str:
        return "fingerprint"


@dataclass(frozen=True)
class GraphGaussianProcess(TanimotoGaussianProcess):
    """Exact Gaussian processes over molecules with kernels on graphs: Weisfeiler-Lehman and shortest paths, added.

    Both are MinMax similarities of counts: of atoms' neighbourhoods (`theoros.models.subtrees`), and of pairs of atoms
    with the number of bonds between them (Borgwardt & Kriegel, ICDM 2005, doi:10.1109/ICDM.2005.132).
    """

    encoder: FingerprintEncoder = field(
        default_factory=lambda: FingerprintEncoder(composition=0, columns=0, levels=0, subtrees=4096)
    )

    name: ClassVar[str] = "graph_gp"


@dataclass(frozen=True)
class StringGaussianProcess(TanimotoGaussianProcess):
    """Exact Gaussian processes over molecules with a string kernel: the words of SMILES (`theoros.models.words`)."""

    encoder: FingerprintEncoder = field(
        default_factory=lambda: FingerprintEncoder(composition=0, columns=0, pairs=0, levels=0, words=4096)
    )

    name: ClassVar[str] = "string_gp"


def _good_side(problem: Problem, output: str) -> int:
    """1 where small values of `output` are good, -1 where large ones are, 0 where more counts than the good end."""
    bounded = any(constraint.output == output for constraint in problem.constraints)
    if problem.aim != "optimize" or output != problem.objective.output or bounded or not problem.deterministic:
        return 0
    return 1 if problem.objective.sense == "minimize" else -1


def _ends(problem: Problem, output: str) -> tuple[int, ...]:
    """The ends of an output of molecules that a logarithm may magnify: both, of one of several objectives.

    What molecules are asked for goes over orders of magnitude as often as not, such as the strength of a transition,
    and several objectives are weighed in their own units whatever the process sees.
    """
    bounded = any(constraint.output == output for constraint in problem.constraints)
    wanted = [goal for goal in problem.objectives if goal.output == output and goal.sense != "match"]
    return (1, -1) if problem.aim == "pareto" and wanted and not bounded and problem.deterministic else ()


def _output_model(structure: Structure, encoder: Encoder, labels: Labels, state: State, floor: float) -> OutputModel:
    """Condition the process with hyperparameters `state` on the labels; raises FitFailed if the matrix is singular."""
    kernel, mean = structure.kernel(priors=False), structure.mean(priors=False)
    load_state(kernel, {k.removeprefix("covar_module."): v for k, v in state.items() if k.startswith("covar_module.")})
    load_state(mean, {k.removeprefix("mean_module."): v for k, v in state.items() if k.startswith("mean_module.")})
    kernel.requires_grad_(False).eval()
    mean.requires_grad_(False).eval()
    noise = next((floor + float(state[name].exp()) for name in NOISE if name in state), PRIOR_NOISE)
    y = labels.standardised.unsqueeze(-1)
    try:
        posterior = Posterior.of(kernel, mean, labels.inputs(structure), y, labels.noise(noise))
    except (RuntimeError, ValueError) as error:  # NotPSDError and NanError are RuntimeErrors
        raise FitFailed(f"{type(error).__name__}: {error}") from error
    names = tuple(feature_names(encoder)) if isinstance(encoder, ParameterEncoder) else ()
    found = readable(structure, names, labels.levels, kernel, mean, noise)
    usual, scatter = labels.usual_noise(noise), labels.scatter(noise)
    return OutputModel(
        structure, posterior, labels.offset, labels.scale, usual, state, found, scatter=scatter, fences=labels.fences
    )


def _without_fit(
    structure: Structure, encoder: Encoder, labels: Labels, start: OutputModel | None
) -> OutputModel | None:
    """The last version's hyperparameters with the new labels, if there are such and they can be factorised."""
    if start is None:
        return None
    try:
        if isinstance(start.posterior.kernel, ArdKernel | WarpedKernel | ChainKernel | BlockKernel):
            chained = isinstance(start.posterior.kernel, ChainKernel | BlockKernel)
            again = chain_with_labels if chained else with_labels
            return again(start, labels) if start.structure.blocks or len(labels.y) <= MOST_LABELS else None
        return _output_model(structure, encoder, labels, start.state, 1e-4)
    except FitFailed:
        return None


def _ignorant(structure: Structure, encoder: Encoder, labels: Labels) -> OutputModel:
    """Initial hyperparameters and much noise, which can always be factorised."""
    return _output_model(structure, encoder, labels, {}, PRIOR_NOISE)
