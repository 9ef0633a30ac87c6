"""A table held in memory, whose rows become candidates one by one, and only when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.columns import read_columns
from theoros.oracles.spaces.molecules import read_smiles

#: Cells of a table (rows times columns) up to which it is held: some 160 MB of numbers.
MOST_CELLS = 20_000_000
#: A draw looks at rows picked at random until it has met this share of the table, and then goes through the rest.
SPARSE_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class HeldTable:
    """A library's rows by column: numbers as they are, categories as places in their lists (-1 where one is missing).

    A row is a candidate when no value is missing. Hashes are remembered once computed, 32 bytes a row, since they take
    longer than all else that is done with a row.
    """

    columns: Mapping[str, NDArray[Any]]
    categories: Mapping[str, tuple[str, ...]]
    valid: NDArray[np.bool_]
    _digests: NDArray[np.uint8] = field(repr=False)
    _hashed: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], categories: Mapping[str, tuple[str, ...]]) -> HeldTable:
        """Columns of equal length; those named in `categories` hold places, the others finite numbers or NaN."""
        present = [values >= 0 if name in categories else np.isfinite(values) for name, values in columns.items()]
        valid = np.logical_and.reduce(present)
        # Zeros take no memory before they are written.
        return cls(columns, categories, valid, np.zeros((len(valid), 32), np.uint8), np.zeros(len(valid), np.bool_))

    def __len__(self) -> int:
        return len(self.valid)

    def candidate(self, row: int) -> Candidate | None:
        """The candidate of a row, None where a value is missing."""
        if not self.valid[row]:
            return None
        return Candidate("parameters", {name: self._value(name, values[row]) for name, values in self.columns.items()})

    def hash(self, row: int) -> str:
        """The hash of a valid row's candidate."""
        if not self._hashed[row]:
            candidate = self.candidate(row)
            assert candidate is not None  # the row is valid
            self._digests[row] = np.frombuffer(bytes.fromhex(candidate.hash), np.uint8)
            self._hashed[row] = True
        digest: bytes = self._digests[row].tobytes()
        return digest.hex()

    def values(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """A column's values at `rows`: floats, or texts (objects)."""
        found: NDArray[Any] = self.columns[name][rows]
        return np.array(self.categories[name], dtype=object)[found] if name in self.categories else found

    def _value(self, name: str, value: Any) -> float | str:
        return self.categories[name][int(value)] if name in self.categories else float(value)


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Candidate]):
    """Valid rows of a held table as candidates, made when they are asked for.

    Whoever needs numbers only takes them by `column`, and pays for no candidate.
    """

    table: HeldTable
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, table: HeldTable, rows: NDArray[np.int64]) -> Rows:
        """The valid ones of `rows`; raises IndexError for a row that does not exist."""
        return cls(table, rows[table.valid[rows]])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Candidate | Rows:
        """One candidate, or a part of the rows."""
        if isinstance(index, slice):
            return Rows(self.table, self.rows[index])
        candidate = self.table.candidate(int(self.rows[index]))
        assert candidate is not None  # only valid rows are here
        return candidate

    def __iter__(self) -> Iterator[Candidate]:
        return (self[index] for index in range(len(self)))

    def hash_of(self, index: int) -> str:
        """The hash of the candidate at `index`, which is remembered for the row."""
        return self.table.hash(int(self.rows[index]))

    def column(self, name: str) -> NDArray[Any]:
        """The values of a column, floats or texts (n)."""
        return self.table.values(name, self.rows)


@lru_cache(maxsize=2)
def held_table(path: str, names: tuple[str, ...], state: table.FileState) -> HeldTable:
    """The columns `names` of a file, read once for a state of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = read_columns(path, names, state)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for block in table.read_batches(path, names, 100_000):
        for name, array in zip(names, block.columns, strict=True):
            if name in known.categories:
                places = pc.index_in(array, value_set=pa.array(known.categories[name], pa.string()))
                parts[name].append(places.fill_null(-1).to_numpy(zero_copy_only=False))
            else:
                parts[name].append(table.numbers(array).to_numpy(zero_copy_only=False))
    columns = {name: np.concatenate(blocks) if blocks else np.zeros(0) for name, blocks in parts.items()}
    return HeldTable.of(columns, known.categories)


@lru_cache(maxsize=2)
def held_texts(path: str, name: str, state: table.FileState) -> Any:
    """One column of a file as an Arrow array of text, read once for a state of it."""
    import pyarrow as pa

    blocks = [block.column(0) for block in table.read_batches(path, [name], 100_000)]
    return pa.concat_arrays(blocks) if blocks else pa.array([], pa.string())


@lru_cache(maxsize=300_000)
def canonical_smiles(text: str | None) -> str | None:
    """A molecule's canonical SMILES, None when `text` is none; remembered, as finding it takes 0.15 ms."""
    try:
        return read_smiles(text)[1]
    except InvalidCandidate:
        return None


@lru_cache(maxsize=2)
def canonical_batch(path: str, column: str, state: table.FileState) -> Any:
    """A record batch of canonical SMILES (null for invalid rows) and of the reasons (null for valid ones)."""
    import pyarrow as pa

    smiles: list[str | None] = []
    reasons: list[str | None] = []
    for block in table.read_batches(path, [column]):
        for text in block.column(0).to_pylist():
            try:
                smiles.append(read_smiles(text)[1])
                reasons.append(None)
            except InvalidCandidate as error:
                smiles.append(None)
                reasons.append(str(error))
    arrays = [pa.array(smiles, pa.string()), pa.array(reasons, pa.string())]
    return pa.RecordBatch.from_arrays(arrays, names=["smiles", "reason"])


def drawn(
    held: HeldTable,
    n: int,
    rng: np.random.Generator,
    seen: Collection[str],
    feasible: Callable[[Candidate], bool] | None,
) -> list[Candidate]:
    """Up to `n` distinct candidates at random, every row alike, that are not in `seen` and keep `feasible`.

    Fewer only when the table holds no more. While most rows are new, a few more than `n` are looked at, whatever the
    table's size; when hardly any are, it is gone through in random order.
    """
    found: dict[str, Candidate] = {}
    for row in _random_rows(len(held), rng):
        if len(found) >= n:
            break
        if not held.valid[row] or (key := held.hash(row)) in seen or key in found:
            continue
        candidate = held.candidate(row)
        if candidate is not None and (feasible is None or feasible(candidate)):
            found[key] = candidate
    return list(found.values())


def _random_rows(size: int, rng: np.random.Generator) -> Iterable[int]:
    """Every row once, in random order; the first ones without a permutation of all."""
    met: set[int] = set()
    while len(met) < SPARSE_SHARE * size:
        for row in rng.integers(0, size, 256).tolist():
            if row not in met:
                met.add(row)
                yield row
    rest = np.setdiff1d(np.arange(size), np.fromiter(met, dtype=np.int64, count=len(met)), assume_unique=True)
    yield from rng.permutation(rest).tolist()
