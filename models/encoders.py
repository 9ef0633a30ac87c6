"""How candidates become numbers: one encoder for each kind of space, built from the space's own declaration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.held import Rows
from theoros.oracles.spaces.parameters import Categorical, Integer, Ordinal, Parameters

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
class Column:
    """One feature column of a parameter.

    `kind` is ``"continuous"``, ``"grid"`` (an integer, stepped or ordinal parameter: only some values of the unit
    interval are real) or ``"categorical"`` (the index of a choice). `choices` are the values behind an ordinal or a
    category, `step` is what lies between a number's settings (an int, 1, for integers).
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()
    step: float | None = None

    def encode(self, value: Any) -> float:
        """The value in the unit interval, or the index of its category."""
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
class ParameterEncoder:
    """Parameters in the unit cube: logarithmic where the parameter is, ordinals as ranks, categories as indices."""

    space: Parameters
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, space: Parameters) -> ParameterEncoder:
        """Read the declaration of a `theoros.oracles.spaces` Parameters space."""
        return cls(space, tuple(_column(name, parameter) for name, parameter in space.parameters.items()))

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return len(self.columns)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns that hold category indices."""
        return tuple(i for i, column in enumerate(self.columns) if column.kind == "categorical")

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``; raises KeyError or ValueError for a candidate of another space."""
        return _encoded(self.columns, candidates)

    def decode(self, features: Tensor | NDArray[np.float64]) -> list[Candidate | None]:
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

    def linear_constraints(self) -> tuple[list[LinearRow], list[LinearRow]] | None:
        """The space's constraints over features, as BoTorch's inequalities (``>= rhs``) and equalities.

        None when a constraint can't be so written, because one of its parameters is not a linear-scale real.
        """
        inequalities: list[LinearRow] = []
        equalities: list[LinearRow] = []
        index = {column.name: i for i, column in enumerate(self.columns)}
        for constraint in self.space.constraints:
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


def _column(name: str, parameter: Any) -> Column:
    if isinstance(parameter, Categorical):
        kind = "grid" if isinstance(parameter, Ordinal) else "categorical"
        return Column(name, kind, choices=parameter.choices)
    if isinstance(parameter, Integer):
        return Column(name, "grid", parameter.low, parameter.high, parameter.log, step=1)
    if parameter.step is not None:
        return Column(name, "grid", parameter.low, float(parameter.values()[-1]), step=parameter.step)
    return Column(name, "continuous", parameter.low, parameter.high, parameter.log)


@lru_cache(maxsize=200_000)
def thermometer_bits(smiles: str, radius: int, columns: int) -> NDArray[np.int32]:
    """The set bits of a molecule's thermometer-encoded count-Morgan fingerprint, sorted.

    Bit (environment, k) is set when the environment occurs at least k times, so that the overlap of two bit sets is
    the sum of the counts' minima. Environments are hashed with their k into `columns` bits.
    Morgan fingerprints: Rogers & Hahn, J. Chem. Inf. Model. 50, 742 (2010), doi:10.1021/ci100050t.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    counts = _morgan_generator(radius).GetSparseCountFingerprint(molecule).GetNonzeroElements()
    bits = {_mix(environment, k) % columns for environment, count in counts.items() for k in range(count)}
    return np.array(sorted(bits), dtype=np.int32)


@lru_cache(maxsize=200_000)
def composition_bits(smiles: str, columns: int) -> NDArray[np.int32]:
    """The set bits of a molecule's thermometer-encoded composition, sorted: what it is made of, not how it hangs
    together.

    Counted are elements, elements with their hybridisation, hydrogens, ring atoms, and bonds by type and conjugation.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    counts: Counter[tuple[int, ...]] = Counter()
    for atom in molecule.GetAtoms():
        number = atom.GetAtomicNum()
        counts[0, number] += 1
        counts[1, number, int(atom.GetHybridization())] += 1
        counts[(2,)] += atom.GetTotalNumHs()
        counts[(3,)] += atom.IsInRing()
    for bond in molecule.GetBonds():
        counts[4, int(bond.GetBondType()), int(bond.GetIsConjugated())] += 1
    bits = {_mix(_mix_all(key), k) % columns for key, count in counts.items() for k in range(count)}
    return np.array(sorted(bits), dtype=np.int32)


def _mix_all(key: tuple[int, ...]) -> int:
    mixed = 0
    for part in key:
        mixed = _mix(mixed, part + 1)
    return mixed


def _mix(environment: int, k: int) -> int:
    # SplitMix64: Morgan's identifiers are not spread evenly over the columns by themselves.
    z = (environment * 0x9E3779B97F4A7C15 + k * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ z >> 31


@lru_cache(maxsize=8)
def _morgan_generator(radius: int) -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=radius)


@dataclass(frozen=True)
class FingerprintEncoder:
    """Molecules as two blocks of bits, whose Tanimoto similarities are the MinMax similarities of counts.

    The first `composition` columns hold what a molecule is made of, the other `columns` its Morgan environments. From a
    few labels composition teaches much and environments little, since hardly any environment is seen twice: on 279
    random molecules of up to nine heavy atoms, GFN2-xTB polarizability per heavy atom, median R^2 of twelve splits with
    15 / 40 / 120 labels was 0.10 / 0.24 / 0.56 for environments alone and 0.36 / 0.72 / 0.93 for the sum of both.
    """

    radius: int = 3
    columns: int = 4096
    composition: int = 512

    @property
    def dimension(self) -> int:
        """Number of bits."""
        return self.composition + self.columns

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """First and last-but-one column of each block."""
        return ((0, self.composition), (self.composition, self.dimension))

    @property
    def categorical(self) -> tuple[int, ...]:
        """None."""
        return ()

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x (composition + columns)``, zeros and ones."""
        features = torch.zeros(len(candidates), self.dimension, dtype=torch.float64)
        for row, candidate in enumerate(candidates):
            smiles = str(candidate.data["smiles"])
            made_of = composition_bits(smiles, self.composition)
            environments = thermometer_bits(smiles, self.radius, self.columns) + self.composition
            features[row, torch.from_numpy(np.concatenate([made_of, environments]).astype(np.int64))] = 1.0
        return features


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


@dataclass(frozen=True)
class TableEncoder:
    """Rows of a library of parameters: numbers scaled to the unit interval, categories as indices."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, space: TableSpace) -> TableEncoder:
        """Read ranges and categories from the library's own summary."""
        ranges, categories = space.ranges, space.categories
        return cls(
            tuple(
                Column(name, "continuous", *ranges[name])
                if kind == "number"
                else Column(name, "categorical", choices=tuple(categories[name]))
                for name, kind in space.column_kinds.items()
            )
        )

    @property
    def dimension(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Columns that hold category indices."""
        return tuple(i for i, column in enumerate(self.columns) if column.kind == "categorical")

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``; raises KeyError or ValueError for a row of another table."""
        return _encoded(self.columns, candidates)


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
