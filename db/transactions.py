"""Running a write as one transaction: in turn on SQLite, repeated when PostgreSQL rolled it back because of others.

A connection that breaks during COMMIT leaves its client in doubt. PostgreSQL remembers the fate of every transaction by
its number, so the doubt is carried in `CommitUnknown` and settled by `fate` later. But a server that lost its power
forgets the transactions that had not reached its disk, and gives their numbers to others: so the doubt also carries the
server's last checkpoint, by which `fate` recognises a number that was forgotten.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from theoros.db.engine import BUSY_SECONDS, WRITES, connect_or_explain, safe_url
from theoros.db.errors import CommitUnknown, DatabaseBusy, DatabaseFull, DatabaseUnreachable

T = TypeVar("T")
Fate = Literal["committed", "undone", "in progress"]
_PAUSES = (0.02, 0.1, 0.4, 1.0)  # before each repetition
_TRANSIENT = frozenset({"40001", "40P01"})  # serialization failure, deadlock: the server has undone everything
_CLOSING = frozenset({"57P01", "57P02", "57P03"})  # the server stops, crashed, or starts
_STANDBY, _DISK_FULL, _FUTURE = "25006", "53100", "22023"
_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"})  # the disk is full, or a quota
_NUMBER = text(
    "SELECT txid_current_if_assigned(), timeline_id || '/' || checkpoint_lsn FROM pg_control_checkpoint() "
    "WHERE txid_current_if_assigned() IS NOT NULL"
)
# The checkpoint that ends a recovery (or a shutdown) begins where it stands, and knows the first number that is free.
_FORGOTTEN = text(
    "SELECT redo_lsn = checkpoint_lsn AND timeline_id || '/' || checkpoint_lsn <> :then "
    "AND CAST(timeline_id AS text) = split_part(:then, '/', 1) "
    "AND CAST(split_part(next_xid, ':', 1) AS bigint) * 4294967296 + CAST(split_part(next_xid, ':', 2) AS bigint) "
    "<= :number "
    "FROM pg_control_checkpoint()"
)


class Writer:
    """Runs functions of a connection, each in a write transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{WRITES: True})
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )

    def __call__(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed.

        Raises `DatabaseUnreachable` or `DatabaseBusy` when nothing was written, and `CommitUnknown` when the connection
        broke just as it was.
        """
        for pause in (*_PAUSES, None):
            try:
                with self._turn, connect_or_explain(self._engine) as connection, connection.begin() as transaction:
                    result = work(connection)
                    mark = _mark(connection)
                    try:
                        transaction.commit()
                    except DBAPIError as error:
                        if mark is None or not error.connection_invalidated:
                            raise
                        raise _in_doubt(safe_url(self._engine.url), *mark, result) from error
                    return result
            except DBAPIError as error:
                if pause is None or getattr(error.orig, "sqlstate", None) not in _TRANSIENT:
                    raise explained(error, safe_url(self._engine.url)) from error
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311
        raise AssertionError("unreachable")


@contextlib.contextmanager
def explaining(engine: Engine) -> Iterator[None]:
    """Turn the driver's words for a database that is away or busy into ours; other errors pass."""
    try:
        yield
    except DBAPIError as error:
        known = explained(error, safe_url(engine.url))
        if known is error:
            raise
        raise known from error


def fate(connection: Connection, number: int, checkpoint: str = "") -> Fate:
    """What became of a transaction that knew of `checkpoint`.

    A server that has never heard of it was restored from before it: it is undone. So it is when the server has
    recovered without it, and has perhaps given its number to another since.
    """
    if checkpoint and connection.execute(_FORGOTTEN, {"then": checkpoint, "number": number}).scalar_one():
        return "undone"
    try:
        said = connection.execute(text("SELECT txid_status(:number)"), {"number": number}).scalar_one()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _FUTURE:
            return "undone"
        raise
    if said == "in progress":  # the server has not noticed yet that its client is gone
        return "in progress"
    return "committed" if said == "committed" else "undone"


def explained(error: DBAPIError, url: str) -> Exception:
    """`error` as one that a person, or a caller with patience, can do something about; else `error` itself."""
    state, said = getattr(error.orig, "sqlstate", None), str(error.orig)
    if error.connection_invalidated or state in _CLOSING or "unable to open database file" in said:
        return DatabaseUnreachable(
            f"The connection to {url} broke, before anything was written. The server stopped, or the way to it is cut. "
            "Check that the server runs, and try again."
        )
    if state == _STANDBY:
        return DatabaseUnreachable(
            f"The database {url} takes no writes now. It is a standby, or its administrator made it read-only. "
            "Connect to the primary server, or wait until this one is it."
        )
    if state == _DISK_FULL or getattr(error.orig, "sqlite_errorname", "") in _NO_ROOM:
        return DatabaseFull(
            f"The disk of the database {url} is full, or a quota on it is used up, so nothing was written. "
            "Make room there; nothing else is needed."
        )
    if "database is locked" in said:
        return DatabaseBusy(
            f"The database {url} was locked for {BUSY_SECONDS:.0f} s. Another process is writing for very long. "
            "Find it (fuser), or use PostgreSQL for many writers."
        )
    return error


def _mark(connection: Connection) -> tuple[int, str] | None:
    """The server's number for this transaction, and its last checkpoint (timeline and position).

    None if the transaction has written nothing, and on SQLite, which has no doubts.
    """
    if connection.dialect.name != "postgresql":
        return None
    row = connection.execute(_NUMBER).one_or_none()
    return None if row is None else (int(row[0]), str(row[1]))


def _in_doubt(url: str, number: int, checkpoint: str, result: object) -> CommitUnknown:
    return CommitUnknown(
        f"The connection to {url} broke while transaction {number} was being committed. Whether it happened is not "
        "known until the server answers again. Check that the server runs.",
        number,
        result,
        checkpoint,
    )
