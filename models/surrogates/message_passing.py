"""Message-passing networks over molecules (``message_passing``): what the molecule is made of is learned, not given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from theoros.models.contract import FittedSurrogate, Paths
from theoros.models.data import Array, Dataset, Prediction, Problem
from theoros.models.left_out import left_out, uncertainty_scale
from theoros.models.network_features import Scaling
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.bayesian_layer import BayesianLayer
from theoros.models.surrogates.fitted_outputs import FittedOutputs, with_fidelity
from theoros.models.surrogates.message_passing_network import (
    DirectedMessagePassing,
    Molecules,
    Training,
    learned_features,
    train,
)
from theoros.models.surrogates.standardise import standardisation
from theoros.models.tree_features import MoleculeFeatures
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class OutputLayers:
    """What is believed of one output: ``value = offset[f] + scale[f] * f(x)`` at fidelity f.

    Every network has its own Bayesian layer, with calibrated variances.
    """

    layers: tuple[BayesianLayer, ...]
    offset: Array
    scale: Array
    labels: int

    def moments(self, features: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Means, variances of the noise-free value and of the noise (n each) at every network's features."""
        means, deviations = self._members(features)
        within = np.mean([layer.variance(own) for layer, own in zip(self.layers, features, strict=True)], axis=0)
        noise = np.full(len(means), np.mean([layer.noise for layer in self.layers]))
        return means, np.square(deviations).sum(0) + within, noise

    def along(self, features: Sequence[Array], n: int, seed: int) -> Array:
        """Values ``n x b`` of `n` functions with these moments: members' weights, and draws of their layers, at random.

        The members' deviations are combined as a random forest's trees' are; each layer is drawn in its own weights.
        """
        means, deviations = self._members(features)
        rng, members = np.random.default_rng(seed), len(self.layers)
        values: Array = means + rng.standard_normal((n, members)) @ deviations
        for layer, own in zip(self.layers, features, strict=True):
            draws = rng.standard_normal((n, len(layer.factor)))
            values = values + draws @ layer.deviations(own) / np.sqrt(members)
        return values

    def _members(self, features: Sequence[Array]) -> tuple[Array, Array]:
        """The mean of the members' means, and their deviations from it, whose squares add up to the variance."""
        means = np.stack([layer.mean(own) for layer, own in zip(self.layers, features, strict=True)])
        return means.mean(0), (means - means.mean(0)) / np.sqrt(max(1, len(means) - 1))


@dataclass(frozen=True, kw_only=True)
class FittedMessagePassing(FittedOutputs[OutputLayers]):
    """A few networks, which all outputs and fidelities share, and a Bayesian layer for each output on each of them."""

    scaling: Scaling
    networks: tuple[DirectedMessagePassing, ...]

    def moments(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> Prediction:
        """See `FittedOutputs.moments`."""
        features = self._features(candidates, fidelity)
        mean, std, noise = (np.empty((len(candidates), len(self.outputs))) for _ in range(3))
        for column, model in enumerate(self.models):
            means, variances, noises = model.moments(features)
            scale = model.scale[fidelity]
            mean[:, column] = model.offset[fidelity] + scale * means
            std[:, column] = scale * np.sqrt(variances)
            noise[:, column] = scale * np.sqrt(noises)
        return Prediction(self.outputs, mean, std, noise)

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions; see `OutputLayers.along`."""
        return partial(self._along, output, self.fidelities.index(fidelity), n, derived_seed(seed, "weights"))

    def describe(self, model: OutputLayers) -> Mapping[str, Any]:
        """Networks, learned features, noise variance."""
        return {
            "networks": len(self.networks),
            "features": self.networks[0].head.in_features,
            "noise_variance": float(np.mean([layer.noise for layer in model.layers])),
        }

    def _along(self, output: str, fidelity: int, n: int, seed: int, candidates: Sequence[Candidate]) -> Array:
        model = self.output(output)
        features = self._features(candidates, np.full(len(candidates), fidelity))
        return np.asarray(model.offset[fidelity] + model.scale[fidelity] * model.along(features, n, seed))

    def _features(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> list[Array]:
        """Every network's learned features ``n x features``."""
        molecules = _molecules(candidates, _described(candidates, fidelity, self.fidelities), self.scaling)
        return [learned_features(network, molecules) for network in self.networks]


@dataclass(frozen=True)
class MessagePassing:
    """Three directed message-passing networks, each blind to a third of the labels, with Bayesian last layers.

    The networks (Yang et al. 2019, `theoros.models.surrogates.message_passing_network`) learn features from what they
    see and stop by what they don't; a Bayesian linear model of each network's features
    (`theoros.models.surrogates.bayesian_layer`) is scaled until the labels that its network did not see are as far off
    as it says. To that comes the networks' disagreement. All outputs and fidelities share the networks, the fidelity
    being one of the descriptors. A fit goes on from the networks of `previous`. `device` is
    torch's name for where the fit runs, by default a GPU when one is granted; the fitted model lies on the CPU.
    """

    training: Training = field(default_factory=Training)
    members: int = 3
    device: str | None = None

    name: ClassVar[str] = "message_passing"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples"})
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedMessagePassing:
        """Fit to all labels, going on from `previous`, whose networks are kept when training goes astray."""
        last = previous if isinstance(previous, FittedMessagePassing) else None
        candidates = [point.candidate for point in dataset.points]
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        described = _described(candidates, fidelity, problem.fidelities)
        scaling = Scaling.of(described)
        labels = [_Labels.of(problem, dataset, output, fidelity) for output in problem.outputs]
        unseen = left_out(candidates, self.members, self.members)
        message = ""
        try:
            networks = self._networks(_molecules(candidates, described, scaling), labels, unseen, seed, last)
        except (ArithmeticError, RuntimeError) as error:  # out of memory on a device is a RuntimeError
            message = f"training failed ({error})"
            if last is not None:
                networks, scaling = last.networks, last.scaling
            else:
                networks = self._untrained(described.shape[1], len(labels), seed)
        features = [learned_features(own, _molecules(candidates, described, scaling)) for own in networks]
        return FittedMessagePassing(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            scaling=scaling,
            networks=networks,
            models=tuple(own.layers(features, unseen) for own in labels),
            fell_back=bool(message),
            message=message,
        )

    def _untrained(self, descriptors: int, outputs: int, seed: int) -> tuple[DirectedMessagePassing, ...]:
        """What networks are before they learn."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "untrained"))
            return tuple(
                DirectedMessagePassing(self.training, descriptors, outputs).eval() for _ in range(self.members)
            )

    def _networks(
        self,
        molecules: Molecules,
        labels: Sequence[_Labels],
        unseen: NDArray[np.bool_],
        seed: int,
        last: FittedMessagePassing | None,
    ) -> tuple[DirectedMessagePassing, ...]:
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        y = np.stack([own.standardised for own in labels], axis=1)
        starts = last.networks if last is not None and len(last.networks) == self.members else [None] * self.members
        return tuple(
            train(
                molecules,
                y,
                unseen[member],
                self.training,
                seed=derived_seed(seed, "member", member),
                device=device,
                start=start,
            )
            for member, start in enumerate(starts)
        )


@dataclass(frozen=True)
class _Labels:
    """The labels of one output: standardised values (n, NaN where there is none), offsets and scales by fidelity."""

    standardised: Array
    offset: Array
    scale: Array

    @classmethod
    def of(cls, problem: Problem, dataset: Dataset, output: str, fidelity: NDArray[np.int64]) -> _Labels:
        values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
        kept = np.isfinite(values)
        offset, scale = standardisation(values[kept], fidelity[kept], len(problem.fidelities))
        standardised = np.where(kept, (values - offset[fidelity]) / scale[fidelity], np.nan)
        return cls(standardised, offset, scale)

    def layers(self, features: Sequence[Array], unseen: NDArray[np.bool_]) -> OutputLayers:
        """A layer on each network's features, fitted to what it saw and scaled by how far off the rest is.

        A network has bent its features to the labels that it saw, so that their noise seems smaller than it is.
        """
        known = np.isfinite(self.standardised)
        y, layers = self.standardised[known], []
        for own, blind in zip((one[known] for one in features), unseen[:, known], strict=True):
            layer = BayesianLayer.of(own[~blind], y[~blind])
            spread = np.sqrt(layer.variance(own[blind]) + layer.noise)
            layers.append(layer.scaled(uncertainty_scale(np.abs(y[blind] - layer.mean(own[blind])) / spread)))
        return OutputLayers(tuple(layers), self.offset, self.scale, len(y))


def _described(
    candidates: Sequence[Candidate], fidelity: NDArray[np.int64], fidelities: Sequence[str]
) -> NDArray[np.float32]:
    """Descriptors ``n x d`` that join after the messages, with the place in the ladder when there are several."""
    return with_fidelity(MoleculeFeatures().descriptors(candidates), fidelity, len(fidelities))


def _molecules(candidates: Sequence[Candidate], described: NDArray[np.float32], scaling: Scaling) -> Molecules:
    return Molecules(tuple(str(candidate.data["smiles"]) for candidate in candidates), scaling.scaled(described))
