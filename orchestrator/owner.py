"""Owning a campaign from a session's start to its end, whatever its database does meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil

from theoros.db import OwnershipLost, Store
from theoros.db.errors import DatabaseBusy, DatabaseUnreachable
from theoros.db.patience import Patience

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Owner:
    """The owner of a campaign, and its way to the store before its agents live and after they have gone.

    Called with a function that makes one transaction, it repeats that until the database is there, as `Gateway` does
    for the agents; an absence is logged once as a warning, and so is its end. `token` is what `Store.acquire` gave.
    """

    def __init__(self, store: Store, campaign: str) -> None:
        self.store, self.campaign, self.token = store, campaign, ""
        self._waiting = False
        self._patiently = Patience(store, away=self._away, back=self._back, before_repeating=self._renew)

    def __call__(self, call: Callable[[], T]) -> T:
        """The result of `call`, however long the database is away; DatabaseUnreachable when a person interrupts."""
        try:
            return self._patiently(call)
        except KeyboardInterrupt:
            if not self._waiting:
                raise
            raise DatabaseUnreachable(
                f"The database {self.store.safe_url} is away, and waiting for it was interrupted. Check that its "
                "server runs, and try again."
            ) from None

    def give_up(self) -> None:
        """Wait no longer for a database that is away."""
        self._patiently.give_up()

    def acquire(self) -> None:
        """Become the owner. Raises CampaignOwned when somebody else is."""
        host, pid = socket.gethostname(), os.getpid()
        self.token = self(lambda: self.store.acquire(self.campaign, host=host, pid=pid, pid_is_dead=is_dead_here))

    def release(self) -> None:
        """Give the campaign back, if the database can be told; if not, the lease runs out by itself."""
        with contextlib.suppress(DatabaseUnreachable, DatabaseBusy):
            self.store.release(self.campaign, self.token)

    def _away(self, message: str) -> None:
        self._waiting = True
        _log.warning("%s It is waited for; interrupt to leave it.", message)

    def _back(self, message: str) -> None:
        self._waiting = False
        _log.warning(message)

    def _renew(self) -> None:
        if self.token:
            with contextlib.suppress(OwnershipLost):  # each call says itself whether it needs an owner
                self.store.heartbeat(self.campaign, self.token)


@contextlib.contextmanager
def owned(store: Store, campaign: str) -> Iterator[Owner]:
    """Own a campaign for the length of a block. Raises CampaignOwned."""
    owner = Owner(store, campaign)
    owner.acquire()
    try:
        yield owner
    finally:
        owner.release()


def is_dead_here(host: str, pid: int) -> bool:
    """True when `pid` was a process of this host and is no more: then nobody has to wait for its lease to run out."""
    return host == socket.gethostname() and not psutil.pid_exists(pid)
