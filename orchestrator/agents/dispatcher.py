"""The dispatcher keeps oracle workers busy: it claims evaluations, hands them to slots, and stores what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from theoros.db.records import Claim, FailureRecord
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    Notice,
    QueueShort,
    Started,
    StopRequested,
)
from theoros.orchestrator.agents.pace import Pace
from theoros.orchestrator.answers import answer_record, run_info
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.messages import EvaluationRequest, Outcome

#: A slot that has to be replaced this often without ever answering is given up.
_MOST_STARTS = 3
#: Seconds that a slot may take to find room on the cluster and to build its oracle.
_START_DEADLINE = 600.0


@dataclass
class _Slot:
    """A slot as the dispatcher sees it: its actor, and the attempt it works on."""

    name: str
    actor: Any
    claim: Claim | None = None
    starts: int = 0
    ready: bool = False
    retired: bool = False

    @property
    def free(self) -> bool:
        """Whether it could begin an evaluation now."""
        return self.ready and self.claim is None


class Dispatcher(Agent):
    """Owns the slots. Each is given one evaluation at a time; the next is claimed the moment it is free."""

    handles: ClassVar = (Started, Decided, StopRequested)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, start_slot: Callable[[], Any], n_slots: int) -> None:
        super().__init__(bus)
        self._db, self._plan, self._start_slot = gateway, plan, start_slot
        self._slots = [_Slot(f"slot-{i}", None) for i in range(n_slots)]
        self._attempts: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._filling = asyncio.Lock()
        self._stopping = False
        self._pace = Pace(n_slots)
        self._short_since: float | None = None

    @property
    def tokens(self) -> list[str]:
        """The attempts on slots now; the steward renews their leases."""
        return [slot.claim.token for slot in self._slots if slot.claim is not None]

    # -- messages ---------------------------------------------------------------------------------------------------

    async def on(self, message: Started | Decided | StopRequested) -> None:
        """Fill free slots; on a stop, let the running ones end or kill them."""
        match message:
            case Started():
                for slot in self._slots:
                    self._watch(self._open(slot), self._openings)
                if await self._db.count_queued() == 0:  # decide while the slots are being started
                    self.bus.publish(QueueShort(len(self._slots), self._margin))
            case Decided(evaluations=evaluations):
                if self._short_since is not None:
                    self._pace.decided(time.monotonic() - self._short_since)
                    self._short_since = None
                for evaluation in evaluations:
                    if evaluation.state == "done":  # the answer was in the database already
                        self.bus.publish(EvaluationEnded(evaluation.sequence))
                await self.fill()
            case StopRequested(cancel=cancel):
                self._stopping = True
                for task in (*self._waits, *self._openings):
                    task.cancel()
                if cancel:
                    for slot in self._slots:
                        if slot.claim is not None:
                            slot.actor.cancel.remote(slot.claim.token)

    async def fill(self) -> None:
        """Give every free slot a claimed evaluation, and say how many decisions are missing."""
        async with self._filling:  # two attempts that end together must not both fill the same slot
            for slot in self._slots:
                if self._stopping or not slot.free:
                    continue
                claims = await self._db.claim(slot.name)
                if not claims:
                    break
                slot.claim = claims[0]
                self._watch(self._attempt(slot, claims[0]), self._attempts)
            if not self._stopping:
                free = sum(slot.free for slot in self._slots)
                wanted = free + self._margin - await self._db.count_queued()
                if wanted > 0:
                    self._short_since = self._short_since or time.monotonic()
                    self.bus.publish(QueueShort(wanted, self._margin))

    @property
    def _margin(self) -> int:
        """Decisions that should wait: as the campaign says, or as the pace of evaluations and decisions asks for."""
        lookahead = self._plan.lookahead
        return self._pace.margin if lookahead is None else lookahead

    def _watch(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        """Run something beside the inbox; its failure ends the session and is not lost."""
        task = asyncio.create_task(work)
        among.add(task)

        def over(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                reason = f"the dispatcher failed: {type(error).__name__}: {error}"
                self.bus.publish(StopRequested(reason, finished=False))

        task.add_done_callback(over)

    # -- life of a slot ---------------------------------------------------------------------------------------------

    async def _open(self, slot: _Slot) -> None:
        """Start a slot's actor and build its oracle; it takes part once it is ready."""
        import ray

        slot.starts, slot.actor = slot.starts + 1, self._start_slot()
        try:
            await asyncio.wait_for(slot.actor.start.remote(), _START_DEADLINE)
        except (ray.exceptions.RayError, TimeoutError) as error:
            await self._replace(slot, _reason(error))
            return
        slot.ready = True
        await self.fill()

    async def _replace(self, slot: _Slot, reason: str) -> None:
        """Put another actor in the place of a dead one; a slot that never answers is given up after some tries."""
        import ray

        self.bus.publish(Notice("worker_lost", f"{slot.name}: {reason}"))
        slot.ready = False
        ray.kill(slot.actor)
        if slot.starts < _MOST_STARTS:
            if not self._stopping:
                self._watch(self._open(slot), self._openings)
            return
        slot.retired = True
        self.bus.publish(Notice("worker_retired", f"{slot.name} died {_MOST_STARTS} times in a row and is given up."))
        if all(other.retired for other in self._slots):
            self.bus.publish(StopRequested(f"no worker is left; the last one: {reason}", finished=False))

    # -- one attempt ------------------------------------------------------------------------------------------------

    async def _attempt(self, slot: _Slot, claim: Claim) -> None:
        self.bus.publish(EvaluationStarted(claim.sequence))
        request = EvaluationRequest(claim.token, claim.candidate.kind, claim.candidate.data, claim.fidelity)
        outcome = await self._ask(slot, request)
        ended, failure_class = await self._store(claim, outcome)
        slot.claim = None
        self._pace.evaluated(outcome.wall_seconds)
        if outcome.ok:
            slot.starts = 0
            slot.actor.discard.remote([claim.token])
        if ended:
            self.bus.publish(EvaluationEnded(claim.sequence, failure_class))
        await self.fill()

    async def _ask(self, slot: _Slot, request: EvaluationRequest) -> Outcome:
        """Ask the slot; a dead actor is replaced and becomes an outcome like any other."""
        import ray

        # The sandbox keeps the deadline; this one is for a slot that does not answer at all.
        patience = self._plan.resources.timeout + _START_DEADLINE
        try:
            outcome: Outcome = await asyncio.wait_for(slot.actor.evaluate.remote(request), patience)
        except (ray.exceptions.RayError, TimeoutError) as error:
            reason = _reason(error)
            await self._replace(slot, reason)
            return Outcome(
                request.token,
                request.fidelity,
                failure_class="infrastructure",
                message=f"The worker was lost: {reason}",
            )
        return outcome

    async def _store(self, claim: Claim, outcome: Outcome) -> tuple[bool, str | None]:
        """Write the outcome; returns whether the evaluation has ended for good, and with which failure."""
        if outcome.ok:
            await self._db.complete(claim.token, answer_record(self._plan, outcome))
            return True, None
        run, cost = run_info(outcome), self._plan.cost(claim.fidelity)
        failure_class = outcome.failure_class or "oracle_error"
        if failure_class == "cancelled":
            # Stopped by a person: back into the queue, for a resume; nothing is charged.
            await self._db.fail(claim.token, FailureRecord(failure_class, outcome.message, 0.0, 0.0, run))
            return False, failure_class
        again = claim.attempt_number <= self._plan.spec.retries.allowed(failure_class)
        delay = self._plan.spec.retries.backoff * 2 ** (claim.attempt_number - 1) if again else None
        charged = 0.0 if failure_class == "infrastructure" else cost
        await self._db.fail(claim.token, FailureRecord(failure_class, outcome.message, delay, charged, run))
        if again and delay is not None:
            self._later(delay)
        return not again, failure_class

    def _later(self, delay: float) -> None:
        """Look into the queue again when the evaluation that has to wait may be claimed."""

        async def wait() -> None:
            await asyncio.sleep(delay)
            await self.fill()

        self._watch(wait(), self._waits)

    async def drain(self) -> None:
        """Wait for the evaluations that run; every one of them has a deadline."""
        while self._attempts:
            await asyncio.wait(set(self._attempts))

    def close(self) -> None:
        """Give the slots back to the cluster."""
        import ray

        for slot in self._slots:
            if slot.actor is not None:
                ray.kill(slot.actor)


def _reason(error: BaseException) -> str:
    """The line of an error that says what happened: the last one of Ray's long reports."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
