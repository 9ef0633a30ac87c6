"""Gaussian processes over features that a network learns (``deep_kernel``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Dataset, Problem
from theoros.models.encoders import Encoder, encoder_for
from theoros.models.feasibility import SUCCEEDS
from theoros.models.left_out import left_out
from theoros.models.network_features import NetworkFeatures, Scaling, network_features
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.deep_kernel_features import KERNEL, NOISES, DeepKernel, Inputs, Theta
from theoros.models.surrogates.fitting import FitFailed
from theoros.models.surrogates.gaussian_process import FittedGaussianProcess
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import NOISE_PRIORS, Structure, TaskMean
from theoros.oracles.candidate import Candidate

#: One of so many shares of the candidates is left out to tell when to stop; with fewer labels than `LEAST` none is, and
#: the network keeps quiet: few labels teach it nothing that a kernel does not know.
FOLDS, LEAST = 5, 40
#: The logarithm of the noise variance that a fit begins with.
UNSURE = -4.0
#: Labels whose joint likelihood one step of the optimiser sees.
BATCH = 256
#: Steps between two looks at the left-out labels, and looks without a gain after which training ends.
LOOK, PATIENCE = 10, 10
#: The share of the steps in which the kernel is fitted alone, the optimiser's rate for it then and later, and the rate
#: of the network.
ALONE, QUICK, SLOW, LEARNING = 0.4, 0.1, 0.02, 5e-3


@dataclass(frozen=True)
class ScaledEncoder:
    """A network's features of molecules, scaled to mean zero and variance one over the labels, and divided by the
    root of their number, so that distances do not grow with it.
    """

    features: NetworkFeatures
    scaling: Scaling

    @property
    def dimension(self) -> int:
        """Columns."""
        return len(self.scaling.scale)

    @property
    def categorical(self) -> tuple[int, ...]:
        """None of them holds categories."""
        return ()

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``."""
        scaled = self.scaling.scaled(self.features.table(candidates))
        return torch.from_numpy(scaled / math.sqrt(max(1, int(np.isfinite(self.scaling.scale).sum()))))


@dataclass(frozen=True)
class DeepKernelProcess:
    """Exact Gaussian processes whose kernel also measures distances between features that a network learns.

    `theoros.models.surrogates.deep_kernel_features` has the kernel. Network and hyperparameters follow the marginal
    likelihood of batches of labels (Chen et al., NeurIPS 2020, arXiv:2011.09772) by Adam, and stop where labels that
    were left out are predicted best: followed to its end, the marginal likelihood of a deep kernel overfits (Ober et
    al., UAI 2021, arXiv:2102.12108). The process is then conditioned on all labels, or on `most` drawn from them.
    `steps` and `width` are of the optimiser and the network; `device` is torch's name for where the fit runs, by
    default a GPU when one is granted; the fitted model lies on the CPU.
    """

    steps: int = 300
    width: int = 32
    most: int = 2_000
    device: str | None = None

    name: ClassVar[str] = "deep_kernel"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples", "posterior", "gradient"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedGaussianProcess:
        """Fit to all labels, beginning from `previous`; an output whose fit fails keeps what is usual a priori."""
        last = previous if isinstance(previous, FittedGaussianProcess) and previous.name == self.name else None
        candidates = [point.candidate for point in dataset.points]
        encoder = last.encoder if last is not None else _encoder(problem, candidates)
        places = getattr(encoder, "places", None)
        features = encoder.encode(candidates)
        features = features if places is None else places.expand(features)
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        structure, inputs = _parts(problem, encoder, places)
        models, messages = [], []
        for output in problem.outputs:
            start = last.output(output).state if last is not None and output in last.outputs else None
            labels = Labels.of(problem, dataset, output, features, fidelity)
            values = dataset.values[:, dataset.outputs.index(output)]
            kept = [candidates[row] for row in np.flatnonzero(np.isfinite(values))]
            own = replace(structure, noise="binary") if output == SUCCEEDS else structure
            task = _Task(own, inputs, labels, kept, self, derived_seed(seed, output), start)
            try:
                models.append(task.fitted())
            except FitFailed as failure:
                messages.append(f"{output}: no fit worked ({failure})")
                models.append(task.ignorant())
        return FittedGaussianProcess(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            encoder=encoder,
            models=tuple(replace(model, places=places) for model in models),
            fell_back=bool(messages),
            message="; ".join(messages),
        )


def _encoder(problem: Problem, candidates: Sequence[Candidate]) -> Encoder:
    if problem.space.kind != "molecule":
        return encoder_for(problem.space)
    features = network_features(problem.space)
    return ScaledEncoder(features, Scaling.of(features.table(candidates)))


def _parts(problem: Problem, encoder: Encoder, places: Any) -> tuple[Structure, Inputs]:
    """The structure of a process over `encoder`'s features, and what its kernel reads of them."""
    dimension = encoder.dimension if places is None else places.dimension
    categorical = encoder.categorical if places is None else places.kept(encoder.categorical)
    tasks = len(problem.fidelities)
    noise = ("fingerprint" if problem.space.kind == "molecule" else "smooth") if problem.deterministic else "noisy"
    structure = Structure("matern", dimension, categorical, tasks, noise)
    columns = getattr(encoder, "columns", ())
    staying = [columns[i] for i in encoder.categorical if places is None or i not in places.points]
    choices = {i: max(1, len(column.choices)) for i, column in zip(categorical, staying, strict=True)}
    if tasks > 1:
        choices[dimension] = tasks
    numeric = tuple(i for i in range(dimension) if i not in categorical)
    return structure, Inputs(numeric, choices, shared=problem.space.kind == "molecule")


@dataclass(frozen=True)
class _Task:
    """One output to be fitted: `candidates` (n) are those of its labels."""

    structure: Structure
    inputs: Inputs
    labels: Labels
    candidates: Sequence[Candidate]
    settings: DeepKernelProcess
    seed: int
    start: Mapping[str, Tensor] | None

    @property
    def prior(self) -> tuple[float, float]:
        """Location and scale of the noise variance's logarithm."""
        return NOISE_PRIORS[self.structure.noise]

    def begin(self) -> Theta:
        """The last fit's end, where it is of the same shape, or else a new beginning."""
        fresh = self.inputs.begin(self.settings.width, UNSURE, self.seed)
        usable = self.start is not None and {k: v.shape for k, v in self.start.items()} == {
            k: v.shape for k, v in fresh.items()
        }
        return dict(self.start) if usable and self.start is not None else fresh

    def fitted(self) -> OutputModel:
        """Train and condition; raises FitFailed when nothing finite is found."""
        if len(self.labels.y) < 2:
            return self.ignorant()
        return self.conditioned(_trained(self))

    def ignorant(self) -> OutputModel:
        """What is believed a priori, with the labels taken in under much noise."""
        theta = self.inputs.begin(self.settings.width, UNSURE, self.seed)
        return self.conditioned(theta)

    def conditioned(self, theta: Theta) -> OutputModel:
        """The process with these hyperparameters and the labels; raises FitFailed if its matrix is singular."""
        with torch.no_grad():
            kernel = DeepKernel(self.inputs, theta)
        noise = float(theta["noise"].clamp(*NOISES).exp())
        mean = TaskMean(1, priors=False).requires_grad_(False).eval()
        X, y, variances = self.labels.inputs(self.structure), self.labels.standardised, self.labels.noise(noise)
        if len(y) > self.settings.most:
            rows = np.sort(np.random.default_rng(self.seed).choice(len(y), self.settings.most, replace=False))
            X, y, variances = X[rows], y[rows], variances[rows]
        try:
            posterior = Posterior.of(kernel, mean, X, y.unsqueeze(-1), variances)
        except (RuntimeError, ValueError) as error:  # NotPSDError and NanError are RuntimeErrors
            raise FitFailed(f"{type(error).__name__}: {error}") from error
        told = {
            "noise_variance": noise,
            "output_scales": [float(kernel.output_scale)],
            "shortest_length_scale": float(kernel.length_scales.min()) if kernel.length_scales.numel() else None,
            "network_width": self.settings.width,
            "labels": len(y),
        }
        offset, scale = self.labels.offset, self.labels.scale
        usual, scatter = self.labels.usual_noise(noise), self.labels.scatter(noise)
        return OutputModel(
            self.structure, posterior, offset, scale, usual, theta, told, scatter=scatter, fences=self.labels.fences
        )


def _trained(task: _Task) -> Theta:
    """Hyperparameters and weights by Adam on the marginal likelihood, from where left-out labels are predicted best."""
    device = torch.device(task.settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    theta = {name: value.to(device).clone().requires_grad_(True) for name, value in task.begin().items()}
    X, y = task.labels.inputs(task.structure).to(device), task.labels.standardised.to(device)
    extra = task.labels.noise(0.0).to(device)
    held_out = left_out(task.candidates, 1, FOLDS)[0] if len(y) >= LEAST else np.zeros(len(y), dtype=bool)
    seen, unseen = (torch.from_numpy(np.flatnonzero(rows)).to(device) for rows in (~held_out, held_out))
    kernel, network = [theta[name] for name in KERNEL], [value for name, value in theta.items() if name not in KERNEL]
    optimiser = torch.optim.Adam([{"params": kernel, "lr": QUICK}, {"params": network, "lr": 0.0}])
    rng, best, idle = np.random.default_rng(task.seed), (-math.inf, _copy(theta)), 0
    alone = int(ALONE * task.settings.steps)
    for step in range(task.settings.steps + 1):
        if step == alone and len(unseen):
            optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"] = SLOW, LEARNING
        if step % LOOK == 0:
            worth = _left_out_density(task, theta, X, y, extra, seen, unseen)
            best, idle = ((worth, _copy(theta)), 0) if worth > best[0] else (best, idle + (step > alone))
            if idle > PATIENCE:
                break
        rows = seen[torch.from_numpy(rng.permutation(len(seen))[:BATCH]).to(device)]
        try:
            loss = -_log_marginal(task, theta, X[rows], y[rows], extra[rows]) - task.inputs.log_prior(theta, task.prior)
            optimiser.zero_grad()
            (loss / len(rows)).backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:  # no Cholesky factor
            if not math.isfinite(best[0]):
                raise FitFailed(str(error).splitlines()[0]) from error
            break
        optimiser.step()
    if not math.isfinite(best[0]):
        raise FitFailed("the likelihood is not finite")
    return best[1]


def _factor(task: _Task, theta: Theta, X: Tensor, extra: Tensor) -> tuple[DeepKernel, Tensor]:
    kernel = DeepKernel(task.inputs, theta)
    noise = theta["noise"].clamp(*NOISES).exp() + extra
    return kernel, torch.linalg.cholesky(
        kernel(X) + torch.diag(noise) + 1e-8 * kernel.output_scale * torch.eye(len(X)).to(X)
    )


def _log_marginal(task: _Task, theta: Theta, X: Tensor, y: Tensor, extra: Tensor) -> Tensor:
    """The log density (nats) of standardised labels `y` (n), without its constant."""
    _, factor = _factor(task, theta, X, extra)
    half = torch.linalg.solve_triangular(factor, y.unsqueeze(-1), upper=False)
    value: Tensor = -0.5 * half.square().sum() - factor.diagonal().log().sum()
    return value


def _left_out_density(
    task: _Task, theta: Theta, X: Tensor, y: Tensor, extra: Tensor, seen: Tensor, unseen: Tensor
) -> float:
    """The mean log density of labels that were left out, given `most` of the others; of all labels without any."""
    with torch.no_grad():
        seen = seen[-task.settings.most :]
        try:
            if len(unseen) == 0:
                return float(
                    _log_marginal(task, theta, X[seen], y[seen], extra[seen]) + task.inputs.log_prior(theta, task.prior)
                )
            kernel, factor = _factor(task, theta, X[seen], extra[seen])
            half = torch.linalg.solve_triangular(factor, kernel(X[seen], X[unseen]), upper=False)
            mean = half.T @ torch.linalg.solve_triangular(factor, y[seen].unsqueeze(-1), upper=False)
            noise = theta["noise"].clamp(*NOISES).exp() + extra[unseen]
            variance = (kernel.output_scale - half.square().sum(0)).clamp_min(1e-12) + noise
            off = (y[unseen] - mean[:, 0]) ** 2 / variance
            return float((-0.5 * off.clamp_max(25.0) - 0.5 * variance.log()).mean())
        except RuntimeError:  # no Cholesky factor
            return -math.inf


def _copy(theta: Theta) -> Theta:
    return {name: value.detach().cpu().clone() for name, value in theta.items()}
