"""Opening an engine from a path or a URL: SQLite on a local disk, or PostgreSQL."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from theoros.db.errors import DatabaseNotFound, DatabaseUnreachable, StoreError
from theoros.db.filesystem import refuse_network_file_system
from theoros.db.types import dumps, loads

WRITES = "theoros_writes"  # execution option: this connection's transactions take SQLite's write lock at once
BUSY_SECONDS = 30.0
# A server that vanished without a word (a cut cable, a host that lost power) is noticed within half a minute, on both
# sides; TCP by itself waits for hours.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_SERVER_KEEPALIVE = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
_LOOKS_LIKE_A_URL = re.compile(r"(postgres|postgresql|sqlite)(\+\w+)?:", re.IGNORECASE)
_SECRET_KEYS = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_HARMLESS_PRAGMAS = frozenset(
    {
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "foreign_key_list",
        "foreign_key_check",
        "integrity_check",
        "quick_check",
    }
)


def parse_url(url: str | Path) -> URL:
    """`url` normalised: a path becomes SQLite with an absolute path, ``postgresql://`` names the psycopg driver."""
    text = str(url)
    if isinstance(url, str) and _LOOKS_LIKE_A_URL.match(text) and "://" not in text:
        raise StoreError(
            f"The database begins with '{text.split(':', 1)[0]}:' as a URL does, and is none. Two slashes are missing, "
            "or the path is an odd one. Write postgresql://user@host/name, or ./ before a path."
        )
    if isinstance(url, Path) or "://" not in text:
        if not text or text == ":memory:":
            raise StoreError(
                "A store needs a file or a server. What lives in memory is gone with its process, and no second "
                "connection can query it. Give a path such as campaigns.db."
            )
        return URL.create("sqlite+pysqlite", database=str(Path(text).expanduser().absolute()))
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"The database URL beginning '{text.split('://', 1)[0]}://' cannot be read. It is no path and no URL. "
            "Write campaigns.db or postgresql://user@host/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return parse_url(Path(parsed.database or "")) if parsed.database else parse_url(":memory:")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(
        f"Theoros cannot use a '{backend}' database. It needs SQLite or PostgreSQL. "
        "Write campaigns.db or postgresql://user@host/name."
    )


def safe_url(url: str | Path | URL) -> str:
    """`url` for people and logs: no password, neither before the host nor among the parameters."""
    parsed = url if isinstance(url, URL) else parse_url(url)
    secrets = {key: "***" for key in parsed.query if _SECRET_KEYS.search(key)}
    parsed = parsed.update_query_dict(secrets) if secrets else parsed
    if parsed.get_backend_name() == "sqlite":
        return f"sqlite:///{parsed.database}"
    return parsed.set(drivername="postgresql").render_as_string(hide_password=True)


def open_engine(url: str | Path | URL, *, create: bool = True) -> Engine:
    """An engine for reading and writing; the file of a new SQLite database is made with mode 0600."""
    parsed = url if isinstance(url, URL) else parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = _existing(parsed, create)
        return _sqlite_engine(parsed, f"file:{quote(str(path))}?mode=rw", read_only=False)
    return _postgres_engine(parsed, "")


def open_read_only(url: str | Path | URL, *, timeout_seconds: float = 60.0) -> Engine:
    """An engine whose every statement only reads, and for no longer than `timeout_seconds`, on a connection of its own.

    SQLite: ``mode=ro``, ``query_only`` and an authoriser that admits nothing but reading. PostgreSQL: read-only
    transactions with a statement timeout, one statement at a time (statements are prepared, so that a second one
    hidden behind a semicolon is refused); connections are not reused, so no setting outlives its statement.
    """
    parsed = url if isinstance(url, URL) else parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = _existing(parsed, create=False)
        return _sqlite_engine(
            parsed, f"file:{quote(str(path))}?mode=ro", read_only=True, timeout_seconds=timeout_seconds
        )
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(timeout_seconds * 1000)}"
    return _postgres_engine(parsed, options, {"prepare_threshold": 0}, poolclass=NullPool)


def open_archive(path: Path) -> Engine:
    """An engine that reads a SQLite file which nobody writes to, on any file system, and makes no files beside it."""
    parsed = parse_url(path)
    uri = f"file:{quote(str(parsed.database))}?mode=ro&immutable=1"
    return _sqlite_engine(parsed, uri, read_only=True, timeout_seconds=86400.0)


def connect_or_explain(engine: Engine) -> Connection:
    """A connection of `engine`, or `DatabaseUnreachable` without the URL's secrets."""
    try:
        return engine.connect()
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        password = engine.url.password
        if password:
            reason = reason.replace(str(password), "***")
        raise DatabaseUnreachable(
            f"The database {safe_url(engine.url)} cannot be opened. The driver says: {reason}. "
            "Check the address, that the server runs, and your permissions."
        ) from None


def _existing(parsed: URL, create: bool) -> Path:
    path = Path(parsed.database or "")
    refuse_network_file_system(path)
    if path.exists():
        return path
    if not create:
        raise DatabaseNotFound(
            f"There is no database at {path}. It is made by the first `theoros run`. Check the path, or run a campaign."
        )
    if not path.parent.is_dir():
        raise DatabaseNotFound(
            f"The folder {path.parent} of the database {path.name} does not exist. SQLite does not make folders. "
            f"Make it with: mkdir -p {path.parent}"
        )
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return path


def _postgres_engine(parsed: URL, options: str, more: Mapping[str, Any] | None = None, **kw: Any) -> Engine:
    given = parsed.query.get("options", "")
    given = given if isinstance(given, str) else " ".join(given)
    every = " ".join([given, "-c timezone=UTC", _SERVER_KEEPALIVE, options])
    defaults = {"connect_timeout": 15, "application_name": "theoros", **_KEEPALIVE}
    arguments = {key: value for key, value in defaults.items() if key not in parsed.query}
    arguments |= {"options": every.strip(), **(more or {})}
    return create_engine(
        parsed,
        connect_args=arguments,
        pool_pre_ping=True,
        json_serializer=dumps,
        json_deserializer=loads,
        hide_parameters=True,
        **kw,
    )


def _sqlite_engine(parsed: URL, uri: str, *, read_only: bool, timeout_seconds: float = 0.0) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver starts no transactions; `begin` below does (SQLAlchemy's own advice).
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    engine = create_engine(
        parsed, creator=connect, json_serializer=dumps, json_deserializer=loads, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(_only_reading)
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a committed label survives power loss

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        connection.exec_driver_sql("BEGIN")
        if read_only:
            deadline = time.monotonic() + timeout_seconds
            raw: Any = connection.connection.dbapi_connection
            raw.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)

    return engine


def _only_reading(action: int, first: str | None, *_: str | None) -> int:
    allowed = (
        action in _READING
        or (action == sqlite3.SQLITE_TRANSACTION)
        or (action == sqlite3.SQLITE_PRAGMA and first in _HARMLESS_PRAGMAS)
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
