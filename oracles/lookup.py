"""A table of known answers that stands in for the oracle that gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.rehearsal import Delay, generator
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Library, Space, table


@dataclass(frozen=True)
class _Answers:
    """Sorted candidate keys (n,), their mean values (n, outputs), NaN where no row has one, and rows counted (n,)."""

    keys: NDArray[np.uint64]
    means: NDArray[np.float64]
    rows: NDArray[np.int64]


class LookupOracle:
    """Answers from the rows of a CSV (``.csv.gz`` too) or Parquet file.

    `outputs` maps each output to its column, or to ``{column, unit}``. Candidates are the molecules of the column
    `smiles`, or the rows of the columns `inputs` (default: all columns that are no output). Rows that repeat a
    candidate are averaged. A candidate whose rows lack a value for an output fails with NotConverged, as the
    calculation behind the table once did ("failed to dock"); one that the table does not list is an InvalidCandidate.

    The design space is the table's list of candidates unless the campaign gives another `space` of the same kind. The
    table is read when the first candidate is asked. `delay` is what an evaluation pretends to take.

    Raises OracleOptionError and SpaceError for missing files and columns.
    """

    name = "lookup"
    deterministic = True
    cache_version = "1"
    resources = Resources(num_cpus=1, timeout=600)

    def __init__(
        self,
        *,
        file: str,
        outputs: Mapping[str, Any],
        smiles: str | None = None,
        inputs: Sequence[str] | None = None,
        delay: float | str | Mapping[str, Any] = 0.0,
        space: Space | None = None,
        base: Path | None = None,
    ) -> None:
        path = str((base / file).resolve()) if base is not None else file
        if table.file_format(path) == "smi":
            raise OracleOptionError(("file",), "a .smi file has no answers. Use a CSV or Parquet file.")
        self.outputs: Mapping[str, Quantity]
        self.outputs, self._columns = _read_outputs(outputs)
        table.require_columns(path, list(self._columns.values()), ("outputs",))
        self._library = Library(
            path,
            smiles=smiles,
            columns=None if inputs is None else tuple(inputs),
            exclude=tuple(self._columns.values()),
        )
        self._inputs = self._library.inputs
        if space is not None and space.kind != self._library.kind:
            raise OracleOptionError(
                (),
                f"the table lists candidates of kind {self._library.kind!r}, the campaign's space is {space.kind!r}. "
                "Name the column smiles for molecules.",
            )
        self.space: Space = space or self._library
        self._delay = Delay.parse(delay)
        self._answers: _Answers | None = None
        settings = {
            "sha256": table.sha256(path),
            "outputs": dict(self._columns),
            "units": {output: quantity.unit for output, quantity in self.outputs.items()},
            "inputs": list(self._inputs),
        }
        self.fidelities: tuple[Fidelity, ...] = (Fidelity("table", settings=settings),)

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """The table's answer; raises InvalidCandidate when it lists none, NotConverged when it has no value."""
        fidelity_of(self, fidelity)
        candidate = self._library.candidate(candidate.data)
        if self._answers is None:
            self._answers = self._read()
        answers, key = self._answers, np.uint64(int(candidate.hash[:16], 16))
        row = int(np.searchsorted(answers.keys, key))
        if row == len(answers.keys) or answers.keys[row] != key:
            raise InvalidCandidate(f"{Path(self._library.file).name} has no row for {candidate.text}")
        self._delay.wait(generator("lookup", candidate.hash))
        values = dict(zip(self.outputs, answers.means[row].tolist(), strict=True))
        if missing := [name for name, value in values.items() if not np.isfinite(value)]:
            raise NotConverged(
                f"{Path(self._library.file).name} has no value of {', '.join(missing)} for {candidate.text}"
            )
        return Answer(values, {"rows": int(answers.rows[row])})

    def _read(self) -> _Answers:
        """One pass through the table."""
        keys, blocks = [], []
        names = list(self._columns.values())
        for block in table.read_batches(self._library.file, list(dict.fromkeys([*self._inputs, *names]))):
            candidates = self._library.candidates_of(block.select(list(self._inputs)))
            valid = np.array([candidate is not None for candidate in candidates], dtype=bool)
            keys.append(np.array([int(c.hash[:16], 16) for c in candidates if c is not None], dtype=np.uint64))
            blocks.append(np.column_stack([self._numbers(block, name) for name in names])[valid])
        return (
            _averaged(np.concatenate(keys), np.vstack(blocks))
            if keys
            else _averaged(np.zeros(0, np.uint64), np.zeros((0, len(names))))
        )

    def _numbers(self, block: Any, column: str) -> NDArray[np.float64]:
        found = table.numbers(block.column(block.schema.get_field_index(column)))
        if found is None:
            raise OracleOptionError(
                ("outputs",),
                f"the column {column!r} of {Path(self._library.file).name} has values that are no numbers. "
                "Leave cells without a value empty.",
            )
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)


def _averaged(keys: NDArray[np.uint64], values: NDArray[np.float64]) -> _Answers:
    """Means over the rows of each key, of the values that there are."""
    distinct, inverse, rows = np.unique(keys, return_inverse=True, return_counts=True)
    known = np.isfinite(values)
    total, count = np.zeros((len(distinct), values.shape[1])), np.zeros((len(distinct), values.shape[1]))
    np.add.at(total, inverse, np.where(known, values, 0.0))
    np.add.at(count, inverse, known)
    return _Answers(distinct, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0), rows)


def _read_outputs(outputs: Mapping[str, Any]) -> tuple[dict[str, Quantity], dict[str, str]]:
    """Output -> quantity, and output -> column."""
    quantities, columns = {}, {}
    if not isinstance(outputs, Mapping) or not outputs:
        raise OracleOptionError(("outputs",), f"{outputs!r} maps no output to a column. Write name: column.")
    for name, item in outputs.items():
        if isinstance(item, Quantity):
            quantities[name], columns[name] = item, name
            continue
        declared = {"column": item} if isinstance(item, str) else item
        if not isinstance(declared, Mapping) or declared.keys() - {"column", "unit", "description"}:
            raise OracleOptionError(
                ("outputs", name), f"{item!r} is no column. Write name: column, or {{column, unit}}."
            )
        columns[name] = str(declared.get("column", name))
        quantities[name] = Quantity(str(declared.get("unit", "")), description=str(declared.get("description", "")))
    return quantities, columns
