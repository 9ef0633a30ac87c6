"""A process that dies in the middle of a transaction, as the store sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from theoros.db import Store


class Death(Exception):
    """The process ended here."""


class Breaker:
    """Lets the process die at a statement of its transaction, counted from 1, or (0) as it commits."""

    def __init__(self) -> None:
        self._at: int | None = None
        self._closes = False
        self._seen = 0

    def watch(self, store: Store) -> None:
        event.listen(store._engine, "before_cursor_execute", lambda connection, *_: self._statement(connection))
        event.listen(store._engine, "commit", self._commit)

    @contextlib.contextmanager
    def armed(self, at: int, closes: bool) -> Iterator[None]:
        """`closes`: the connection breaks, and the server finds out; else whoever asks for the statement dies."""
        self._at, self._closes, self._seen = at, closes, 0
        try:
            yield
        finally:
            self._at = None

    def _statement(self, connection: Any) -> None:
        self._seen += 1
        if self._at == self._seen:
            self._die(connection)

    def _commit(self, connection: Any) -> None:
        if self._at == 0:
            self._die(connection)

    def _die(self, connection: Any) -> None:
        self._at = None
        if not self._closes:
            raise Death
        connection.connection.dbapi_connection.close()
