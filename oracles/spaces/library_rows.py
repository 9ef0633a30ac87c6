"""How a row of a library becomes a candidate: the reading of record batches, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.molecules import read_smiles

#: Called with the row's number (from 0) and the reason for each row that is no candidate.
OnSkip = Callable[[int, str], None]


def molecules_of(block: Any, skip: OnSkip | None) -> list[Candidate | None]:
    """The molecules of a record batch whose first column holds SMILES, None for rows that are none."""
    return [_molecule(row, text, skip) for row, text in enumerate(block.column(0).to_pylist())]


def mappings_of(block: Any, kinds: Mapping[str, str], skip: OnSkip | None) -> list[Candidate | None]:
    """The candidates of a record batch of texts, by whether a column holds a ``"number"``; None for incomplete rows."""
    columns = {}
    for name in kinds:
        array = block.column(block.schema.get_field_index(name))
        columns[name] = table.numbers(array).to_pylist() if kinds[name] == "number" else array.to_pylist()
    found: list[Candidate | None] = []
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        data = dict(zip(columns, values, strict=True))
        bad = [name for name, value in data.items() if _missing(value)]
        if bad and skip is not None:
            skip(row, f"no value for {', '.join(bad)}")
        found.append(None if bad else Candidate("parameters", data))
    return found


def canonical_of(block: Any, skip: OnSkip | None) -> list[Candidate | None]:
    """The molecules of a batch of canonical SMILES, or none of them and the reason why."""
    found: list[Candidate | None] = []
    for row, (smiles, reason) in enumerate(zip(*(column.to_pylist() for column in block.columns), strict=True)):
        if smiles is None and skip is not None:
            skip(row, reason)
        found.append(None if smiles is None else Candidate("molecule", {"smiles": smiles}))
    return found


def _missing(value: float | str | None) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _molecule(row: int, text: str | None, skip: OnSkip | None) -> Candidate | None:
    try:
        return Candidate("molecule", {"smiles": read_smiles(text)[1]})
    except InvalidCandidate as error:
        if skip is not None:
            skip(row, str(error))
        return None
