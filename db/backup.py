"""Backups: one SQLite file, whatever the database is, with a manifest of its digests beside it, and back again.

A SQLite database is copied page by page with SQLite's online backup, from the same snapshot as its digests; a
PostgreSQL database is copied row by row. Either way the file appears under its name only when it is whole and verified.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from theoros.db.artifacts import ArtifactStore, default_artifacts, sync_folder
from theoros.db.digest import TableDigest, digests
from theoros.db.engine import connect_or_explain, open_archive, parse_url, safe_url
from theoros.db.errors import CopyDiffers, DatabaseNotFound, TargetNotEmpty
from theoros.db.migrate import revision_of
from theoros.db.transactions import explaining
from theoros.db.transfer import CopyReport, copy_artifacts, copy_into, require_equal, require_head, running, snapshot


def backup(url: str | Path, file: Path, *, artifacts: bool = True) -> CopyReport:
    """Copy the database at `url`, which may be in use, into the new file `file` (mode 0600), its artifacts beside it.

    Raises `TargetNotEmpty` if there is such a file, and `CopyDiffers`, with no file made, if the copy is not equal.
    """
    file = file.expanduser().absolute()
    _require_new(file)
    part = _part(file)
    with snapshot(url) as connection:
        if revision_of(connection) is None:
            require_head(connection, safe_url(url))
        store = ArtifactStore(default_artifacts(parse_url(url)))
        copied, missing = copy_artifacts(connection, store, _artifacts_beside(file)) if artifacts else (0, ())
        try:
            if connection.dialect.name == "sqlite":
                tables = _copy_pages(connection, part)
            else:
                require_head(connection, safe_url(url))
                tables = copy_into(connection, part)
                _stand_alone(part)
            _write_manifest(manifest_of(file), connection, safe_url(url), tables)
            _appear(part, file)
        finally:
            _remove(part)
        return CopyReport(safe_url(url), str(file), tables, copied, missing, running(connection))


def restore(file: Path, url: str | Path, *, artifacts: bool = True) -> CopyReport:
    """Copy a backup into the database at `url`, which is made if there is none and must be empty.

    The backup is first held against its manifest, where it has one: `CopyDiffers` if it was changed since.
    """
    file = file.expanduser().absolute()
    if not file.is_file():
        raise DatabaseNotFound(f"There is no backup {file}. Check the path; `theoros db backup FILE` makes one.")
    target = parse_url(url)
    path = Path(target.database or "") if target.get_backend_name() == "sqlite" else None
    engine = open_archive(file)
    try:
        with explaining(engine), connect_or_explain(engine) as connection, connection.begin():
            check_archive(connection, file)
            beside, store = _artifacts_beside(file), ArtifactStore(default_artifacts(target))
            copied, missing = copy_artifacts(connection, beside, store) if artifacts else (0, ())
            if path is not None and not path.exists():
                part = _part(path)
                try:
                    tables = _copy_pages(connection, part)
                    _appear(part, path)
                finally:
                    _remove(part)
            else:
                require_head(connection, str(file))
                tables = copy_into(connection, url)
            return CopyReport(str(file), safe_url(url), tables, copied, missing)
    finally:
        engine.dispose()


def check_archive(connection: Connection, file: Path) -> None:
    """Raise `CopyDiffers` if a backup is damaged, or is not what its manifest says."""
    path = manifest_of(file)
    try:
        _require_integrity(connection, file)
        found = digests(connection) if path.is_file() else []
    except (DBAPIError, ValueError, TypeError) as error:  # so damaged that it cannot even be read
        said = str(error.orig if isinstance(error, DBAPIError) else error)
        raise CopyDiffers(
            f"The file {file} is damaged: {said}. Its disk is failing, or something else wrote to it. Take another "
            "backup."
        ) from error
    if path.is_file():
        tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
        wanted = [TableDigest(name, table["rows"], table["sha256"]) for name, table in tables.items()]
        require_equal(wanted, found, str(file))


def manifest_of(file: Path) -> Path:
    """Where a backup's digests are."""
    return file.with_name(file.name + ".manifest.json")


def _copy_pages(source: Connection, part: Path) -> tuple[TableDigest, ...]:
    """SQLite's online backup of the snapshot that `source` reads; it keeps no writer waiting."""
    part.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    raw: Any = source.connection.dbapi_connection
    wanted = digests(source)
    copy = sqlite3.connect(part)
    try:
        raw.backup(copy)
    finally:
        copy.close()
    _stand_alone(part)
    engine = open_archive(part)
    try:
        with connect_or_explain(engine) as connection, connection.begin():
            _require_integrity(connection, part)
            require_equal(wanted, digests(connection), str(part))
    finally:
        engine.dispose()
    return tuple(wanted)


def _stand_alone(part: Path) -> None:
    """Leave one file: no write-ahead log beside it that could be forgotten."""
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
    finally:
        copy.close()
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _require_integrity(connection: Connection, file: Path) -> None:
    said = connection.execute(text("PRAGMA integrity_check")).scalars().all()
    orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    if said != ["ok"] or orphans:
        reason = said[0] if said != ["ok"] else f"{len(orphans)} rows refer to rows that are not there"
        raise CopyDiffers(
            f"The file {file} is damaged: {reason}. Its disk is failing, or something else wrote to it. Take another "
            "backup."
        )


def _write_manifest(path: Path, source: Connection, url: str, tables: tuple[TableDigest, ...]) -> None:
    content = {
        "source": url,
        "revision": revision_of(source),
        "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "tables": {table.table: {"rows": table.rows, "sha256": table.digest} for table in tables},
    }
    part = _part(path)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def _require_new(file: Path) -> None:
    if file.exists():
        raise TargetNotEmpty(
            f"The file {file} exists. A backup overwrites nothing. Name a new file, or remove that one."
        )
    if not file.parent.is_dir():
        raise DatabaseNotFound(f"The folder {file.parent} does not exist. Make it with: mkdir -p {file.parent}")


def _appear(part: Path, file: Path) -> None:
    part.rename(file)
    sync_folder(file.parent)


def _artifacts_beside(file: Path) -> ArtifactStore:
    return ArtifactStore(file.with_suffix(".artifacts"))


def _part(file: Path) -> Path:
    return file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")


def _remove(part: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
