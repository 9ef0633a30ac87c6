"""Ensembles of neural networks (``deep_ensemble``): smooth answers from thousands of labels, at a bounded cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from theoros.models.contract import FittedSurrogate, Paths
from theoros.models.data import Array, Dataset, Prediction, Problem
from theoros.models.left_out import left_out
from theoros.models.network_features import NetworkFeatures, Scaling, network_features
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.deep_ensemble_networks import Networks, Training, train
from theoros.models.surrogates.fitted_outputs import FittedOutputs, with_fidelity
from theoros.models.surrogates.standardise import standardisation
from theoros.oracles.candidate import Candidate

#: Candidates at which networks are evaluated at once: bounds the memory of their hidden layers.
CHUNK = 10_000


@dataclass(frozen=True)
class OutputEnsemble:
    """What is believed of one output: ``value = offset[f] + scale[f] * f(x)`` at fidelity f, f being the networks'."""

    networks: Networks
    scaling: Scaling
    offset: Array
    scale: Array
    labels: int


@dataclass(frozen=True, kw_only=True)
class FittedDeepEnsemble(FittedOutputs[OutputEnsemble]):
    """One ensemble for each output, over all fidelities of the problem."""

    features: NetworkFeatures

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions: the mean plus a random combination of the members' deviations from it.

        With normal weights it has, jointly over all candidates, the covariance that the members show, and there are as
        many different ones as decisions: single members would repeat.
        """
        rank = self.output(output).networks.count
        weights = np.random.default_rng(derived_seed(seed, "weights")).standard_normal((n, rank))
        return partial(self._along, output, self.fidelities.index(fidelity), weights)

    def moments(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> Prediction:
        """See `FittedOutputs.moments`."""
        mean, std, noise = (np.empty((len(candidates), len(self.outputs))) for _ in range(3))
        for start in range(0, len(candidates), CHUNK):
            rows, levels = slice(start, start + CHUNK), fidelity[start : start + CHUNK]
            table = with_fidelity(self.features.table(candidates[rows]), levels, len(self.fidelities))
            for column, model in enumerate(self.models):
                means, between, within = model.networks.moments(model.scaling.scaled(table))
                scale = model.scale[levels]
                mean[rows, column] = model.offset[levels] + scale * means
                std[rows, column] = scale * np.sqrt(between)
                noise[rows, column] = scale * np.sqrt(within)
        return Prediction(self.outputs, mean, std, noise)

    def _along(self, output: str, fidelity: int, weights: Array, candidates: Sequence[Candidate]) -> Array:
        model = self.output(output)
        values = np.empty((len(weights), len(candidates)))
        for start in range(0, len(candidates), CHUNK):
            table = self.features.table(candidates[start : start + CHUNK])
            table = with_fidelity(table, np.full(len(table), fidelity), len(self.fidelities))
            mean, deviations = model.networks.deviations(model.scaling.scaled(table))
            values[:, start : start + len(table)] = mean + weights @ deviations
        return np.asarray(model.offset[fidelity] + model.scale[fidelity] * values, dtype=np.float64)

    def describe(self, model: OutputEnsemble) -> Mapping[str, Any]:
        """Members, features, the calibration's scale."""
        return {
            "members": model.networks.count if model.networks.layers else 0,
            "features": len(model.scaling.scale),
            "uncertainty_scale": model.networks.scale,
        }


@dataclass(frozen=True)
class DeepEnsemble:
    """A dozen small networks with a mean and a variance each, of which every one leaves out a quarter of the labels.

    Deep ensembles (Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474) whose spread is scaled until left-out
    labels are as far off as it says (`theoros.models.surrogates.deep_ensemble_networks`). What the members disagree
    about is the value's uncertainty; the variance that they predict is the noise, which with a deterministic oracle is
    what the features can't tell apart. The number of optimiser's steps is bounded, so a fit to 100,000 labels takes
    about ten times as long as one to 600. `device` is torch's name for where the fit runs, by default a GPU when one is
    granted; the fitted model lies on the CPU.
    """

    training: Training = field(default_factory=Training)
    device: str | None = None

    name: ClassVar[str] = "deep_ensemble"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedDeepEnsemble:
        """Fit to all labels, beginning from `previous`, which is returned when training goes astray."""
        last = previous if isinstance(previous, FittedDeepEnsemble) else None
        features = network_features(problem.space)
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        table = features.table([point.candidate for point in dataset.points])
        table = with_fidelity(table, fidelity, len(problem.fidelities))
        models, messages = [], []
        for output in problem.outputs:
            start = last.output(output) if last is not None and output in last.outputs else None
            values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
            labels = _Labels.of(dataset, table, values, fidelity, len(problem.fidelities))
            try:
                models.append(self._fit_output(labels, start, derived_seed(seed, output)))
            except (ArithmeticError, RuntimeError) as error:  # out of memory on a device is a RuntimeError
                messages.append(f"{output}: training failed ({error})")
                models.append(start or labels.ignorant())
        return FittedDeepEnsemble(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            features=features,
            models=tuple(models),
            fell_back=bool(messages),
            message="; ".join(messages),
        )

    def _fit_output(self, labels: _Labels, start: OutputEnsemble | None, seed: int) -> OutputEnsemble:
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model = labels.ignorant()
        networks = train(
            model.scaling.scaled(labels.table),
            labels.standardised,
            left_out(labels.candidates, self.training.members, self.training.folds),
            self.training,
            seed=seed,
            device=device,
            start=start.networks if start is not None and start.networks.layers else None,
        )
        return replace(model, networks=networks)


@dataclass(frozen=True)
class _Labels:
    """The labels that have an output: features ``n x d``, standardised values ``n``, offsets and scales by fidelity."""

    candidates: tuple[Candidate, ...]
    table: NDArray[np.float32]
    standardised: Array
    offset: Array
    scale: Array

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        table: NDArray[np.float32],
        values: Array,
        fidelity: NDArray[np.int64],
        fidelities: int,
    ) -> _Labels:
        kept = np.isfinite(values)
        y, fidelity = values[kept], fidelity[kept]
        offset, scale = standardisation(y, fidelity, fidelities)
        candidates = tuple(dataset.points[int(row)].candidate for row in np.flatnonzero(kept))
        return cls(candidates, table[kept], (y - offset[fidelity]) / scale[fidelity], offset, scale)

    def ignorant(self) -> OutputEnsemble:
        """What is believed before any training: the labels' mean and spread."""
        return OutputEnsemble(Networks(), Scaling.of(self.table), self.offset, self.scale, len(self.standardised))
