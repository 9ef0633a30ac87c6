"""How candidates become numbers: one encoder for each kind of space, built from the space's own declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.embedding import Places, from_descriptors, from_smiles
from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.unit_cube import Column, Columns, UnitCube
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.held import Rows
from theoros.oracles.spaces.one_parameter import Categorical
from theoros.oracles.spaces.parameters import Parameters

#: One linear constraint over features: column indices, coefficients, right-hand side.
LinearRow = tuple[Tensor, Tensor, float]


class Encoder(Protocol):
    """Turns candidates of one space into features, ``n x d`` float64 on the CPU."""

    @property
    def dimension(self) -> int:
        """Number of feature columns d."""
        ...

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns that hold the index of a category; all others are numbers in the unit interval."""
        ...

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d`` of the candidates, in their order."""
        ...


@dataclass(frozen=True)
class ParameterEncoder(UnitCube):
    """Parameters as features: their coordinates in the unit cube, as a tensor."""

    @property
    def places(self) -> Places | None:
        """Where categories lie of which the space tells what they are; None when it tells of none."""
        points: dict[int, Array] = {}
        for i, column in enumerate(self.columns):
            parameter = self.space.parameters[column.name]
            if column.kind != "categorical" or not isinstance(parameter, Categorical):
                continue
            if parameter.smiles is not None:
                points[i] = from_smiles(parameter.smiles)
            elif parameter.descriptors is not None:
                points[i] = from_descriptors(parameter.descriptors)
        return Places(self.dimension, points) if points else None

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``; raises KeyError or ValueError for a candidate of another space."""
        return _encoded(self.columns, candidates)

    def linear_constraints(self) -> tuple[list[LinearRow], list[LinearRow]] | None:
        """The space's constraints over features, as BoTorch's inequalities (``>= rhs``) and equalities.

        None when a constraint can't be so written, because it is not linear or one of its parameters is not a real on a
        linear scale.
        """
        inequalities: list[LinearRow] = []
        equalities: list[LinearRow] = []
        index = {column.name: i for i, column in enumerate(self.columns)}
        if len(self.space.linear) < len(self.space.constraints):
            return None
        for constraint in self.space.linear:
            names = [name for name, coefficient in constraint.coefficients.items() if coefficient != 0]
            columns = [self.columns[index[name]] for name in names]
            if any(column.kind != "continuous" or column.log for column in columns):
                return None
            sign = -1.0 if constraint.op == "<=" else 1.0
            weights = [float(constraint.coefficients[name]) for name in names]
            offset = sum(weight * column.low for weight, column in zip(weights, columns, strict=True))
            row = (
                torch.tensor([index[name] for name in names], dtype=torch.long),
                torch.tensor(
                    [
                        sign * weight * (column.high - column.low)
                        for weight, column in zip(weights, columns, strict=True)
                    ],
                    dtype=torch.float64,
                ),
                sign * (float(constraint.bound) - offset),
            )
            (equalities if constraint.op in ("=", "==") else inequalities).append(row)
        return inequalities, equalities


def _encoded(columns: Sequence[Column], candidates: Sequence[Candidate]) -> Tensor:
    """Column by column: a hundred thousand candidates of ten columns take a fifth of a second."""
    features = np.empty((len(candidates), len(columns)))
    if isinstance(candidates, Rows):  # straight from the table: no candidate is made
        for i, column in enumerate(columns):
            features[:, i] = column.encode_all(candidates.column(column.name))
        return torch.from_numpy(features)
    data = [candidate.data for candidate in candidates]
    for i, column in enumerate(columns):
        features[:, i] = column.encode_all([row[column.name] for row in data])
    return torch.from_numpy(features)


class TableSpace(Protocol):
    """A finite space of rows, as `theoros.oracles.spaces` Library declares one."""

    @property
    def column_kinds(self) -> Mapping[str, str]:
        """Column -> ``"number"`` or ``"category"``."""
        ...

    @property
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """Column -> its distinct values."""
        ...

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Column -> (smallest, largest) value."""
        ...

    @property
    def molecule_columns(self) -> Mapping[str, tuple[str, ...]]:
        """Column -> SMILES of its distinct values, where they stand for molecules."""
        ...


@dataclass(frozen=True)
class TableEncoder(Columns):
    """Rows of a library of parameters: numbers scaled to the unit interval, categories as indices.

    A category that stands for a molecule has a column for each coordinate of its place (`theoros.models.embedding`).
    """

    @classmethod
    def of(cls, space: TableSpace) -> TableEncoder:
        """Read ranges and categories from the library's own summary."""
        ranges, categories, molecules = space.ranges, space.categories, space.molecule_columns
        columns: list[Column] = []
        for name, kind in space.column_kinds.items():
            if kind == "number":
                columns.append(Column(name, "continuous", *ranges[name]))
            elif name in molecules:
                columns += placed(name, tuple(categories[name]), from_smiles(molecules[name]))
            else:
                columns.append(Column(name, "categorical", choices=tuple(categories[name])))
        return cls(tuple(columns))

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``; raises KeyError or ValueError for a row of another table."""
        return _encoded(self.columns, candidates)


def placed(name: str, choices: tuple[Any, ...], points: Array) -> list[Column]:
    """One column for each coordinate of the choices' `points` (``c x k``)."""
    return [Column(name, "continuous", choices=choices, places=tuple(row)) for row in points.T.tolist()]


def feature_names(encoder: Encoder) -> list[str]:
    """The names of the columns that a model sees; empty for encoders whose columns have none."""
    names = [column.name for column in getattr(encoder, "columns", ())]
    places: Places | None = getattr(encoder, "places", None)
    return names if places is None else places.names(names)


def encoder_for(space: Space) -> Encoder:
    """The encoder of `space`; raises ValueError naming the kinds that can be encoded."""
    if space.kind == "molecule":
        return FingerprintEncoder()
    if isinstance(space, Parameters):
        return ParameterEncoder.of(space)
    if space.kind == "parameters" and hasattr(space, "column_kinds"):
        return TableEncoder.of(cast(TableSpace, space))
    raise ValueError(
        f"There is no encoder for candidates of kind {space.kind!r}: the built-in surrogates read 'parameters' and "
        f"'molecule'. Use a space of one of these, or a surrogate of your own."
    )
