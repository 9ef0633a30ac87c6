"""What a twin is told: candidates as scaled features, and as named tensors in natural units for the laws of physics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.data import Array
from theoros.models.encoders import encoder_for
from theoros.models.network_features import BOUND, NetworkFeatures, Scaling, network_features
from theoros.models.surrogates.fitted_outputs import with_fidelity
from theoros.models.unit_cube import Column
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space


@dataclass(frozen=True)
class Conditions:
    """How candidates at fidelities become the rows that networks read: logarithmic where a parameter is, scaled."""

    features: NetworkFeatures
    scaling: Scaling
    fidelities: int

    @classmethod
    def of(
        cls, space: Space, candidates: Sequence[Candidate], fidelity: NDArray[np.int64], fidelities: int
    ) -> Conditions:
        """Scaled by the labels' candidates at their fidelities."""
        features = network_features(space)
        table = with_fidelity(features.table(candidates), fidelity, fidelities)
        return cls(features, Scaling.of(table), fidelities)

    @property
    def width(self) -> int:
        """Columns that networks read."""
        return len(self.scaling.scale)

    def rows(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> Array:
        """Scaled features ``n x d``."""
        return self.scaling.scaled(with_fidelity(self.features.table(candidates), fidelity, self.fidelities))


@dataclass(frozen=True)
class NaturalConditions:
    """Candidates of a space of parameters at one fidelity, as named tensors and back as rows.

    `columns` are the encoder's. A category or a rank is the number of its choice.
    """

    conditions: Conditions
    columns: tuple[Column, ...]
    fidelity: int

    @classmethod
    def of(cls, space: Space, conditions: Conditions, fidelity: int) -> NaturalConditions:
        """Raises ValueError for a space whose candidates are not made of numbers and plain categories."""
        encoder = encoder_for(space) if space.kind == "parameters" else None
        columns: tuple[Column, ...] = getattr(encoder, "columns", ())
        if not columns or any(column.places for column in columns) or getattr(encoder, "places", None) is not None:
            raise ValueError(
                "Laws of physics are told of numbers and plain categories, and this space has other candidates. "
                "Leave the residuals out, or use a space of parameters."
            )
        return cls(conditions, columns, fidelity)

    def tensors(self, candidates: Sequence[Candidate]) -> dict[str, Tensor]:
        """Named conditions (b), float64."""
        return {
            column.name: torch.tensor([_number(column, c.data[column.name]) for c in candidates], dtype=torch.float64)
            for column in self.columns
        }

    def rows(self, named: Mapping[str, Tensor]) -> Tensor:
        """Scaled features ``b x d`` of named conditions, differentiable in all that are numbers on a scale."""
        parts = [part for column in self.columns for part in _encoded(column, named[column.name])]
        if self.conditions.fidelities > 1:
            parts.append(torch.full_like(parts[0], float(self.fidelity)))
        table, scaling = torch.stack(parts, -1), self.conditions.scaling
        offset, scale = torch.as_tensor(scaling.offset).to(table), torch.as_tensor(scaling.scale).to(table)
        return ((table - offset) / scale).clamp(-BOUND, BOUND)


def _number(column: Column, value: Any) -> float:
    return float(column.choices.index(value)) if column.choices else float(value)


def _encoded(column: Column, value: Tensor) -> list[Tensor]:
    """The columns of the table that a condition becomes."""
    if column.kind == "categorical":
        return [(value == i).to(value) for i in range(len(column.choices))]
    if column.choices:
        return [value / max(1, len(column.choices) - 1)]
    low, high = torch.tensor(column.low).to(value), torch.tensor(column.high).to(value)
    if column.log:
        low, high, value = low.log(), high.log(), value.log()
    return [(value - low) / (high - low) if column.high > column.low else torch.zeros_like(value)]
