"""The selector turns candidates and the current model into decisions, whenever the queue runs short."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from ray.exceptions import RayTaskError

from theoros.models.data import Choice, Point
from theoros.models.decide import without_model
from theoros.orchestrator.agents.beliefs import decision_record, to_candidate
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    Decided,
    Exhausted,
    ModelUpdated,
    Notice,
    ProposalsReady,
    ProposalsWanted,
    QueueShort,
    StopRequested,
    Withdrawn,
)
from theoros.orchestrator.budget import affordable, open_fidelities
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers.model_worker import SupervisedModelWorker

#: So many choices in a row may fail, each replaced by a plain proposal, before the campaign is interrupted.
_MOST_FAILURES = 5
#: On the strict schedule a decision looks back over so many evaluations more than it could need.
_LOOK_BACK = 8


class Selector(Agent):
    """Decides. Every decision is committed before anybody can work on it, and knows what is pending.

    With one slot the schedule is strict: decision s is made from the labels of evaluations up to s - 1 - lookahead
    and from nothing else, however fast anything was, so that a campaign repeats exactly.
    """

    handles: ClassVar = (QueueShort, ModelUpdated, ProposalsReady, StopRequested)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, decider: SupervisedModelWorker, n_slots: int) -> None:
        super().__init__(bus)
        self._db, self._plan, self._decider, self._n_slots = gateway, plan, decider, n_slots
        self._latest: ModelUpdated | None = None
        self._models: dict[int, ModelUpdated] = {}  # by horizon; only the strict schedule looks back
        self._wanted = 0
        self._margin = 1
        self._asked = False
        self._stopping = False
        self._failures = 0
        self._calm = True
        self._judged = 0  # the last model version that the waiting decisions were held against

    async def on(self, message: QueueShort | ModelUpdated | ProposalsReady | StopRequested) -> None:
        """Ask for proposals when decisions are wanted; decide when they come."""
        match message:
            case StopRequested():
                self._stopping = True
            case ModelUpdated():
                self._latest = message
                if self._plan.strict:
                    self._models[message.horizon] = message
                kept = message.horizon - _LOOK_BACK - (self._plan.lookahead or 0) if self._plan.strict else None
                self._db.ledger.settle(message.sequences, kept)
                await self._reconsider()
                await self._ask()
            case QueueShort(wanted=wanted, margin=margin, slots=slots, calm=calm):
                self._wanted, self._margin, self._n_slots, self._calm = wanted, margin, slots, calm
                await self._ask()
            case ProposalsReady():
                self._asked = False
                await self._decide(message)
                if self._latest is not message.wanted.model:  # a model that came while this was decided
                    await self._reconsider()
                    await self._ask()

    async def _ask(self) -> None:
        """Turn a wish for decisions into a wish for proposals, within the budget and the schedule."""
        if self._asked or self._stopping or self._wanted <= 0:
            return
        progress = self._db.ledger.progress()
        n, reason = affordable(self._plan, progress, self._wanted)
        if n == 0:
            self._wanted = 0
            self.bus.publish(Exhausted(reason, by_budget=True))
            return
        sequence = self._db.ledger.last_sequence + 1
        if sequence <= self._plan.initial_decisions:
            n = min(self._initial_left(sequence), affordable(self._plan, progress, self._plan.initial)[0])
        elif self._plan.strict:
            n = 1
        guided = sequence > self._plan.initial_decisions and self._plan.acquisition != "random"
        # Where the model is the question, random choice keeps step with the fits, so that its labels are learned too.
        learned = guided or (sequence > self._plan.initial_decisions and self._plan.problem.goal == "learn")
        horizon = sequence - 1 - (self._plan.lookahead or 0) if self._plan.strict and learned else None
        if learned and not self._fresh_enough(horizon):
            return  # the model that this decision is to be made with is still being fitted
        model = self._model_for(horizon) if guided else None
        if guided and (model is None or model.belief is None):
            n = min(n, self._wanted - self._margin)  # without a model, only for slots that stand idle: none in advance
            if n <= 0:
                return
        self._asked = True
        self.bus.publish(ProposalsWanted(n, sequence, model, horizon))

    def _fresh_enough(self, horizon: int | None) -> bool:
        """Whether there is a model that may decide.

        An oracle that takes longer than a fit never waits here. One that is faster than the model does: labels are
        what the budget counts, and a choice by an old model, or by none, wastes them.
        """
        if horizon is not None:
            return self._model_for(horizon) is not None
        labels, model = self._db.ledger.count("done"), self._latest
        if labels < self._plan.first_fit:
            return True
        if model is None or model.belief is None:
            return False
        spec = self._plan.spec
        return spec.train_once or self._db.ledger.unlearned(model.sequences) <= self._n_slots + self._margin

    def _model_for(self, horizon: int | None) -> ModelUpdated | None:
        """The latest model; on the strict schedule the first that has learned all up to `horizon`, if there is one."""
        if horizon is None:
            return self._latest
        self._models = {h: model for h, model in self._models.items() if h >= horizon}
        return self._models[min(self._models)] if self._models else None

    def _initial_left(self, sequence: int) -> int:
        """Candidates of the initial design that have not been decided yet, when `sequence` is the next number."""
        levels = len(self._plan.problem.fidelities)
        return self._plan.initial - (sequence - 1) // levels

    async def _decide(self, ready: ProposalsReady) -> None:
        wanted = ready.wanted
        choices, seconds = await self._choices(ready)
        guided = wanted.model is not None and any(choice.acquisition for choice in choices)
        version = wanted.model.version if wanted.model is not None and guided else None
        decisions = [
            decision_record(self._plan, choice, version, (ready.seconds + seconds) / len(choices)) for choice in choices
        ]
        evaluations = await self._db.enqueue(decisions, self._plan.required) if decisions else []
        self._wanted = 0  # whoever still misses decisions says so again when it hears of these
        self.inbox = deque(message for message in self.inbox if not isinstance(message, QueueShort))
        if new := tuple(e for e in evaluations if e.sequence >= wanted.sequence):
            self.bus.publish(Decided(new))
        else:
            self.bus.publish(Exhausted(self._plan.exhausted, by_budget=False))

    async def _reconsider(self) -> None:
        """Hold the decisions that wait against a new model, and take back those that it would not make again."""
        model, ledger = self._latest, self._db.ledger
        waiting = [e for e in ledger.waiting() if e.sequence > self._plan.initial_decisions]
        # Who has no time for new decisions keeps the old ones: no slot shall wait because of second thoughts.
        busy = self._asked or self._stopping or not self._calm
        if model is None or model.belief is None or model.version == self._judged or not waiting or busy:
            return
        if self._plan.strict or self._plan.spec.train_once or self._plan.acquisition == "random":
            return
        self._judged = model.version
        own = {e.sequence for e in waiting}
        points = [Point(to_candidate(e.candidate), e.fidelity) for e in waiting]
        others = ledger.pending(model.sequences | own)
        try:
            seed = derive(self._plan.spec.seed, "reconsider", model.version)
            stale = await self._decider.stale(ledger.asked, model.belief, points, others, seed)
        except RayTaskError as error:
            reason = str(error).strip().splitlines()[-1]
            self.bus.publish(Notice("reconsidering_failed", f"what waits is kept as it is: {reason}"))
            return
        if stale:
            why = f"taken back: model version {model.version} prefers others"
            gone = await self._db.withdraw([waiting[i].evaluation_id for i in stale], why)
            self._wanted += len(gone)
            for evaluation in waiting:
                if evaluation.evaluation_id in gone:
                    self.bus.publish(Withdrawn(evaluation.sequence, evaluation.evaluation_id, why))

    async def _choices(self, ready: ProposalsReady) -> tuple[tuple[Choice, ...], float]:
        wanted, model = ready.wanted, ready.wanted.model
        if model is None or model.belief is None or not ready.proposals:
            return self._unguided(ready), 0.0
        ledger = self._db.ledger
        try:
            decided = await self._decider.select(
                ledger.asked,
                model.belief,
                ready.proposals,
                ledger.pending(model.sequences, wanted.horizon),
                open_fidelities(self._plan, ledger.progress()),
                wanted.n,
                derive(self._plan.spec.seed, "select", wanted.sequence),
            )
        except RayTaskError as error:
            self._failures += 1
            if self._failures > _MOST_FAILURES:
                raise
            reason = str(error).strip().splitlines()[-1]
            self.bus.publish(Notice("decision_failed", f"choosing failed, so the first proposals are taken: {reason}"))
            return self._unguided(ready), 0.0
        self._failures = 0
        return decided.choices, decided.seconds

    def _unguided(self, ready: ProposalsReady) -> tuple[Choice, ...]:
        """The first proposals as they came: the initial design, or a choice before there is a model."""
        first = ready.wanted.sequence <= self._plan.initial_decisions
        return tuple(without_model(self._plan.problem, ready.proposals[: ready.wanted.n], initial=first))
