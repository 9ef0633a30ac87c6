"""The pruner ends running evaluations whose answer has become useless, where the campaign asks for it."""

from __future__ import annotations

import time
from typing import ClassVar

from ray.exceptions import RayTaskError

from theoros.models.data import Point
from theoros.orchestrator.agents.beliefs import to_candidate
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    EvaluationEnded,
    EvaluationStarted,
    ModelUpdated,
    Notice,
    Started,
    Useless,
)
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.model_worker import SupervisedModelWorker

#: An evaluation that has had more than this share of its expected time is let go on: most of its cost is spent.
MOST_SPENT = 0.5
#: Weight of the newest duration in the running mean.
_WEIGHT = 0.2


class Pruner(Agent):
    """After each model version asks how likely each running evaluation is to beat the best label.

    One at the target fidelity that has next to no chance left (``workers.cancel_hopeless``), and most of its cost still
    before it, is cancelled. What it has cost until then is charged; its place in the budget of labels is free again.
    """

    handles: ClassVar = (Started, EvaluationStarted, EvaluationEnded, ModelUpdated)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, decider: SupervisedModelWorker) -> None:
        super().__init__(bus)
        self._db, self._plan, self._decider = gateway, plan, decider
        self._began: dict[int, float] = {}
        self._expected: float | None = None
        self._judged = 0

    async def on(self, message: Started | EvaluationStarted | EvaluationEnded | ModelUpdated) -> None:
        """Keep time; judge what runs when there is a new model."""
        limit = self._plan.spec.workers.cancel_hopeless
        match message:
            case _ if limit is None:
                return
            case EvaluationStarted(sequence=sequence):
                self._began[sequence] = time.monotonic()
            case EvaluationEnded(sequence=sequence, failure_class=failure, seconds=seconds):
                self._began.pop(sequence, None)
                if failure is None and seconds is not None:
                    old = self._expected
                    self._expected = seconds if old is None else (1 - _WEIGHT) * old + _WEIGHT * seconds
            case ModelUpdated() if message.belief is not None and message.version != self._judged:
                self._judged = message.version
                await self._judge(message, limit)

    async def _judge(self, model: ModelUpdated, limit: float) -> None:
        running = [
            e
            for e in self._db.ledger.running()
            if e.sequence > self._plan.initial_decisions  # what those answer is for the model, whatever it is
            and e.fidelity == self._plan.problem.target
            and self._spent(e.sequence) <= MOST_SPENT
        ]
        if not running:
            return
        points = [Point(to_candidate(e.candidate), e.fidelity) for e in running]
        try:
            chances = await self._decider.chances(model.belief, points)
        except RayTaskError as error:
            reason = str(error).strip().splitlines()[-1]
            self.bus.publish(Notice("judging_failed", f"what runs is left to run: {reason}"))
            return
        for evaluation, chance in zip(running, chances, strict=True):
            spent = self._spent(evaluation.sequence)  # the model took its time, and the evaluation went on
            if chance < limit and spent <= MOST_SPENT:
                reason = f"model version {model.version} gives it a chance of {chance:.2g} to beat the best"
                self.bus.publish(Useless(evaluation.sequence, reason, spent))

    def _spent(self, sequence: int) -> float:
        """The share of its expected time that an evaluation has had; 1 where nothing is known."""
        began = self._began.get(sequence)
        if began is None or self._expected is None:
            return 1.0
        return (time.monotonic() - began) / max(self._expected, 1e-9)
