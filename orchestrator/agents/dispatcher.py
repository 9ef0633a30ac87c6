"""The dispatcher keeps oracle workers busy: it claims evaluations, hands them to slots, and stores what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar

from theoros.db.records import Claim, FailureRecord
from theoros.oracles.resources import Resources
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.crew import START_DEADLINE, Crew, Slot
from theoros.orchestrator.agents.lost import LostAttempts
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
from theoros.orchestrator.agents.policy import History, Verdict, enlarged, judge, max_losses
from theoros.orchestrator.answers import answer_record, run_info
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.losses import loss
from theoros.workers.messages import EvaluationRequest, Outcome

#: Seconds that a slot may take to list the answers on its node's disk.
_LOOK_DEADLINE = 60.0


class Dispatcher(Agent):
    """Gives each slot one evaluation at a time; the next is claimed the moment it is free.

    `history` holds what earlier sessions tried in vain, so that retries are counted over all of them.
    """

    handles: ClassVar = (Started, Decided, StopRequested)

    def __init__(
        self,
        bus: Bus,
        gateway: Gateway,
        plan: Plan,
        start_slot: Callable[[Resources], Any],
        n_slots: int,
        history: History,
    ) -> None:
        super().__init__(bus)
        self._db, self._plan, self._history = gateway, plan, history
        self._attempts: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._filling = asyncio.Lock()
        self._stopping = self._cancelling = False
        self._pace = Pace(n_slots)
        self._short_since: float | None = None
        self._lost = LostAttempts(gateway, plan, max_losses(plan.spec.retries))
        self._crew = Crew(
            bus,
            plan.resources,
            start_slot,
            n_slots,
            grows=plan.spec.workers.slots == "auto",
            prepared=self._take_in,
            joined=self.fill,
            spawn=lambda work: self._watch(work, self._openings),
        )

    @property
    def tokens(self) -> list[str]:
        """The attempts on slots now; the steward renews their leases."""
        return [slot.claim.token for slot in self._crew.slots if slot.claim is not None]

    # -- messages ---------------------------------------------------------------------------------------------------

    async def on(self, message: Started | Decided | StopRequested) -> None:
        """Fill free slots; on a stop, let the running ones end or kill them."""
        match message:
            case Started():
                self._crew.start()
                if await self._db.count_queued() == 0:  # decide while the slots are being started
                    self.bus.publish(QueueShort(len(self._crew), self._margin, len(self._crew)))
            case Decided(evaluations=evaluations):
                if self._short_since is not None:
                    self._pace.decided(time.monotonic() - self._short_since)
                    self._short_since = None
                for evaluation in evaluations:
                    if evaluation.state == "done":  # the answer was in the database already
                        self.bus.publish(EvaluationEnded(evaluation.sequence))
                await self.fill()
            case StopRequested(cancel=cancel):
                self._stopping, self._cancelling = True, self._cancelling or cancel
                self._crew.stop_opening()
                for task in (*self._waits, *self._openings):
                    task.cancel()
                if cancel:
                    for slot in self._crew.slots:
                        if slot.claim is not None and slot.actor is not None:
                            slot.actor.cancel.remote(slot.claim.token)

    async def fill(self) -> None:
        """Give every free slot a claimed evaluation, and say how many decisions are missing.

        Who calls it may be cancelled; a claim that has been committed gets its attempt all the same.
        """
        await asyncio.shield(self._watch(self._fill(), self._attempts))

    async def _fill(self) -> None:
        async with self._filling:  # two attempts that end together must not both fill the same slot
            for slot in self._crew.slots:
                if self._stopping or self._crew.making_room or not slot.free:
                    continue
                claims = await self._db.claim(slot.name)
                if not claims:
                    break
                slot.claim = claims[0]
                self._watch(self._attempt(slot, claims[0]), self._attempts)
            if not self._stopping:
                self._pace.slots = len(self._crew)
                free = sum(slot.free for slot in self._crew.slots)
                wanted = free + self._margin - await self._db.count_queued()
                if wanted > 0:
                    self._short_since = self._short_since or time.monotonic()
                    self.bus.publish(QueueShort(wanted, self._margin, len(self._crew)))

    @property
    def _margin(self) -> int:
        """Decisions that should wait: as the campaign says, or as the pace of evaluations and decisions asks for."""
        lookahead = self._plan.lookahead
        return self._pace.margin if lookahead is None else lookahead

    def _watch(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        """Run something beside the inbox; its failure ends the session and is not lost."""
        task = asyncio.create_task(work)
        among.add(task)

        def over(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                reason = f"the dispatcher failed: {type(error).__name__}: {error}"
                self.bus.publish(StopRequested(reason, finished=False))

        task.add_done_callback(over)
        return task

    # -- answers on disks -------------------------------------------------------------------------------------------

    async def _take_in(self, slot: Slot) -> None:
        """Store the answers that lie on the node of a new slot and were never reported."""
        outcomes: list[Outcome] = await asyncio.wait_for(slot.actor.orphans.remote(), _LOOK_DEADLINE)
        busy, gone = set(self.tokens), []
        for outcome in outcomes:
            if outcome.token in busy:
                continue  # another slot of the same node is just reporting it
            may_go, sequence = await self._lost.take_in(outcome)
            if may_go:
                gone.append(outcome.token)
            if sequence is not None:
                self.bus.publish(Notice("orphan_taken_in", f"an answer to evaluation {sequence} lay on {outcome.host}"))
                self.bus.publish(EvaluationEnded(sequence))
        self._forget(slot, gone)

    def _forget(self, slot: Slot, tokens: list[str]) -> None:
        """Let a slot remove answers from its node's disk: they are in the database now."""
        import ray

        async def discard(actor: Any) -> None:
            # What can't be removed now is found again, and known to be counted, by the next slot of that node.
            with contextlib.suppress(ray.exceptions.RayError, TimeoutError):
                await asyncio.wait_for(actor.discard.remote(tokens), _LOOK_DEADLINE)

        if tokens and slot.actor is not None:
            self._watch(discard(slot.actor), self._attempts)

    async def _on_disk(self, node: str | None, token: str) -> Outcome | None:
        """The answer of a lost attempt, if its worker had made it durable and another one of its node finds it."""
        import ray

        for slot in self._crew.slots:
            if slot.ready and slot.node == node:
                try:
                    outcomes = await asyncio.wait_for(slot.actor.orphans.remote(), _LOOK_DEADLINE)
                except (ray.exceptions.RayError, TimeoutError):
                    continue
                return next((outcome for outcome in outcomes if outcome.token == token), None)
        return None

    # -- one attempt ------------------------------------------------------------------------------------------------

    async def _attempt(self, slot: Slot, claim: Claim) -> None:
        self.bus.publish(EvaluationStarted(claim.sequence))
        outcome = await self._ask(slot, claim)
        ended, failure_class = await self._store(claim, outcome)
        slot.claim = None
        if outcome.ok:
            self._pace.evaluated(outcome.wall_seconds)
            slot.starts = 0
            self._forget(slot, [claim.token])
        if not self._stopping:
            self._crew.restore(slot)
        if ended:
            self._history.forget(claim.evaluation_id)
            self.bus.publish(EvaluationEnded(claim.sequence, failure_class))
        await self.fill()

    async def _ask(self, slot: Slot, claim: Claim) -> Outcome:
        """Ask the slot; a dead actor is replaced, and its evaluation's answer looked for on its node."""
        import ray

        request = EvaluationRequest(claim.token, claim.candidate.kind, claim.candidate.data, claim.fidelity)
        if self._cancelling:
            return _without_answer(request, "cancelled", "cancelled before it began")
        resources = enlarged(self._plan.resources, self._history.earlier(claim.evaluation_id, "memory"))
        if resources != slot.resources:
            request = replace(request, memory=resources.memory)
            if not await self._crew.enlarge(slot, resources, lambda: self._stopping):
                return _without_answer(request, "cancelled", "no larger worker was ready for it")
        node = slot.node
        # The sandbox keeps the deadline; this one is for a slot that does not answer at all.
        patience = self._plan.resources.timeout + START_DEADLINE
        try:
            outcome: Outcome = await asyncio.wait_for(slot.actor.evaluate.remote(request), patience)
        except (ray.exceptions.RayError, TimeoutError) as error:
            failure = loss(error)
            self._crew.replace(slot, str(failure))
            found = await self._on_disk(node, claim.token)
            return found or _without_answer(request, failure.failure_class, str(failure))
        if outcome.unspooled:
            self.bus.publish(Notice("not_durable", f"an answer could not be kept on disk: {outcome.unspooled}"))
        if outcome.failure_class == "infrastructure":  # the worker lives and can't work: try it elsewhere
            self._crew.replace(slot, outcome.message)
        return outcome

    async def _store(self, claim: Claim, outcome: Outcome) -> tuple[bool, str | None]:
        """Write the outcome; returns whether the evaluation has ended for good, and with which failure."""
        if outcome.ok:
            await self._db.complete(claim.token, answer_record(self._plan, outcome))
            return True, None
        if outcome.failure_class == "infrastructure" and outcome.pid is None:  # with a process, the oracle said it
            return await self._give_up(claim)
        failure_class = outcome.failure_class or "oracle_error"
        earlier = self._history.earlier(claim.evaluation_id, failure_class)
        verdict = judge(self._plan.spec.retries, failure_class, outcome.message, earlier)
        self._history.add(claim.evaluation_id, failure_class)
        if failure_class == "memory" and verdict.retry_after is not None:
            verdict = await self._if_it_fits(claim, verdict)
        cost = self._plan.cost(claim.fidelity) if verdict.charged else 0.0
        record = FailureRecord(verdict.failure_class, verdict.message, verdict.retry_after, cost, run_info(outcome))
        await self._db.fail(claim.token, record)
        if verdict.retry_after is not None and failure_class != "cancelled":
            self._later(verdict.retry_after)
        return verdict.retry_after is None, verdict.failure_class

    async def _give_up(self, claim: Claim) -> tuple[bool, str | None]:
        """The worker is lost, and its node perhaps for a while only: an answer that turns up is taken still."""
        self._history.add(claim.evaluation_id, "infrastructure")
        evaluation = await self._lost.give_up(claim.token)
        return evaluation is None or evaluation.state == "abandoned", evaluation.failure_class if evaluation else None

    async def _if_it_fits(self, claim: Claim, verdict: Verdict) -> Verdict:
        """Nothing is gained by a retry that no node can hold."""
        wanted = enlarged(self._plan.resources, self._history.earlier(claim.evaluation_id, "memory"))
        if await asyncio.to_thread(self._crew.fits, wanted):
            return verdict
        message = f"{verdict.message} No node of the cluster could hold it with twice the memory."
        return replace(verdict, message=message, retry_after=None)

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
        self._lost.close()
        self._crew.close()


def _without_answer(request: EvaluationRequest, failure_class: str, message: str) -> Outcome:
    return Outcome(request.token, request.fidelity, failure_class=failure_class, message=message)
