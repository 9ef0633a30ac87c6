"""The way from asyncio to the store: one thread, so that the event loop never waits for the database.

A database that is away stalls its campaign and does not end it: see `theoros.db.patience`. What the owner writes here
is also noted in its ledger, so that hardly anything has to be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from theoros.db import OwnershipLost, Store
from theoros.db.errors import AttemptNotFound, DatabaseBusy, DatabaseUnreachable
from theoros.db.patience import Patience
from theoros.db.ranking import Ranking
from theoros.db.records import (
    AnswerRecord,
    CampaignRecord,
    CardRecord,
    Claim,
    DecisionRecord,
    EvaluationRecord,
    FailureRecord,
    LabelRecord,
    ModelVersionRecord,
)
from theoros.models.twins.unseen import DRAWN
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.gates import UNFIT, Unfit, unfit_card, unfit_of
from theoros.orchestrator.ledger import Ledger

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
#: Answers that one transaction stores at most.
_MOST_AT_ONCE = 256


class LabelReader:
    """One agent's way through the labels, in the order in which they came; those of earlier sessions in that of their
    decisions.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.waiting: list[LabelRecord] = []

    async def new(self) -> list[LabelRecord]:
        """The labels that have come since the last call."""
        await self._gateway.read_labels()
        new, self.waiting = self.waiting, []
        return new


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
        self._attempts: dict[str, Claim] = {}
        self._answers: list[tuple[str, AnswerRecord, asyncio.Future[bool]]] = []
        self._storing: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._readers: list[LabelReader] = []
        self._read: set[int] = set()  # evaluations whose labels the readers have had
        self._unread: list[int] = []
        self._outside: set[int] = set()
        self._costs: dict[str, float] = {}
        self._target = ""
        self.ledger = Ledger([], 0.0, {}, "")
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
            self.store.heartbeat(self.campaign, self.owner, attempt_tokens=list(self._attempts))

    # -- queue ------------------------------------------------------------------------------------------------------

    async def open(self, costs: Mapping[str, float], target: str) -> None:
        """Read what the database holds into the ledger. Called once, before anything else."""
        self._costs, self._target = dict(costs), target
        await self._reload()

    async def _reload(self) -> None:
        # In one call: what others write between two of them would be noted in the ledger that goes.
        evaluations, spent, claims, unfit = await self._call(self._stored)
        earlier, self.ledger = self.ledger, Ledger(evaluations, spent, self._costs, self._target, unfit)
        self.ledger.go_on_from(earlier)
        self._outside = {claim.evaluation_id for claim in claims if claim.token not in self._attempts}
        self._unread = [key for key in self.ledger.take_unread() if key not in self._read]

    def _stored(self) -> tuple[list[EvaluationRecord], float, list[Claim], list[Unfit]]:
        """What a ledger is made of: evaluations, what they have cost, claims, and what slow gates turned away."""
        store, name = self.store, self.campaign
        spent = store.progress(name, self._costs).cost
        return store.evaluations(name), spent, store.claims_of(name), unfit_of(store.cards(name, UNFIT))

    async def enqueue(self, decisions: Sequence[DecisionRecord], required: Sequence[str]) -> list[EvaluationRecord]:
        """Commit decisions; see `Store.enqueue`."""
        made = await self._call(
            self.store.enqueue, self.campaign, decisions, owner=self.owner, required_outputs=required
        )
        self.ledger.add(made)
        return made

    async def claim(self, workers: Sequence[str]) -> list[Claim]:
        """Claim an evaluation for each of `workers`, as far as there are any; see `Store.claim_for`."""
        claims = await self._call(self.store.claim_for, self.campaign, workers, owner=self.owner)
        self._attempts |= {claim.token: claim for claim in claims}
        self.ledger.claimed(claims)
        return claims

    async def complete(self, token: str, answer: AnswerRecord) -> bool:
        """Store an answer; see `Store.complete`. Answers that wait for the database are stored in one transaction."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers.append((token, answer, future))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_answers())
        return await future

    async def _store_answers(self) -> None:
        while self._answers:
            batch, self._answers = self._answers[:_MOST_AT_ONCE], self._answers[_MOST_AT_ONCE:]
            await self._store_together(batch)

    async def _store_together(self, batch: list[tuple[str, AnswerRecord, asyncio.Future[bool]]]) -> None:
        try:
            verdicts = await self._call(self.store.complete_many, [(token, answer) for token, answer, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0][2].set_exception(error)
            else:  # one of them may be to blame: the others shall not suffer for it
                for single in batch:
                    await self._store_together([single])
            return
        for (token, answer, future), verdict in zip(batch, verdicts, strict=True):
            await self._noted(token, answer, verdict, future)

    async def _noted(
        self, token: str, answer: AnswerRecord, verdict: bool | AttemptNotFound, future: asyncio.Future[bool]
    ) -> None:
        """Note an answer in the ledger, and tell whoever waits for it."""
        if verdict is True:
            await self._became(token, "done", answer.cost)
        self._attempts.pop(token, None)
        if future.cancelled():
            return
        if isinstance(verdict, AttemptNotFound):
            future.set_exception(verdict)
        else:
            future.set_result(verdict)

    async def fail(self, token: str, failure: FailureRecord) -> bool:
        """Store a failure; see `Store.fail`."""
        ended = await self._call(self.store.fail, token, failure)
        if ended:
            state = "failed" if failure.retry_after is not None else "abandoned"
            await self._became(token, state, failure.cost, failure.failure_class)
        self._attempts.pop(token, None)
        return ended

    async def _became(self, token: str, state: str, cost: float, failure_class: str | None = None) -> None:
        claim = self._attempts.get(token)
        if claim is None or not self.ledger.became(claim.evaluation_id, state, cost=cost, failure_class=failure_class):
            await self._reload()  # an attempt of an earlier session

    async def lose(self, token: str, max_losses: int) -> EvaluationRecord | None:
        """Give an attempt up whose worker is lost, so that its evaluation is queued again, or quarantined after so many
        losses; None when it had ended already. An answer that turns up later is taken still.
        """
        touched = await self._call(
            self.store.reconcile, self.campaign, owner=self.owner, lost_tokens=[token], max_losses=max_losses
        )
        for evaluation in touched:
            self.ledger.became(evaluation.evaluation_id, evaluation.state, failure_class=evaluation.failure_class)
        return touched[0] if touched else None

    async def evaluation_of(self, token: str) -> EvaluationRecord:
        """The evaluation that an attempt is about."""
        (evaluation,) = await self._call(self.store.evaluations_of, self.campaign, tokens=[token])
        return evaluation

    async def withdraw(self, evaluation_ids: Sequence[int], message: str) -> list[int]:
        """Cancel what nobody has begun, and say why; see `Store.withdraw`."""
        gone = await self._call(self.store.withdraw, self.campaign, evaluation_ids, message=message, owner=self.owner)
        for evaluation_id in gone:
            self.ledger.became(evaluation_id, "cancelled")
        return gone

    async def abort(self, evaluation_id: int, message: str, cost: float) -> bool:
        """Cancel an evaluation that runs, at what it has cost; False if it has ended."""
        costs = {evaluation_id: cost}
        aborted = await self._call(
            self.store.cancel, self.campaign, [evaluation_id], owner=self.owner, message=message, costs=costs
        )
        if aborted:
            self.ledger.became(evaluation_id, "cancelled", cost=cost)
        return bool(aborted)

    async def cancel_queued(self) -> int:
        """Cancel what nobody has begun."""
        return await self._call(self.store.cancel, self.campaign, None, owner=self.owner)

    async def look_outside(self) -> list[EvaluationRecord]:
        """Evaluations that ended because a person answered what he had been asked for; there are seldom any."""
        if not self._outside:
            return []
        ended = []
        for evaluation in await self._call(self.store.evaluations_of, self.campaign, ids=sorted(self._outside)):
            if evaluation.state == "running":
                continue
            self._outside.discard(evaluation.evaluation_id)
            cost = self._costs[evaluation.fidelity] if evaluation.state in {"done", "abandoned"} else 0.0
            self.ledger.became(
                evaluation.evaluation_id, evaluation.state, cost=cost, failure_class=evaluation.failure_class
            )
            ended.append(evaluation)
        return ended

    # -- reading ----------------------------------------------------------------------------------------------------

    def reader(self) -> LabelReader:
        """A way through the labels, for one agent; made before the first of them is read."""
        self._readers.append(LabelReader(self))
        return self._readers[-1]

    async def read_labels(self) -> None:
        """Read the labels that are new and give them to all readers; nothing is kept here."""
        async with self._reading:
            self._unread += self.ledger.take_unread()
            if self._unread and self._readers:
                records = await self._call(self.store.label_records, self.campaign, of=self._unread)
                self._read.update(self._unread)
                self._unread = []
                for reader in self._readers:
                    reader.waiting += records

    async def active_seconds(self) -> float:
        """Wall time during which an orchestrator ran the campaign, over all its runs."""
        return (await self._call(self.store.progress, self.campaign, self._costs)).active_seconds

    async def record(self) -> CampaignRecord:
        """The campaign's own row, as it is now."""
        return await self._call(self.store.campaign, self.campaign)

    async def earlier_models(
        self,
    ) -> tuple[list[tuple[int, str, float, float, float, float]], int, Mapping[str, Any], list[Mapping[str, Any]]]:
        """Earlier sessions' checks as (sequence, output, mean, std, observed, tail), the last version's number and
        hyperparameters, and the records of what all versions' predecessors drew (`theoros.models.twins.unseen`).
        """
        versions = await self._call(self.store.model_versions, self.campaign)
        labels = {label.label_id: label.sequence for label in await self._call(self.store.label_records, self.campaign)}
        checks = [
            (labels[check.label_id], check.output, check.mean, check.std, check.observed, check.tail)
            for version in versions
            for check in version.checks
            if check.label_id in labels
        ]
        drawn = [version.hyperparameters[DRAWN] for version in versions if DRAWN in version.hyperparameters]
        number, told = (versions[-1].number, versions[-1].hyperparameters) if versions else (0, {})
        return checks, number, told, drawn

    # -- writing ----------------------------------------------------------------------------------------------------

    async def heartbeat(self, tokens: Sequence[str]) -> None:
        """Renew the ownership and the leases of running attempts. Raises OwnershipLost."""
        await self._call(self.store.heartbeat, self.campaign, self.owner, attempt_tokens=tokens)

    async def keep_tally(self, ranking: Ranking) -> bool:
        """Sum up what has settled; see `Store.keep_tally`."""
        return await self._call(self.store.keep_tally, self.campaign, ranking, owner=self.owner)

    async def add_model_version(self, version: ModelVersionRecord) -> int:
        """Append a model version."""
        return await self._call(self.store.add_model_version, self.campaign, version, owner=self.owner)

    async def keep_card(self, card: CardRecord) -> int:
        """Append a card; see `Store.add_card`."""
        return await self._call(self.store.add_card, self.campaign, card)

    async def keep_unfit(self, decision: int, candidates: Sequence[Candidate]) -> None:
        """Append what slow gates turned away when a decision was made."""
        await self.keep_card(unfit_card(decision, candidates))
        self.ledger.unfit += [Unfit(decision, candidate) for candidate in candidates]

    async def event(self, kind: str, message: str) -> None:
        """Append an event."""
        await self._call(self.store.add_event, self.campaign, kind, message)
