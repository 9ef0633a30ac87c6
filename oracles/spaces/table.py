"""Reading tables (CSV, Parquet, .smi) in batches, without holding a whole file."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theoros.oracles.spaces.errors import SpaceError

if TYPE_CHECKING:
    import pyarrow as pa

#: Text that stands for "no value".
NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
BLOCK_BYTES = 4 << 20
#: The rest of a quoted value of a CSV file up to its closing quote; two quotes stand for one.
_REST_OF_VALUE = re.compile(rb'(?:[^"]|"")*+"')


@dataclass(frozen=True)
class FileState:
    """A file as it was when something was read from it; a change makes cached knowledge of it stale."""

    path: str
    size: int
    modified_ns: int


def file_state(path: str) -> FileState:
    """The state of the file now; raises SpaceError when there is none."""
    try:
        stat = os.stat(path)  # noqa: PTH116  the path is kept as text, as the user wrote it
    except OSError:
        near = sorted(p.name for p in Path(path).parent.glob("*") if p.suffix == Path(path).suffix)[:5]
        hint = f"Its folder has {', '.join(near)}." if near else "Check the path; it is relative to the campaign file."
        raise SpaceError(("file",), f"there is no file {path}. {hint}") from None
    if not Path(path).is_file():
        raise SpaceError(("file",), f"{path} is not a file. Name one CSV, Parquet or .smi file.")
    return FileState(path, stat.st_size, stat.st_mtime_ns)


def file_format(path: str) -> str:
    """``"csv"``, ``"tsv"``, ``"parquet"`` or ``"smi"`` by the name; raises SpaceError for others."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    last = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else suffixes[-1] if suffixes else ""
    known = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".smi": "smi", ".smiles": "smi"}
    if last not in known:
        raise SpaceError(("file",), f"the format of {path} is unknown. Use .csv, .tsv, .parquet or .smi (or .csv.gz).")
    return known[last]


def column_names(path: str) -> tuple[str, ...]:
    """The table's columns; a .smi file has ``smiles`` and ``name``."""
    return _column_names(file_state(path))


def count_rows(path: str) -> int:
    """How many rows there are, header excluded."""
    return _count_rows(file_state(path))


def sha256(path: str) -> str:
    """The SHA-256 of the file's bytes, computed once for a state of the file."""
    return _sha256(file_state(path))


def require_columns(path: str, wanted: Sequence[str], field: tuple[str | int, ...]) -> None:
    """Raise SpaceError naming the columns there are when one of `wanted` is missing."""
    names = column_names(path)
    for name in wanted:
        if name not in names:
            raise SpaceError(field, f"{Path(path).name} has no column {name!r}. It has {', '.join(names)}.")


def read_through(path: str, columns: Sequence[str]) -> None:
    """Raise SpaceError unless `columns` can be read from the first row to the last; once for a state of the file."""
    _read_through(file_state(path), tuple(columns))


def read_batches(path: str, columns: Sequence[str], batch: int = 10_000) -> Iterator[pa.RecordBatch]:
    """Yield `columns` as text (null where there is no value), at most `batch` rows at a time, in file order.

    Text, whatever the file holds, because a CSV column's type is not known before its last row; `numbers` converts.
    """
    form = file_format(path)
    if form == "smi":
        yield from _read_smi(path, columns, batch)
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    source = _open_parquet(path, columns, batch) if form == "parquet" else _open_csv(path, form, columns)
    for block in source:
        arrays = [block.column(name) for name in columns]
        text = [array if pa.types.is_string(array.type) else pc.cast(array, pa.string()) for array in arrays]
        whole = pa.RecordBatch.from_arrays(text, names=list(columns))
        for start in range(0, whole.num_rows, batch):
            yield whole.slice(start, batch)


def numbers(array: Any) -> Any:
    """A text array as float64, or None when some text in it is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(pc.utf8_trim_whitespace(array), pa.float64())
    except pa.ArrowInvalid:
        return None


@lru_cache(maxsize=64)
def _sha256(state: FileState) -> str:
    with open(state.path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _column_names(state: FileState) -> tuple[str, ...]:
    form = file_format(state.path)
    if form == "smi":
        return ("smiles", "name")
    if form == "parquet":
        import pyarrow.parquet as pq

        return tuple(pq.read_schema(state.path).names)
    import pyarrow as pa

    try:
        reader = _csv_reader(state.path, form, None)
    except pa.ArrowInvalid as error:
        raise SpaceError(("file",), f"{state.path} can't be read as a table: {error}. Give it a header line.") from None
    with reader:
        return tuple(reader.schema.names)


@lru_cache(maxsize=64)
def _read_through(state: FileState, columns: tuple[str, ...]) -> None:
    if file_format(state.path) != "parquet":  # whose format guards its own text
        for _ in read_batches(state.path, columns):
            pass


@lru_cache(maxsize=64)
def _count_rows(state: FileState) -> int:
    if file_format(state.path) == "parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(state.path).num_rows)
    first = _column_names(state)[:1]
    return sum(block.num_rows for block in read_batches(state.path, first))


def _csv_reader(path: str, form: str, columns: Sequence[str] | None) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    _check_quotes(file_state(path), b"\t" if form == "tsv" else b",")
    convert = csv.ConvertOptions(null_values=NULLS, strings_can_be_null=True)
    if columns is not None:
        convert = csv.ConvertOptions(
            null_values=NULLS,
            strings_can_be_null=True,
            include_columns=list(columns),
            column_types={name: pa.string() for name in columns},
        )
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter="\t" if form == "tsv" else ",", newlines_in_values=False),
        convert_options=convert,
    )


def _open_csv(path: str, form: str, columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        with _csv_reader(path, form, columns) as reader:
            yield from reader
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        mend = "Save it as UTF-8." if "invalid UTF8" in str(error) else "Mend the file."
        raise SpaceError(("file",), f"{path} can't be read as a table: {error}. {mend}") from None


@lru_cache(maxsize=64)
def _check_quotes(state: FileState, delimiter: bytes) -> None:
    """Raise SpaceError for a quote that is never closed: all rows after it would be read as one value."""
    opened = 0  # the line of the quote that is open
    with _opener(state.path)(state.path, "rb") as file:
        for number, line in enumerate(file, 1):
            if b'"' not in line:
                continue
            rest = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            still_open = _ends_in_quotes(rest, delimiter, inside=opened > 0)
            opened = (opened or number) if still_open else 0
    if opened:
        raise SpaceError(
            ("file",),
            f"{state.path}: line {opened} opens a quote that is never closed, so that no row after it can be read. "
            'Close it, or write two quotes ("") for one that belongs to the text.',
        )


def _ends_in_quotes(line: bytes, delimiter: bytes, *, inside: bool) -> bool:
    """Whether a quoted value goes on after the `line`, which begins `inside` one or at the start of a value."""
    position = 0
    while True:
        if inside or line[position : position + 1] == b'"':
            closed = _REST_OF_VALUE.match(line, position if inside else position + 1)
            if closed is None:
                return True
            position, inside = closed.end(), False
        following = line.find(delimiter, position)
        if following < 0:
            return False
        position = following + 1


def _open_parquet(path: str, columns: Sequence[str], batch: int) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=batch, columns=list(columns))


def _read_smi(path: str, columns: Sequence[str], batch: int) -> Iterator[Any]:
    import pyarrow as pa

    rows: list[tuple[str | None, str | None]] = []
    position = {"smiles": 0, "name": 1}

    def packed() -> Any:
        arrays = [pa.array([row[position[name]] for row in rows], pa.string()) for name in columns]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    try:
        with _opener(path)(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                fields = line.split(maxsplit=1)
                if not fields:
                    continue
                rows.append((fields[0], fields[1].strip() if len(fields) > 1 else None))
                if len(rows) == batch:
                    yield packed()
                    rows.clear()
    except UnicodeDecodeError:
        raise SpaceError(("file",), _undecodable(path)) from None
    if rows:
        yield packed()


def _undecodable(path: str) -> str:
    """What is wrong with a text file that is not UTF-8, and where."""
    with _opener(path)(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if wrong := re.search("[\udc80-\udcff]", line):
                byte = ord(wrong[0]) - 0xDC00
                return f"{path}: line {number} is not UTF-8 text: it has the byte 0x{byte:02x}. Save the file as UTF-8."
    return f"{path} is not UTF-8 text. Save the file as UTF-8."


def _opener(path: str) -> Any:
    return gzip.open if path.endswith(".gz") else open
