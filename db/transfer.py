"""Copying a whole database into an empty one, between any two back ends, and proving that the copy is equal.

The source is read in one snapshot, so it may be in use meanwhile; the target gets everything in one transaction, which
is committed only after every table's digest has been read back and found equal. Ids stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Integer, Table, func, insert, select, text

from theoros.db import migrate
from theoros.db.artifacts import ArtifactStore, default_artifacts
from theoros.db.clock import now
from theoros.db.digest import Digester, TableDigest, batches, digests
from theoros.db.engine import WRITES, connect_or_explain, open_engine, open_read_only, parse_url, safe_url
from theoros.db.errors import ArtifactNotFound, CopyDiffers, DatabaseNotFound, TargetNotEmpty
from theoros.db.schema import Artifact, Base, Campaign, Run
from theoros.db.transactions import explaining
from theoros.db.wide import create_all_labels_wide

_PATIENCE = 86400.0  # seconds for one statement of a snapshot


@dataclass(frozen=True)
class CopyReport:
    """What was copied: tables with rows and digests (equal on both sides), and how many artifacts.

    `missing` are digests of artifacts that the source's own artifact store lacks; `running` names campaigns that were
    at work during the copy: what they do after it is not in it.
    """

    source: str
    target: str
    tables: tuple[TableDigest, ...]
    artifacts: int = 0
    missing: tuple[str, ...] = ()
    running: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


def migrate_database(
    source: str | Path,
    target: str | Path,
    *,
    artifacts: bool = True,
    source_artifacts: str | Path | None = None,
    target_artifacts: str | Path | None = None,
) -> CopyReport:
    """Copy the database at `source` into the one at `target`, which is made if there is none.

    Args:
        source: path or URL; it stays as it is, and may be in use.
        target: path or URL of a database without campaigns; else `TargetNotEmpty`.
        artifacts: copy the large arrays too.
        source_artifacts: where they are; default as for `Store`.
        target_artifacts: where they go; default as for `Store`.

    Raises `CopyDiffers`, with nothing kept, if what is read back differs from what was written.
    """
    store = ArtifactStore(source_artifacts or default_artifacts(parse_url(source)))
    onto = ArtifactStore(target_artifacts or default_artifacts(parse_url(target)))
    with snapshot(source) as connection:
        require_head(connection, safe_url(source))
        copied, missing = copy_artifacts(connection, store, onto) if artifacts else (0, ())
        copy = copy_into(connection, target)
        return CopyReport(safe_url(source), safe_url(target), copy, copied, missing, running(connection))


@contextlib.contextmanager
def snapshot(url: str | Path) -> Iterator[Connection]:
    """A connection that reads the database as it is now, whatever others write meanwhile."""
    engine = open_read_only(url, timeout_seconds=_PATIENCE)
    try:
        with explaining(engine), connect_or_explain(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                migrate.revision_of(connection)  # a snapshot begins with its first look
                yield connection
    finally:
        engine.dispose()


def require_head(connection: Connection, url: str) -> None:
    """Raise unless the database holds Theoros's tables of this version."""
    if migrate.revision_of(connection) is None:
        raise DatabaseNotFound(
            f"The database {url} holds nothing of Theoros, so there is nothing to copy. Check the URL."
        )
    migrate.check(connection.engine)


def copy_into(source: Connection, target: str | Path) -> tuple[TableDigest, ...]:
    """Copy all rows into the database at `target`, verified; returns its digests."""
    engine = open_engine(target, create=True)
    try:
        if migrate.check(engine) is None:
            migrate.upgrade(engine)
        with (
            explaining(engine),
            connect_or_explain(engine.execution_options(**{WRITES: True})) as connection,
            connection.begin(),
        ):
            require_empty(connection, engine)
            sent = [_copy_table(source, connection, table) for table in Base.metadata.sorted_tables]
            if connection.dialect.name == "postgresql":
                _reset_sequences(connection)
            create_all_labels_wide(connection)
            require_equal(sent, digests(connection), safe_url(engine.url))
    finally:
        engine.dispose()
    return tuple(sent)


def require_empty(connection: Connection, engine: Engine) -> None:
    """Raise `TargetNotEmpty` unless every table is empty, and keep others from writing until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE campaigns, candidates IN EXCLUSIVE MODE"))
    for table in Base.metadata.sorted_tables:
        if connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            raise TargetNotEmpty(
                f"The database {safe_url(engine.url)} is not empty: it has rows in '{table.name}'. A copy never mixes "
                "with what is there, and overwrites nothing. Name a new file, or make an empty database (createdb)."
            )


def require_equal(wanted: Sequence[TableDigest], found: Sequence[TableDigest], where: str) -> None:
    """Raise `CopyDiffers`, naming the tables, unless both have the same rows."""
    by_name = {table.table: table for table in found}
    rows = {table.table: table.rows for table in found}
    wrong = [
        f"{table.table} ({table.rows} rows expected, {rows.get(table.table, 0)} found)"
        for table in wanted
        if by_name.get(table.table) != table
    ]
    if wrong:
        raise CopyDiffers(
            f"{where} does not hold what it should: {', '.join(wrong)}. It was changed after it was written, or its "
            "disk is failing. Do not use it; make the copy again from its source, or take another backup."
        )


def copy_artifacts(connection: Connection, source: ArtifactStore, target: ArtifactStore) -> tuple[int, tuple[str, ...]]:
    """Copy every artifact that the database names; returns how many, and the digests that the source lacks."""
    if source.url == target.url:
        return 0, ()
    copied, missing = 0, []
    for digest, media_type in connection.execute(select(Artifact.digest, Artifact.media_type)):
        try:
            if not target.has(digest):
                target.put(source.get(digest), media_type)
                copied += 1
        except ArtifactNotFound:
            missing.append(digest)
    return copied, tuple(missing)


def running(connection: Connection) -> tuple[str, ...]:
    """The names of the campaigns whose owners hold their leases."""
    alive = select(Run.campaign_id).where(Run.ended_at.is_(None), Run.lease_expires_at > now())
    return tuple(
        connection.execute(select(Campaign.name).where(Campaign.id.in_(alive)).order_by(Campaign.id)).scalars()
    )


def _copy_table(source: Connection, target: Connection, table: Table) -> TableDigest:
    digester = Digester(table)
    for batch in batches(source, table):
        for row in batch:
            digester.add(row)
        target.execute(insert(table), [dict(row._mapping) for row in batch])
    return digester.result()


def _reset_sequences(connection: Connection) -> None:
    """Let PostgreSQL number the next row of every table after the last that was copied."""
    for table in Base.metadata.sorted_tables:
        key = table.c.get("id")
        if key is not None and isinstance(key.type, Integer):
            following = select(func.coalesce(func.max(key), 0) + 1).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, key.name)
            connection.execute(select(func.setval(sequence, following, False)))
