"""A finite library: the rows of a CSV, Parquet or .smi file, read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate, content_hash
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.columns import Columns, read_columns
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.held import (
    MOST_CELLS,
    HeldTable,
    Rows,
    canonical_batch,
    canonical_smiles,
    drawn,
    held_table,
    held_texts,
)
from theoros.oracles.spaces.library_rows import OnSkip, canonical_of, mappings_of, molecules_of
from theoros.oracles.spaces.molecules import read_smiles

#: Up to this many rows, canonical SMILES are kept in memory (some 60 bytes each), because ranking walks often and
#: canonicalising takes about 0.15 ms a molecule.
CANONICALISED_ROWS = 300_000
#: How many examples of skipped rows a summary keeps.
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class LibrarySummary:
    """What a whole walk through a library found. `examples` are (row number, reason) of some skipped rows."""

    rows: int
    candidates: int
    duplicates: int
    skipped: int
    examples: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Library:
    """The candidates listed in `file`, one a row.

    With `smiles` (the column; .smi files need none) they are molecules, otherwise mappings of `columns` to values: the
    columns named, or all but `id` and those in `exclude` (outputs). Columns whose every value is a number are numbers
    (floats); others are categories (text). Rows with a missing value or an invalid molecule are skipped and counted.

    Nothing is read until it is needed. Files of up to `theoros.oracles.spaces.held.MOST_CELLS` rows times columns are
    held in memory as numbers or text, larger ones are streamed; neither is ever held as candidates. `sha256` pins the
    content: reading a file that has changed is an error. `molecules` are columns whose text is a SMILES of what they
    name (a solvent, a ligand), so that models know which of them are alike. Raises SpaceError for a missing file,
    column or format, when it is first read.
    """

    file: str
    smiles: str | None = None
    columns: tuple[str, ...] | None = None
    id: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    molecules: tuple[str, ...] = ()
    sha256: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", str(self.file))
        form = table.file_format(self.file)
        if form == "smi" and self.columns is not None:
            raise SpaceError(("columns",), "a .smi file lists molecules and has no other columns. Leave them out.")
        if form == "smi":
            object.__setattr__(self, "smiles", self.smiles or "smiles")
        if self.smiles is not None and self.columns is not None:
            raise SpaceError(("columns",), "smiles and columns exclude each other. A candidate is a molecule or a row.")
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))
            if not self.columns:
                raise SpaceError(("columns",), "it names no columns. Give a list of column names, or leave it out.")
        object.__setattr__(self, "exclude", tuple(self.exclude))
        object.__setattr__(self, "molecules", tuple(self.molecules))
        if self.molecules and self.smiles is not None:
            raise SpaceError(("molecules",), "candidates are molecules themselves (smiles). Leave molecules out.")
        object.__setattr__(self, "units", dict(self.units))

    @property
    def kind(self) -> str:
        """The kind of its candidates: ``"molecule"`` or ``"parameters"``."""
        return "parameters" if self.smiles is None else "molecule"

    @property
    def is_finite(self) -> bool:
        """True: a library can be ranked whole."""
        return True

    @property
    def size(self) -> int:
        """How many rows there are, duplicates and invalid ones included."""
        self._verify()
        return table.count_rows(self.file)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that make a candidate."""
        if self.smiles is not None:
            table.require_columns(self.file, [self.smiles], ("smiles",))
            return (self.smiles,)
        if self.columns is not None:
            table.require_columns(self.file, self.columns, ("columns",))
            return self.columns
        left_out = {*self.exclude, self.id}
        names = tuple(name for name in table.column_names(self.file) if name not in left_out)
        if not names:
            raise SpaceError(("columns",), f"{Path(self.file).name} has no column left for inputs. Name them.")
        return names

    @property
    def column_kinds(self) -> Mapping[str, str]:
        """Column -> ``"number"`` or ``"category"``; empty for molecules. Reads the file once."""
        return self._columns().kinds

    @property
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """Column -> its distinct values, sorted, for each category."""
        return self._columns().categories

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Column -> (smallest, largest) value, for each number."""
        return self._columns().ranges

    @property
    def molecule_columns(self) -> Mapping[str, tuple[str, ...]]:
        """Column -> canonical SMILES of its categories, in their order, for those in `molecules`.

        Raises SpaceError for a column that is no category, and for text that is no molecule.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name in self.molecules:
            if name not in self.categories:
                shown = ", ".join(self.categories) or "none"
                raise SpaceError(("molecules",), f"{name!r} is no column of text. Columns of text are: {shown}.")
            try:
                found[name] = tuple(read_smiles(text)[1] for text in self.categories[name])
            except InvalidCandidate as error:
                raise SpaceError(("molecules",), f"column {name!r}: {error}.") from None
        return found

    def iterate(self, batch: int = 10_000, on_skip: OnSkip | None = None) -> Iterator[Sequence[Candidate]]:
        """Yield the valid candidates in file order, at most `batch` at a time; `on_skip` hears of the other rows."""
        for _, candidates in self._walk(batch, on_skip):
            if candidates:
                yield candidates

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> list[Candidate]:
        """The candidates of the rows `indices` (from 0), in that order; invalid rows are left out.

        Reads the file up to the last of them unless it is held. Raises IndexError for a row that does not exist.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if not len(wanted):
            return []
        if wanted.min() < 0:
            raise IndexError("rows count from 0")
        size = self.size
        if wanted.max() >= size:
            raise IndexError(f"row {wanted.max()} does not exist; {Path(self.file).name} has {size} rows")
        if (held := self._held()) is not None:
            return [found for row in wanted.tolist() if (found := held.candidate(row)) is not None]
        if self.smiles is not None and size <= MOST_CELLS:
            texts = held_texts(self.file, self.inputs[0], table.file_state(self.file)).take(wanted)
            named = (canonical_smiles(text) for text in texts.to_pylist())
            return [Candidate("molecule", {"smiles": smiles}) for smiles in named if smiles is not None]
        return self._streamed(wanted)

    def rows(self, indices: NDArray[np.int64] | None = None) -> Sequence[Candidate]:
        """The candidates of the rows `indices` (of all by default): made one by one when the table is held (`Rows`).

        Raises IndexError for a row that does not exist.
        """
        held = self._held()
        if held is None:
            return [c for block in self.iterate() for c in block] if indices is None else self.take(indices)
        return Rows.of(held, np.arange(len(held)) if indices is None else indices)

    def draw(
        self,
        n: int,
        rng: np.random.Generator,
        seen: Collection[str],
        feasible: Callable[[Candidate], bool] | None = None,
    ) -> list[Candidate] | None:
        """Draw as `sample` does, but none whose hash is in `seen` or that is not `feasible`; fewer when no more exist.

        None for a library that is not held, which would have to be read again and again.
        """
        return None if (held := self._held()) is None else drawn(held, n, rng, seen, feasible)

    def _streamed(self, wanted: NDArray[np.int64]) -> list[Candidate]:
        found: dict[int, Candidate | None] = {}
        targets = np.unique(wanted)
        start = 0
        for block in self._blocks(10_000):
            low, high = np.searchsorted(targets, [start, start + block.num_rows])
            local = targets[low:high] - start
            if len(local):
                found.update(zip(targets[low:high].tolist(), self.candidates_of(block.take(local), None), strict=True))
            start += block.num_rows
            if high == len(targets):
                rows = [found[i] for i in wanted.tolist()]
                return [candidate for candidate in rows if candidate is not None]
        raise SpaceError(("file",), f"{self.file} became shorter while it was read. Leave it alone, or try again.")

    def names(self, indices: Sequence[int]) -> list[str]:
        """The `id` column's values at the rows `indices`, in that order; raises SpaceError without an `id`."""
        if self.id is None:
            raise SpaceError(("id",), "the library names no id column. Add id: and the column's name.")
        table.require_columns(self.file, [self.id], ("id",))
        wanted, start = set(indices), 0
        found: dict[int, str] = {}
        for block in table.read_batches(self.file, [self.id]):
            values = block.column(0)
            found |= {i: str(values[i - start].as_py()) for i in wanted if start <= i < start + block.num_rows}
            start += block.num_rows
        return [found[i] for i in indices]

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Draw up to `n` distinct candidates, every row alike; fewer only when the library holds fewer."""
        if (held := self._held()) is not None:
            return drawn(held, n, rng, (), None)
        size = self.size
        order = rng.permutation(size) if size <= 4 * n or size <= 100_000 else rng.choice(size, 4 * n, replace=False)
        found: dict[Candidate, None] = {}
        position = 0
        while len(found) < n and position < len(order):
            # A few more than are missing, so that duplicates and invalid rows seldom cost another pass.
            ask = order[position : position + max(16, int(1.2 * (n - len(found))))]
            position += len(ask)
            for candidate in self.take(ask):
                found.setdefault(candidate)
        return list(found)[: max(n, 0)]

    def candidate(self, data: Any) -> Candidate:
        """Canonicalise a SMILES or a mapping of columns to values, as the library's own rows are.

        Whether the library lists it is asked with `check`, which may have to read the file. Raises InvalidCandidate.
        """
        if isinstance(data, Candidate):
            data = data.data
        if self.smiles is not None:
            if isinstance(data, Mapping):
                data = data.get("smiles", data.get(self.smiles))
            return Candidate("molecule", {"smiles": read_smiles(data)[1]})
        if not isinstance(data, Mapping):
            raise InvalidCandidate(f"{data!r} is not a mapping of columns to values")
        columns = self._columns()
        if data.keys() != columns.kinds.keys():
            raise InvalidCandidate(f"the candidate has {sorted(map(str, data))}; needed are {list(columns.kinds)}")
        return Candidate("parameters", {name: columns.coerce(name, data[name]) for name in columns.kinds})

    def check(self, candidate: Candidate) -> None:
        """Raise InvalidCandidate when the library does not list `candidate`.

        The first check walks the whole file once and keeps eight bytes a row.
        """
        if candidate.kind != self.kind:
            raise InvalidCandidate(f"a candidate of kind {candidate.kind!r} is not one of {self.kind!r}")
        self._verify()
        keys, _ = _walked(self._unpinned(), table.file_state(self.file))
        position = int(np.searchsorted(keys, _key(candidate)))
        if position == len(keys) or keys[position] != _key(candidate):
            raise InvalidCandidate(f"{candidate.text} is not in {Path(self.file).name}")

    def summary(self) -> LibrarySummary:
        """Count candidates, duplicates and skipped rows by a walk through the whole file (once for a file)."""
        self._verify()
        return _walked(self._unpinned(), table.file_state(self.file))[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON data from which `space_from_dict` builds an equal space, with the file's digest."""
        data: dict[str, Any] = {"file": self.file}
        for name in ("smiles", "id"):
            if (value := getattr(self, name)) is not None:
                data[name] = value
        if self.columns is not None:
            data["columns"] = list(self.columns)
        if self.units:
            data["units"] = dict(self.units)
        if self.exclude:
            data["exclude"] = list(self.exclude)
        if self.molecules:
            data["molecules"] = list(self.molecules)
        data["sha256"] = self.sha256 or table.sha256(self.file)
        return {"library": data}

    def __hash__(self) -> int:
        return hash(
            content_hash([self.file, self.smiles, self.columns, self.id, self.units, self.exclude, self.molecules])
        )

    def _unpinned(self) -> Library:
        """The same library as a key for caches, which hold the file's state beside it."""
        return Library(self.file, self.smiles, self.columns, self.id, self.units, self.exclude, self.molecules)

    def _verify(self) -> None:
        if self.sha256 is not None and table.sha256(self.file) != self.sha256:
            raise SpaceError(
                ("sha256",), f"{self.file} is not the file that was declared. Restore it, or leave out sha256."
            )

    def _columns(self) -> Columns:
        if self.smiles is not None:
            return Columns({}, {}, {})
        self._verify()
        return read_columns(self.file, self.inputs, table.file_state(self.file))

    def _held(self) -> HeldTable | None:
        """The table in memory; None for molecules and for large files."""
        if self.smiles is not None or self.size * len(self.inputs) > MOST_CELLS:
            return None
        return held_table(self.file, self.inputs, table.file_state(self.file))

    def _blocks(self, batch: int) -> Iterator[Any]:
        self._verify()
        return table.read_batches(self.file, self.inputs, batch)

    def _walk(self, batch: int, on_skip: OnSkip | None) -> Iterator[tuple[int, list[Candidate]]]:
        """Yield (number of rows read, valid candidates) block by block."""
        start = 0
        for block, candidates_of in self._prepared(batch):

            def skip(row: int, reason: str, first: int = start) -> None:
                if on_skip is not None:
                    on_skip(first + row, reason)

            yield block.num_rows, [c for c in candidates_of(block, skip) if c is not None]
            start += block.num_rows

    def _prepared(self, batch: int) -> Iterator[tuple[Any, Callable[[Any, OnSkip | None], list[Candidate | None]]]]:
        """Blocks with what reads them: molecules of a moderate file are canonicalised once for a process."""
        if self.smiles is None or self.size > CANONICALISED_ROWS:
            for block in self._blocks(batch):
                yield block, self.candidates_of
            return
        whole = canonical_batch(self.file, self.inputs[0], table.file_state(self.file))
        for start in range(0, whole.num_rows, batch):
            yield whole.slice(start, batch), canonical_of

    def candidates_of(self, block: Any, skip: OnSkip | None = None) -> list[Candidate | None]:
        """The candidates of a record batch with the `inputs` columns as text, None for rows that are none."""
        if self.smiles is not None:
            return molecules_of(block, skip)
        return mappings_of(block, self._columns().kinds, skip)


def _key(candidate: Candidate) -> np.uint64:
    return np.uint64(int(candidate.hash[:16], 16))


@lru_cache(maxsize=4)
def _walked(library: Library, state: table.FileState) -> tuple[NDArray[np.uint64], LibrarySummary]:
    """Sorted keys of all candidates, and the summary."""
    keys: list[NDArray[np.uint64]] = []
    examples: list[tuple[int, str]] = []
    rows = 0

    def note(row: int, reason: str) -> None:
        if len(examples) < MAX_EXAMPLES:
            examples.append((row, reason))

    for count, candidates in library._walk(10_000, note):
        rows += count
        keys.append(np.array([_key(candidate) for candidate in candidates], dtype=np.uint64))
    found = np.concatenate(keys) if keys else np.zeros(0, dtype=np.uint64)
    distinct = np.unique(found)
    summary = LibrarySummary(rows, len(found), len(found) - len(distinct), rows - len(found), tuple(examples))
    return distinct, summary
