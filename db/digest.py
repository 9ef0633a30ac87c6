"""A fingerprint of every table that is the same on both back ends, so that a copy can be held against its source.

Rows are taken in the order of their primary key (texts by their bytes, whatever the database's collation), each as one
line of JSON, and the lines are hashed with SHA-256. Floats count to the last bit, but for the sign of zero, which
SQLite does not keep.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, Row, String, Table, select
from sqlalchemy.sql.elements import ColumnElement

from theoros.db.migrate import HEAD, revision_of
from theoros.db.schema import Base

BATCH = 1000


@dataclass(frozen=True)
class TableDigest:
    """How many rows a table has, and their SHA-256 in hexadecimal digits."""

    table: str
    rows: int
    digest: str


class Digester:
    """Takes a table's rows in order."""

    def __init__(self, table: Table) -> None:
        self._table, self._rows, self._hash = table.name, 0, hashlib.sha256()
        self._hash.update(_line([column.name for column in table.columns]))

    def add(self, row: Sequence[Any]) -> None:
        """Take the next row."""
        self._rows += 1
        self._hash.update(_line([_canonical(value) for value in row]))

    def result(self) -> TableDigest:
        """The digest of what was taken so far."""
        return TableDigest(self._table, self._rows, self._hash.hexdigest())


def tables(connection: Connection) -> list[Table]:
    """The tables of a database of any revision, those that others refer to first."""
    if revision_of(connection) == HEAD:
        return Base.metadata.sorted_tables
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def batches(connection: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """All rows of a table in the order of their primary key, streamed `BATCH` at a time."""
    collation = "C" if connection.dialect.name == "postgresql" else "BINARY"
    keys: list[ColumnElement[Any]] = [
        column.collate(collation) if isinstance(_plain_type(column), String) else column for column in table.primary_key
    ]
    yield from connection.execute(select(table).order_by(*keys).execution_options(yield_per=BATCH)).partitions()


def digest_of(connection: Connection, table: Table) -> TableDigest:
    """The digest of one table."""
    digester = Digester(table)
    for batch in batches(connection, table):
        for row in batch:
            digester.add(row)
    return digester.result()


def digests(connection: Connection) -> list[TableDigest]:
    """The digest of every table."""
    return [digest_of(connection, table) for table in tables(connection)]


def _plain_type(column: Any) -> Any:
    return getattr(column.type, "impl_instance", column.type)


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, dt.datetime):
        aware = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        return aware.isoformat(timespec="microseconds")
    return value


def _line(values: Sequence[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
