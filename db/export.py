"""Labels for other programs: CSV and Parquet tables, and structures with energies and forces for ASE."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from sqlalchemy import Connection, select

from theoros.db import campaigns, labels
from theoros.db.errors import NothingToExport, StoreError
from theoros.db.schema import Candidate, Evaluation, Label

if TYPE_CHECKING:
    import pandas as pd

    from theoros.db.store import Store

Format = Literal["csv", "parquet", "extxyz", "ase-db"]


def export(store: Store, campaign: str, path: str | Path, format: Format) -> int:
    """Write the campaign's labels to `path`; returns how many. The file appears whole, or not at all. It is made to be
    passed on, so that its permissions are those that the user's umask gives.

    - `csv`: one row per label, one column per parameter and output, named ``output [unit]``; arrays as JSON.
    - `parquet`: the same columns by their own names; units in each field's metadata and arrays as lists.
    - `extxyz`, `ase-db`: labels whose details hold a geometry ``{"symbols": [...], "positions": [[x, y, z], ...]}`` in
      angstrom; outputs of one value per atom go to ``atoms.arrays``, others to ``atoms.info``. In ase-db, outputs
      that ASE knows (energy, forces, dipole, ...) become a calculator's results, other scalars key-value pairs, and
      other arrays ``data``.
    """
    if format not in get_args(Format):
        raise StoreError(
            f"Theoros cannot export to '{format}'. It writes {', '.join(get_args(Format))}. Choose one of these."
        )
    target = Path(path)
    if not target.parent.is_dir():
        raise StoreError(
            f"The folder {target.parent} does not exist, so {target.name} cannot be written there. "
            f"Make it with: mkdir -p {target.parent}"
        )
    writer = {"csv": _csv, "parquet": _parquet, "extxyz": _extxyz, "ase-db": _ase_db}[format]
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        count = writer(store, campaign, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _table(store: Store, campaign: str) -> pd.DataFrame:
    table = store.labels(campaign)
    if table.empty:
        raise NothingToExport(
            f"Campaign '{campaign}' has no labels yet. There is nothing to export. "
            f"See how far it is with: theoros status {campaign}"
        )
    return table


def _csv(store: Store, campaign: str, path: Path) -> int:
    table = _table(store, campaign)
    units: Mapping[str, str] = table.attrs["units"]
    table = table.map(lambda cell: json.dumps(cell) if isinstance(cell, list) else cell)
    table = table.rename(columns={name: f"{name} [{unit}]" for name, unit in units.items() if unit})
    table.to_csv(path, index=False)
    return len(table)


def _parquet(store: Store, campaign: str, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _table(store, campaign)
    units: Mapping[str, str] = table.attrs["units"]
    columns = {name: _arrow(table[name].tolist()) for name in table.columns}
    fields = [
        pa.field(name, column.type, metadata={"unit": units[name]} if units.get(name) else None)
        for name, column in columns.items()
    ]
    schema = pa.schema(fields, metadata={"theoros.campaign": campaign})
    pq.write_table(pa.Table.from_arrays(list(columns.values()), schema=schema), path)
    return len(table)


def _arrow(cells: list[Any]) -> Any:
    """Cells as an Arrow array; a column of mixed kinds (a parameter that is text here and a number there) is text."""
    import pyarrow as pa

    cells = [None if isinstance(cell, float) and cell != cell else cell for cell in cells]
    try:
        return pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if cell is None else json.dumps(cell) for cell in cells])


def _extxyz(store: Store, campaign: str, path: Path) -> int:
    from ase.io import write

    images = [atoms for atoms, _, _ in _structures(store, campaign, "extxyz", _attach_all)]
    write(str(path), images, format="extxyz")
    return len(images)


def _ase_db(store: Store, campaign: str, path: Path) -> int:
    from ase.db import connect

    count = 0
    with connect(str(path), type="db", append=False) as database:
        for atoms, pairs, arrays in _structures(store, campaign, "ase-db", _attach_known):
            _as_calculator(atoms, pairs, arrays)
            arrays.update({key: pairs.pop(key) for key in list(pairs) if not _selectable(key, pairs[key])})
            database.write(atoms, key_value_pairs=pairs, data=arrays)
            count += 1
    return count


Attach = Callable[[Any, dict[str, Any], dict[str, Any], str, Any], None]


def _structures(
    store: Store, campaign: str, format_name: str, attach: Attach
) -> Iterator[tuple[Any, dict[str, Any], dict[str, Any]]]:
    """ASE atoms, key-value pairs and larger data of each label that tells its geometry."""
    from ase import Atoms

    with store.reading() as connection:
        rows = _rows(connection, campaign)
        with_geometry = [row for row in rows if _has_geometry(row.details)]
        if not with_geometry:
            raise NothingToExport(
                f"No label of campaign '{campaign}' tells a geometry, so nothing can be written as {format_name}. This "
                "format holds atomic structures. Export csv or parquet, or let the oracle return details with a "
                '"geometry" of symbols and positions.'
            )
        outputs = labels.outputs_of(connection, [row.label_id for row in with_geometry], store.artifacts)
    for row in with_geometry:
        geometry = row.details["geometry"]
        atoms = Atoms(symbols=geometry["symbols"], positions=np.asarray(geometry["positions"], dtype=np.float64))
        pairs: dict[str, Any] = {
            "campaign": campaign,
            "sequence": row.sequence,
            "candidate": row.text,
            "fidelity": row.fidelity,
            "oracle": row.oracle,
        }
        arrays: dict[str, Any] = {}
        for output, value in outputs[row.label_id].items():
            attach(atoms, pairs, arrays, output, value)
        yield atoms, pairs, arrays


def _rows(connection: Connection, campaign: str) -> list[Any]:
    campaign_id = campaigns.identify(connection, campaign)
    query = (
        select(
            Evaluation.sequence,
            Evaluation.fidelity,
            Evaluation.label_id,
            Candidate.text,
            Label.oracle,
            Label.details,
        )
        .join(Label, Label.id == Evaluation.label_id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(Evaluation.campaign_id == campaign_id)
        .order_by(Evaluation.sequence)
    )
    return list(connection.execute(query))


def _has_geometry(details: Any) -> bool:
    geometry = details.get("geometry") if isinstance(details, dict) else None
    if not isinstance(geometry, dict):
        return False
    symbols, positions = geometry.get("symbols"), geometry.get("positions")
    return isinstance(symbols, list) and isinstance(positions, list) and 0 < len(symbols) == len(positions)


def _attach_all(atoms: Any, pairs: dict[str, Any], _arrays: dict[str, Any], output: str, value: Any) -> None:
    """Everything goes into the structure itself: per-atom arrays beside the atoms, the rest into its info."""
    atoms.info.update(pairs)
    if value.ndim in (1, 2) and len(value) == len(atoms):
        atoms.arrays[output] = value
    else:
        atoms.info[output] = float(value) if value.ndim == 0 else value


def _attach_known(_atoms: Any, pairs: dict[str, Any], arrays: dict[str, Any], output: str, value: Any) -> None:
    """Scalars become key-value pairs, which ASE can select by; arrays become data."""
    (pairs if value.ndim == 0 else arrays)[output] = float(value) if value.ndim == 0 else value


def _as_calculator(atoms: Any, pairs: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Attach what ASE knows as a calculator's result (energy, forces, dipole, ...), taken from the rest, as one."""
    from ase.calculators.calculator import all_properties
    from ase.calculators.singlepoint import SinglePointCalculator

    known = {name: held.pop(name) for held in (pairs, arrays) for name in list(held) if name in all_properties}
    if known:
        atoms.calc = SinglePointCalculator(atoms, **known)


def _selectable(key: str, value: Any) -> bool:
    """Whether ASE's database admits the pair: it refuses reserved names, and texts that look like numbers."""
    from ase.db.core import check

    try:
        check({key: value})
    except (ValueError, AssertionError):
        return False
    return True
