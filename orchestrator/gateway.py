"""The way from asyncio to the store: one thread, so that the event loop never waits for the database.

A database that is away stalls its campaign and does not end it: see `theoros.db.patience`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from theoros.db import OwnershipLost, Store
from theoros.db.errors import DatabaseBusy, DatabaseUnreachable
from theoros.db.patience import Patience
from theoros.db.records import (
    AnswerRecord,
    CampaignRecord,
    Claim,
    DecisionRecord,
    EvaluationRecord,
    FailureRecord,
    LabelRecord,
    ModelVersionRecord,
    Progress,
)

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Gateway:
    """The store of one campaign, for its owner. Calls run in order, in one thread.

    A call whose database is away waits until it is back, for as long as that takes, and then happens exactly once.
    A person learns of it once per absence: `notice` is called in the event loop with a sentence when the database has
    been away for some seconds and again when it is back (default: a logged warning), and the campaign's log of events
    has it afterwards. An owner whose lease ran out meanwhile renews it before anything else, and so stays the owner
    unless another has taken over.
    """

    def __init__(self, store: Store, campaign: str, owner: str, *, notice: Callable[[str], None] | None = None) -> None:
        self.store, self.campaign, self.owner = store, campaign, owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="theoros-store")
        self._labels: dict[int, LabelRecord] = {}
        self._attempts: set[str] = set()
        self._notice = notice or _log.warning
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patiently = Patience(store, away=self._tell, back=self._back, before_repeating=self._renew)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(
            self._thread, lambda: self._patiently(lambda: function(*args, **kwargs))
        )

    def give_up(self) -> None:
        """Stop waiting for a database that is away: its calls raise `DatabaseUnreachable` from now on."""
        self._patiently.give_up()

    def close(self) -> None:
        """Wait for what is under way, but not for a database that is away, and end the thread."""
        self.give_up()
        self._thread.shutdown(wait=True)

    # -- a database that is away (in the thread) --------------------------------------------------------------------

    def _tell(self, message: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to be told
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._notice, message)

    def _back(self, message: str) -> None:
        self._tell(message)
        with contextlib.suppress(DatabaseUnreachable, DatabaseBusy):  # away again, and that will be told too
            self.store.add_event(self.campaign, "database_away", message)

    def _renew(self) -> None:
        with contextlib.suppress(OwnershipLost):  # each call says itself whether it needs an owner
            self.store.heartbeat(self.campaign, self.owner, attempt_tokens=sorted(self._attempts))

    # -- queue ------------------------------------------------------------------------------------------------------

    async def enqueue(self, decisions: Sequence[DecisionRecord], required: Sequence[str]) -> list[EvaluationRecord]:
        """Commit decisions; see `Store.enqueue`."""
        return await self._call(
            self.store.enqueue, self.campaign, decisions, owner=self.owner, required_outputs=required
        )

    async def claim(self, worker: str) -> list[Claim]:
        """Claim the next evaluation for a slot."""
        claims = await self._call(self.store.claim, self.campaign, worker=worker, limit=1, owner=self.owner)
        self._attempts |= {claim.token for claim in claims}
        return claims

    async def complete(self, token: str, answer: AnswerRecord) -> bool:
        """Store an answer; see `Store.complete`."""
        counted = await self._call(self.store.complete, token, answer)
        self._attempts.discard(token)
        return counted

    async def fail(self, token: str, failure: FailureRecord) -> bool:
        """Store a failure; see `Store.fail`."""
        ended = await self._call(self.store.fail, token, failure)
        self._attempts.discard(token)
        return ended

    async def cancel_queued(self) -> int:
        """Cancel what nobody has begun."""
        return await self._call(self.store.cancel, self.campaign, None, owner=self.owner)

    async def count_queued(self) -> int:
        """How many decisions wait for a slot."""
        return await self._call(self.store.count, self.campaign, ["queued"])

    async def next_sequence(self) -> int:
        """The number that the next decision will get."""
        return await self._call(self.store.next_sequence, self.campaign)

    # -- reading ----------------------------------------------------------------------------------------------------

    async def labels(self) -> list[LabelRecord]:
        """All labels in the order of their decisions. Only those that are new are read from the database."""
        known = [record.evaluation_id for record in self._labels.values()]
        for record in await self._call(self.store.label_records, self.campaign, known=known):
            self._labels[record.sequence] = record
        return [self._labels[sequence] for sequence in sorted(self._labels)]

    async def evaluations(self, states: Sequence[str] | None = None) -> list[EvaluationRecord]:
        """The campaign's evaluations, in the order of their decisions."""
        return await self._call(self.store.evaluations, self.campaign, states)

    async def progress(self, costs: dict[str, float]) -> Progress:
        """Counts and costs."""
        return await self._call(self.store.progress, self.campaign, costs)

    async def record(self) -> CampaignRecord:
        """The campaign's own row, as it is now."""
        return await self._call(self.store.campaign, self.campaign)

    async def earlier_models(self) -> tuple[list[tuple[int, str, float, float, float]], int]:
        """Earlier sessions' checks as (sequence, output, mean, std, observed), and the last model version's number."""
        versions = await self._call(self.store.model_versions, self.campaign)
        labels = {label.label_id: label.sequence for label in await self.labels()}
        checks = [
            (labels[check.label_id], check.output, check.mean, check.std, check.observed)
            for version in versions
            for check in version.checks
            if check.label_id in labels
        ]
        return checks, max((version.number for version in versions), default=0)

    # -- writing ----------------------------------------------------------------------------------------------------

    async def heartbeat(self, tokens: Sequence[str]) -> None:
        """Renew the ownership and the leases of running attempts. Raises OwnershipLost."""
        await self._call(self.store.heartbeat, self.campaign, self.owner, attempt_tokens=tokens)

    async def add_model_version(self, version: ModelVersionRecord) -> int:
        """Append a model version."""
        return await self._call(self.store.add_model_version, self.campaign, version, owner=self.owner)

    async def event(self, kind: str, message: str) -> None:
        """Append an event."""
        await self._call(self.store.add_event, self.campaign, kind, message)
