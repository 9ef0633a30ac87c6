"""Waiting for a database that is away: a call is repeated until it has happened, exactly once.

Nothing that failed has been written (`DatabaseUnreachable`, `DatabaseBusy`), so it may be repeated, whatever it is; and
where that is in doubt (`CommitUnknown`) the server is asked first, once it answers. So a claim, an event or a model
version is as safe to wait for as an answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from theoros.db.errors import CommitUnknown, DatabaseBusy, DatabaseUnreachable
from theoros.db.transactions import fate

if TYPE_CHECKING:
    from theoros.db.store import Store

T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
#: An absence of fewer seconds than this is nobody's concern.
WORTH_TELLING = 2.0


class Patience:
    """Repeats calls of a store until its database is back, for as long as that takes.

    Args:
        store: whose database it is.
        away: called once per absence that is worth telling, with a sentence for people.
        back: called once after such an absence, with a sentence, after the call has succeeded.
        before_repeating: called when the database may be back, before anything else is asked of it: an owner renews
            its lease here, lest another take over in the first moment.
    """

    def __init__(
        self,
        store: Store,
        *,
        away: Callable[[str], None],
        back: Callable[[str], None] = lambda _: None,
        before_repeating: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._away, self._back, self._before = store, away, back, before_repeating
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """From now on nobody waits: what is waiting, and what comes, raises `DatabaseUnreachable` or `DatabaseBusy`."""
        self._given_up.set()

    def __call__(self, call: Callable[[], T]) -> T:
        """The result of `call`, however long its database is away. Its other errors are raised as they are."""
        began, told = time.monotonic(), False
        doubt: CommitUnknown | None = None
        reason: DatabaseUnreachable | DatabaseBusy | None = None
        for pause in _pauses():
            try:
                if reason is not None:
                    self._prepare()
                done, result = self._settle(doubt)
                doubt = None
                result = result if done else call()
            except CommitUnknown as error:
                doubt = reason = error
            except (DatabaseUnreachable, DatabaseBusy) as error:
                reason = error
            else:
                if told:
                    self._back(f"the database is back after {time.monotonic() - began:.0f} s")
                return cast(T, result)
            if not told and time.monotonic() - began + pause >= WORTH_TELLING:
                self._away(f"the database has been away for {time.monotonic() - began:.0f} s: {reason}")
                told = True
            if self._given_up.wait(pause):
                raise reason
        raise AssertionError("unreachable")

    def _prepare(self) -> None:
        try:
            self._before()
        except CommitUnknown as error:  # a doubt of its own, not one of the call's
            raise DatabaseUnreachable(str(error)) from error

    def _settle(self, doubt: CommitUnknown | None) -> tuple[bool, Any]:
        """Whether the transaction in doubt has happened, and what it returned."""
        if doubt is None:
            return False, None
        with self._store.reading() as connection:
            became = fate(connection, doubt.transaction, doubt.checkpoint)
        if became == "in progress":
            raise DatabaseUnreachable(
                f"The server still works on transaction {doubt.transaction}, whose connection broke. It will "
                "notice within half a minute. Wait for it."
            )
        return became == "committed", doubt.result


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
