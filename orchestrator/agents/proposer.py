"""The proposer keeps the selector supplied with candidates."""

from __future__ import annotations

import time
from typing import ClassVar

from theoros.orchestrator.agents.beliefs import pending_points, seen_candidates
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import ModelUpdated, ProposalsReady, ProposalsWanted
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers.model_worker import SupervisedModelWorker


class Proposer(Agent):
    """Asks the campaign's proposers, in a model worker, for candidates under the current model."""

    handles: ClassVar = (ModelUpdated, ProposalsWanted)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, decider: SupervisedModelWorker) -> None:
        super().__init__(bus)
        self._db, self._plan, self._decider = gateway, plan, decider
        self._model: ModelUpdated | None = None

    async def on(self, message: ModelUpdated | ProposalsWanted) -> None:
        """Remember the model; answer a wish for candidates."""
        if isinstance(message, ModelUpdated):
            self._model = message
            return
        started = time.perf_counter()
        evaluations = await self._db.evaluations()
        learned = self._model.sequences if self._model else frozenset()
        proposals = await self._decider.propose(
            self._model.belief if self._model else None,
            pending_points(evaluations, learned, message.horizon if self._plan.strict else None),
            seen_candidates(evaluations, self._plan.problem.target),
            message.n,
            derive(self._plan.spec.seed, "propose", message.sequence),
        )
        self.bus.publish(ProposalsReady(message, tuple(proposals), time.perf_counter() - started))
