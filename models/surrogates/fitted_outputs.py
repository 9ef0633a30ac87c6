"""What fitted surrogates that keep one model for each output have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array, Point, Prediction
from theoros.oracles.candidate import Candidate


class Standardised(Protocol):
    """A model of one output in standardised units: ``value = offset[f] + scale[f] * f(x)`` at fidelity f."""

    @property
    def offset(self) -> Array:
        """One number for each fidelity."""
        ...

    @property
    def scale(self) -> Array:
        """One number for each fidelity."""
        ...

    @property
    def labels(self) -> int:
        """How many labels had this output."""
        ...


M = TypeVar("M", bound=Standardised)


@dataclass(frozen=True, kw_only=True)
class FittedOutputs(ABC, Generic[M]):
    """One model for each output, over all fidelities of the problem."""

    name: str
    n_labels: int
    outputs: tuple[str, ...]
    fidelities: tuple[str, ...]
    models: tuple[M, ...]
    fell_back: bool = False
    message: str = ""

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Means and standard deviations ``n x m`` of the noise-free outputs, each at its point's own fidelity."""
        fidelity = np.array([self.fidelities.index(point.fidelity) for point in points], dtype=np.int64)
        return self.moments([point.candidate for point in points], fidelity)

    def predict_at(self, candidates: Sequence[Candidate], fidelity: str) -> Prediction:
        """`predict` of many candidates at one fidelity, which may be rows of a library."""
        return self.moments(candidates, np.full(len(candidates), self.fidelities.index(fidelity), dtype=np.int64))

    @abstractmethod
    def moments(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> Prediction:
        """What is believed of candidates (n) at fidelities (n), by their places in the ladder."""

    def output(self, name: str) -> M:
        """The model of the output `name`; raises KeyError."""
        try:
            return self.models[self.outputs.index(name)]
        except ValueError:
            raise KeyError(f"the model has no output {name!r}; it has {list(self.outputs)}") from None

    def hyperparameters(self) -> Mapping[str, Any]:
        """JSON data for each output: what `describe` tells, its labels and units."""
        return {
            name: {
                **self.describe(model),
                "labels": model.labels,
                "offset": dict(zip(self.fidelities, model.offset.tolist(), strict=True)),
                "scale": dict(zip(self.fidelities, model.scale.tolist(), strict=True)),
            }
            for name, model in zip(self.outputs, self.models, strict=True)
        }

    @abstractmethod
    def describe(self, model: M) -> Mapping[str, Any]:
        """JSON data of one output's model."""


def with_fidelity(table: NDArray[np.float32], fidelity: NDArray[np.int64], fidelities: int) -> NDArray[np.float32]:
    """Features ``n x d`` with the place in the ladder (n) as a last column, where there are several `fidelities`."""
    return table if fidelities == 1 else np.concatenate([table, fidelity.astype(np.float32)[:, None]], axis=1)
