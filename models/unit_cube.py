"""Parameters as coordinates, without torch: what designs are laid out in, and what encoders start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.one_parameter import Categorical, Integer, Ordinal
from theoros.oracles.spaces.parameters import Parameters


@dataclass(frozen=True)
class Column:
    """One feature column of a parameter.

    `kind` is ``"continuous"``, ``"grid"`` (an integer, stepped or ordinal parameter: only some values of the unit
    interval are real) or ``"categorical"`` (the index of a choice). `choices` are the values behind an ordinal or a
    category, `step` is what lies between a number's settings (an int, 1, for integers). With `places` the column is one
    coordinate of where the choices lie.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    step: float | None = None
    places: tuple[float, ...] = ()

    def encode(self, value: Any) -> float:
        """The value in the unit interval, or the index of its category."""
        if self.places:
            return self.places[self.choices.index(value)]
        if self.choices:
            index = self.choices.index(value)
            return float(index) if self.kind == "categorical" else index / max(1, len(self.choices) - 1)
        low, high, number = self._scaled(self.low), self._scaled(self.high), self._scaled(float(value))
        return (number - low) / (high - low) if high > low else 0.0

    def encode_all(self, values: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        """`encode` of many values (n) at once; raises KeyError or ValueError for one that can't be."""
        if self.choices:
            place = {choice: self.encode(choice) for choice in self.choices}
            return np.array([place[value] for value in values], dtype=np.float64)
        low, high = self._scaled(self.low), self._scaled(self.high)
        numbers = np.array(values, dtype=np.float64)
        if self.log:
            numbers = np.log(numbers)
        return (numbers - low) / (high - low) if high > low else np.zeros(len(numbers))

    def decode(self, unit: float) -> Any:
        """The nearest allowed value; the inverse of `encode` up to rounding."""
        if self.choices:
            index = unit if self.kind == "categorical" else unit * (len(self.choices) - 1)
            return self.choices[min(max(round(index), 0), len(self.choices) - 1)]
        low, high = self._scaled(self.low), self._scaled(self.high)
        number = low + min(max(unit, 0.0), 1.0) * (high - low)
        value = math.exp(number) if self.log else number
        if self.step is not None:
            value = self.low + self.step * round((value - self.low) / self.step)
        value = min(max(value, self.low), self.high)
        return round(value) if isinstance(self.step, int) else value

    def grid(self, limit: int = 10_000) -> tuple[float, ...] | None:
        """The feature values that stand for real ones, ascending; None for a continuous column or a huge grid."""
        if self.kind == "continuous":
            return None
        if self.choices:
            return tuple(sorted(self.encode(choice) for choice in self.choices))
        step = self.step or 1
        size = round((self.high - self.low) / step) + 1
        return None if size > limit else tuple(self.encode(self.low + step * i) for i in range(size))

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class Columns:
    """What is encoded column by column."""

    columns: tuple[Column, ...]

    @property
    def dimension(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns that hold category indices."""
        return tuple(i for i, column in enumerate(self.columns) if column.kind == "categorical")


@dataclass(frozen=True)
class UnitCube(Columns):
    """Parameters in the unit cube: logarithmic where the parameter is, ordinals as ranks, categories as indices."""

    space: Parameters

    @classmethod
    def of(cls, space: Parameters) -> Self:
        """Read the declaration of a `theoros.oracles.spaces` Parameters space."""
        return cls(tuple(_column(name, parameter) for name, parameter in space.parameters.items()), space)

    def decode(self, features: ArrayLike) -> list[Candidate | None]:
        """The candidates nearest to the rows of `features` (``n x d``), None where a constraint forbids one."""
        found: list[Candidate | None] = []
        for row in np.asarray(features, dtype=np.float64):
            data = {column.name: column.decode(float(u)) for column, u in zip(self.columns, row, strict=True)}
            try:
                found.append(self.space.candidate(data))
            except InvalidCandidate:
                found.append(None)
        return found

    def from_unit(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stretch points of the unit cube (``n x d``) so that categorical columns hold evenly drawn indices."""
        features = points.copy()
        for i in self.categorical:
            features[:, i] = np.floor(points[:, i] * len(self.columns[i].choices))
        return features


def _column(name: str, parameter: Any) -> Column:
    if isinstance(parameter, Categorical):
        kind = "grid" if isinstance(parameter, Ordinal) else "categorical"
        return Column(name, kind, choices=parameter.choices)
    if isinstance(parameter, Integer):
        return Column(name, "grid", parameter.low, parameter.high, parameter.log, step=1)
    if parameter.step is not None:
        return Column(name, "grid", parameter.low, float(parameter.values()[-1]), step=parameter.step)
    return Column(name, "continuous", parameter.low, parameter.high, parameter.log)
