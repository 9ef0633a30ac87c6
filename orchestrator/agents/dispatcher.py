"""The dispatcher keeps oracle workers busy: it claims evaluations, hands them to slots, and stores what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from theoros.db.records import Claim, FailureRecord
from theoros.oracles.resources import Resources
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.crew import START_DEADLINE, Crew, Slot
from theoros.orchestrator.agents.lost import take_in
from theoros.orchestrator.agents.messages import (
    AttemptFailed,
    BudgetFreed,
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    Notice,
    QueueShort,
    Started,
    StopRequested,
    Useless,
)
from theoros.orchestrator.agents.pace import Pace
from theoros.orchestrator.agents.policy import History, Verdict, enlarged, judge, max_losses
from theoros.orchestrator.answers import answer_record, run_info
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.losses import loss
from theoros.workers.messages import EvaluationRequest, Outcome, without_answer

if TYPE_CHECKING:
    from theoros.workers.slot import SlotActor

#: Seconds that a slot may take to list the answers on its node's disk.
_LOOK_DEADLINE = 60.0
_NO_ROOM = (
    "No node of the cluster had room for it with twice the memory, not even when every other slot had made way: model "
    "workers or others hold the rest."
)
#: Seconds between two looks for retries that were not due at the last one.
_LOOK_AGAIN = 5.0
#: From so many waiting decisions on, new ones are wanted by the half of them and no longer one by one.
_LARGE = 8
_GLANCE = 0.05


class Dispatcher(Agent):
    """Gives each free slot an evaluation, and the next the moment that it has ended; several at once where the oracle
    answers faster than it can be asked.

    `history` holds what earlier sessions tried in vain, so that retries are counted over all of them.
    """

    handles: ClassVar = (Started, Decided, BudgetFreed, Useless, StopRequested)

    def __init__(
        self,
        bus: Bus,
        gateway: Gateway,
        plan: Plan,
        start_slot: Callable[[Resources], SlotActor],
        n_slots: int,
        history: History,
    ) -> None:
        super().__init__(bus)
        self._db, self._plan, self._history = gateway, plan, history
        self._attempts: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._stopping = self._cancelling = False
        self._pace = Pace(n_slots, guided=plan.acquisition != "random")
        self._one_by_one = plan.strict or plan.resources.isolate
        self._short_since: float | None = None
        self._crew = Crew(
            bus,
            plan.resources,
            start_slot,
            n_slots,
            grows=plan.spec.workers.slots == "auto",
            prepared=self._take_in,
            joined=self._joined,
            spawn=lambda work: self._watch(work, self._openings),
        )

    @property
    def tokens(self) -> list[str]:
        """The attempts on slots now; the steward renews their leases."""
        return [claim.token for slot in self._crew.slots for claim in slot.claims]

    # -- messages ---------------------------------------------------------------------------------------------------

    async def on(self, message: Started | Decided | BudgetFreed | Useless | StopRequested) -> None:
        """Fill free slots; on a stop, let the running ones end or kill them."""
        match message:
            case Started():
                self._crew.start()
                self._watch(self._keep_filling(), self._attempts)
                if self._db.ledger.count("queued") == 0:  # decide while the slots are being started
                    self._say_what_is_missing(len(self._crew))
            case Decided(evaluations=evaluations):
                if self._short_since is not None:
                    self._pace.decided(time.monotonic() - self._short_since)
                    self._short_since = None
                for evaluation in evaluations:
                    if evaluation.state == "done":  # the answer was in the database already
                        self.bus.publish(EvaluationEnded(evaluation.sequence, evaluation_id=evaluation.evaluation_id))
                self.fill()
            case BudgetFreed():
                self.fill()
            case Useless(sequence=sequence, reason=reason, share=share):
                await self._abort(sequence, reason, share)
            case StopRequested(cancel=cancel):
                self._stopping, self._cancelling = True, self._cancelling or cancel
                self._crew.stop_opening()
                for task in (*self._waits, *self._openings):
                    task.cancel()
                if cancel:
                    for slot in self._crew.slots:
                        self._cancel(slot, [claim.token for claim in slot.claims])
                self.fill()

    async def _joined(self) -> None:
        self.fill()

    def fill(self) -> None:
        """Have every free slot given work, and whoever decides told how many decisions are missing."""
        self._wanted.set()

    async def _keep_filling(self) -> None:
        """Fill whenever somebody asks for it: what became free meanwhile is claimed for in one turn."""
        while not self._stopping:
            await self._fill()
            await self._wanted.wait()
            self._wanted.clear()

    async def _fill(self) -> None:
        # What waits at a slot can't be taken back: so only where no model would, or where the campaign looks ahead.
        ahead = not self._pace.guided or self._plan.lookahead is not None
        groups = self._pace.groups if ahead and not self._one_by_one else 1
        taking = sorted((slot for slot in self._crew.slots if slot.takes(groups)), key=lambda slot: len(slot.groups))
        if taking and not self._crew.making_room and (waiting := self._db.ledger.ready()):
            share = 1 if self._one_by_one else self._pace.at_once(waiting, len(taking))
            given: dict[str, list[Claim]] = {}
            claims = await self._db.claim([slot.name for _ in range(share) for slot in taking])
            for claim in claims:
                given.setdefault(claim.worker, []).append(claim)
            if len(claims) < min(waiting, share * len(taking)) and not self._waits:
                self._later(_LOOK_AGAIN)  # some wait for a time that an earlier session, or another clock, has set
            for slot in taking:
                if slot.name in given:
                    slot.groups.append(tuple(given[slot.name]))
                    self._watch(self._work(slot, slot.groups[-1]), self._attempts)
        if not self._stopping:
            self._say_what_is_missing(sum(slot.free for slot in self._crew.slots))
        for slot in self._crew.slots:
            if slot.free and slot.done:
                self._forget(slot)

    def _say_what_is_missing(self, free: int) -> None:
        self._pace.slots = len(self._crew)
        margin, waiting = self._margin, self._db.ledger.count("queued")
        wanted = free + margin - waiting
        if free == 0 and margin >= _LARGE and 2 * waiting >= margin:
            return  # many decisions at a time cost little more than one: ask when half of them are used up
        if wanted > 0:
            self._short_since = self._short_since or time.monotonic()
            self.bus.publish(QueueShort(wanted, margin, len(self._crew), self._pace.calm(margin)))

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

    def _cancel(self, slot: Slot, tokens: list[str]) -> None:
        if tokens and slot.actor is not None:
            slot.actor.cancel(tokens)

    async def _abort(self, sequence: int, reason: str, share: float) -> None:
        """Cancel a running evaluation whose answer nobody needs any more, at the share of its cost that it has had."""
        for slot in self._crew.slots:
            for claim in slot.claims:
                if claim.sequence == sequence and not self._stopping:
                    if await self._db.abort(claim.evaluation_id, reason, share * self._plan.cost(claim.fidelity)):
                        self.bus.publish(Notice("evaluation_aborted", f"evaluation {sequence}: {reason}"))
                        self._cancel(slot, [claim.token])
                    return

    # -- answers on disks -------------------------------------------------------------------------------------------

    async def _take_in(self, slot: Slot, actor: SlotActor) -> None:
        """Store the answers that lie on the node of a new slot and were never reported."""
        outcomes: list[Outcome] = await asyncio.wait_for(actor.orphans(), _LOOK_DEADLINE)
        busy = set(self.tokens)
        for outcome in outcomes:
            if outcome.token in busy:
                continue  # another slot of the same node is just reporting it
            may_go, ended = await take_in(self._db, self._plan, outcome)
            if may_go:
                slot.done.append(outcome.token)
            if ended is not None:
                text = f"an answer to evaluation {ended.sequence} lay on {outcome.host}"
                self.bus.publish(Notice("orphan_taken_in", text))
                self.bus.publish(EvaluationEnded(ended.sequence, evaluation_id=ended.evaluation_id))
        self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        """Let a slot remove answers from its node's disk: they are in the database now."""
        import ray

        async def discard(actor: SlotActor, tokens: list[str]) -> None:
            # What can't be removed now is found again, and known to be counted, by the next slot of that node.
            with contextlib.suppress(ray.exceptions.RayError, TimeoutError):
                await asyncio.wait_for(actor.discard(tokens), _LOOK_DEADLINE)

        tokens, slot.done = slot.done, []
        if tokens and slot.actor is not None:
            self._watch(discard(slot.actor, tokens), self._attempts)

    async def _on_disk(self, node: str | None, tokens: set[str]) -> dict[str, Outcome]:
        """The answers of lost attempts that their worker had made durable, if another one of its node finds them."""
        import ray

        for slot in self._crew.slots:
            if slot.ready and slot.actor is not None and slot.node == node:
                try:
                    outcomes = await asyncio.wait_for(slot.actor.orphans(), _LOOK_DEADLINE)
                except (ray.exceptions.RayError, TimeoutError):
                    continue
                return {outcome.token: outcome for outcome in outcomes if outcome.token in tokens}
        return {}

    # -- attempts ---------------------------------------------------------------------------------------------------

    async def _work(self, slot: Slot, claims: tuple[Claim, ...]) -> None:
        """Have a slot evaluate what it was given, and store what comes back.

        What has failed before goes by itself: it may need more memory, and harms nobody if it takes its worker down.
        """
        for claim in claims:
            self.bus.publish(EvaluationStarted(claim.sequence, claim.evaluation_id, claim.worker))
        fresh = [claim for claim in claims if not self._history.knows(claim.evaluation_id)]
        if fresh:
            await self._evaluate(slot, fresh)
        for claim in claims:
            if claim not in fresh:
                await self._alone(slot, claim)
        slot.groups.remove(claims)
        if not self._stopping and not slot.groups:
            self._crew.restore(slot)
        self.fill()

    async def _alone(self, slot: Slot, claim: Claim) -> None:
        """Have a slot that does nothing else evaluate what has failed before."""
        while slot.alone:
            await asyncio.sleep(_GLANCE)
        slot.alone = True  # at once, or it would be given ever more work to wait for
        try:
            while slot.asked:
                await asyncio.sleep(_GLANCE)
            await self._evaluate(slot, [claim])
        finally:
            slot.alone = False

    async def _evaluate(self, slot: Slot, claims: list[Claim]) -> None:
        outcomes = await self._ask(slot, claims)
        ends = await asyncio.gather(*map(self._store, claims, outcomes))
        self._tell(slot, list(zip(claims, outcomes, ends, strict=True)))

    def _tell(self, slot: Slot, ends: list[tuple[Claim, Outcome, tuple[bool, str | None]]]) -> None:
        for claim, outcome, (ended, failure_class) in ends:
            seconds = outcome.wall_seconds if outcome.pid is not None else None
            if outcome.ok:
                self._pace.evaluated(outcome.wall_seconds)
                slot.starts = 0
                slot.done.append(claim.token)
            if ended:
                self._history.forget(claim.evaluation_id)
                self.bus.publish(EvaluationEnded(claim.sequence, failure_class, claim.evaluation_id, seconds))
            else:
                why = outcome.failure_class or "oracle_error"
                self.bus.publish(AttemptFailed(claim.sequence, claim.evaluation_id, why, outcome.message, seconds))

    async def _ask(self, slot: Slot, claims: list[Claim]) -> list[Outcome]:
        """Ask the slot; a dead actor is replaced, and answers that it had written are looked for on its node."""
        import ray

        requests = [EvaluationRequest(c.token, c.candidate.kind, c.candidate.data, c.fidelity) for c in claims]
        if self._cancelling:
            return [without_answer(request, "cancelled", "cancelled before it began") for request in requests]
        resources = enlarged(self._plan.resources, self._history.earlier(claims[0].evaluation_id, "memory"))
        if resources != slot.resources:
            requests = [replace(request, memory=resources.memory) for request in requests]
            if not await self._crew.enlarge(slot, resources, lambda: self._stopping):
                if self._stopping or slot.retired:
                    return [without_answer(r, "cancelled", "no larger worker was ready for it") for r in requests]
                return [without_answer(r, "memory", _NO_ROOM) for r in requests]
        if slot.actor is None or not slot.ready:  # lost between the claim and now
            return [without_answer(request, "cancelled", "its worker was lost before it began") for request in requests]
        actor, node = slot.actor, slot.node
        forget, slot.done = slot.done, []
        # The sandbox keeps the deadline; this one is for a slot that does not answer at all.
        patience = self._plan.resources.timeout * len(slot.claims) + START_DEADLINE
        slot.asked += 1
        try:
            outcomes: list[Outcome] = await asyncio.wait_for(actor.evaluate(requests, forget), patience)
        except (ray.exceptions.RayError, TimeoutError) as error:
            failure = loss(error)
            self._replace(slot, actor, str(failure))
            found = await self._on_disk(node, {request.token for request in requests})
            return [
                found.get(request.token) or without_answer(request, failure.failure_class, str(failure))
                for request in requests
            ]
        finally:
            slot.asked -= 1
        for outcome in outcomes:
            if outcome.unspooled:
                self.bus.publish(Notice("not_durable", f"an answer could not be kept on disk: {outcome.unspooled}"))
            if outcome.failure_class == "infrastructure":  # the worker lives and can't work: try it elsewhere
                self._replace(slot, actor, outcome.message)
        return outcomes

    def _replace(self, slot: Slot, actor: SlotActor, why: str) -> None:
        """Put another actor in the place of one that failed, unless that has been done for another group already."""
        if slot.actor is actor:
            self._crew.replace(slot, why)

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
        if not await self._db.fail(claim.token, record):  # it had ended already: aborted, or answered by another
            return True, verdict.failure_class
        if verdict.retry_after is not None and failure_class != "cancelled":
            self._later(verdict.retry_after)
        return verdict.retry_after is None, verdict.failure_class

    async def _give_up(self, claim: Claim) -> tuple[bool, str | None]:
        """The worker is lost, and its node perhaps for a while only: an answer that turns up is taken still."""
        self._history.add(claim.evaluation_id, "infrastructure")
        evaluation = await self._db.lose(claim.token, max_losses(self._plan.spec.retries))
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
            self.fill()

        self._watch(wait(), self._waits)

    async def drain(self) -> None:
        """Wait for the evaluations that run; every one of them has a deadline."""
        while self._attempts:
            await asyncio.wait(set(self._attempts))

    def close(self) -> None:
        """Give the slots back to the cluster."""
        self._crew.close()
