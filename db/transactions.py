"""Running a write as one transaction: in turn on SQLite, repeated when PostgreSQL rolled it back because of others."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from theoros.db.engine import BUSY_SECONDS, WRITES, connect_or_explain, safe_url
from theoros.db.errors import DatabaseBusy, DatabaseUnreachable

T = TypeVar("T")
_PAUSES = (0.02, 0.1, 0.4, 1.0)  # before each repetition
_TRANSIENT = frozenset({"40001", "40P01"})  # serialization failure, deadlock: the server has undone everything


class Writer:
    """Runs functions of a connection, each in a write transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(**{WRITES: True})
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )

    def __call__(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed."""
        for pause in (*_PAUSES, None):
            try:
                with self._turn, connect_or_explain(self._engine) as connection, connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if pause is None or getattr(error.orig, "sqlstate", None) not in _TRANSIENT:
                    raise _explained(error, safe_url(self._engine.url)) from error
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311
        raise AssertionError("unreachable")


def _explained(error: DBAPIError, url: str) -> Exception:
    if error.connection_invalidated:
        return DatabaseUnreachable(
            f"The connection to {url} broke during a write. Whether the write happened is not known; every write but a "
            "claim may simply be repeated. Check that the server runs."
        )
    if "database is locked" in str(error.orig):
        return DatabaseBusy(
            f"The database {url} was locked for {BUSY_SECONDS:.0f} s. Another process is writing for very long. "
            "Find it (fuser), or use PostgreSQL for many writers."
        )
    return error
