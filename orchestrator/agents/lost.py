"""Attempts whose worker is lost: given up in a way that still takes their answers, should those turn up."""

from __future__ import annotations

import asyncio
import logging

from theoros.db.errors import AttemptNotFound
from theoros.db.patience import Patience
from theoros.db.records import EvaluationRecord
from theoros.orchestrator.answers import answer_record
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.messages import Outcome

_log = logging.getLogger(__name__)
_SEQUENCE = "SELECT e.sequence FROM attempts a JOIN evaluations e ON e.id = a.evaluation_id WHERE a.token = :token"


class LostAttempts:
    """Gives attempts up, and takes in the answers of those that were computed all the same."""

    def __init__(self, gateway: Gateway, plan: Plan, max_losses: int) -> None:
        self._db, self._plan, self._max_losses = gateway, plan, max_losses
        self._patiently = Patience(gateway.store, away=_log.warning)

    async def give_up(self, token: str) -> EvaluationRecord | None:
        """Queue the attempt's evaluation again, or quarantine it; None when it had ended already."""
        store, campaign, owner = self._db.store, self._db.campaign, self._db.owner

        def work() -> list[EvaluationRecord]:
            return store.reconcile(campaign, owner=owner, lost_tokens=[token], max_losses=self._max_losses)

        touched = await asyncio.to_thread(self._patiently, work)
        return touched[0] if touched else None

    async def take_in(self, outcome: Outcome) -> tuple[bool, int | None]:
        """Store an answer that lay on a disk.

        Returns whether its file may go, which it may not when another database knows its attempt, and the number of
        the evaluation that has ended by it, None when it had been answered or claimed again.
        """
        try:
            counted = await self._db.complete(outcome.token, answer_record(self._plan, outcome))
        except AttemptNotFound:
            return False, None
        return True, await asyncio.to_thread(self._sequence, outcome.token) if counted else None

    def close(self) -> None:
        """Wait no longer for a database that is away."""
        self._patiently.give_up()

    def _sequence(self, token: str) -> int:
        rows = self._patiently(lambda: self._db.store.query(_SEQUENCE, {"token": token}))
        return int(rows["sequence"].iloc[0])
