"""The way from asyncio to the store: one thread, so that the event loop never waits for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from theoros.db import Store
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


class Gateway:
    """The store of one campaign, for its owner. Calls run in order, in one thread."""

    def __init__(self, store: Store, campaign: str, owner: str) -> None:
        self.store, self.campaign, self.owner = store, campaign, owner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="theoros-store")
        self._labels: dict[int, LabelRecord] = {}

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for what is under way and end the thread."""
        self._thread.shutdown(wait=True)

    # -- queue ------------------------------------------------------------------------------------------------------

    async def enqueue(self, decisions: Sequence[DecisionRecord], required: Sequence[str]) -> list[EvaluationRecord]:
        """Commit decisions; see `Store.enqueue`."""
        return await self._call(
            self.store.enqueue, self.campaign, decisions, owner=self.owner, required_outputs=required
        )

    async def claim(self, worker: str) -> list[Claim]:
        """Claim the next evaluation for a slot."""
        return await self._call(self.store.claim, self.campaign, worker=worker, limit=1, owner=self.owner)

    async def complete(self, token: str, answer: AnswerRecord) -> bool:
        """Store an answer; see `Store.complete`."""
        return await self._call(self.store.complete, token, answer)

    async def fail(self, token: str, failure: FailureRecord) -> bool:
        """Store a failure; see `Store.fail`."""
        return await self._call(self.store.fail, token, failure)

    async def cancel_queued(self) -> int:
        """Cancel what nobody has begun."""
        return await self._call(self.store.cancel, self.campaign, None, owner=self.owner)

    async def count_queued(self) -> int:
        """How many decisions wait for a slot."""
        return len(await self.evaluations(["queued"]))

    async def next_sequence(self) -> int:
        """The number that the next decision will get."""
        return len(await self.evaluations()) + 1

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
