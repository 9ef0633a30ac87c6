"""The proposer keeps the selector supplied with candidates."""

from __future__ import annotations

import time
from typing import ClassVar

from ray.exceptions import RayTaskError

from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import Notice, ProposalsReady, ProposalsWanted
from theoros.orchestrator.gates import card_of
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers.model_worker import SupervisedModelWorker


class Proposer(Agent):
    """Asks the campaign's proposers, in a model worker, for candidates under the current model."""

    handles: ClassVar = (ProposalsWanted,)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, decider: SupervisedModelWorker) -> None:
        super().__init__(bus)
        self._db, self._plan, self._decider = gateway, plan, decider

    async def on(self, message: ProposalsWanted) -> None:
        """Answer a wish for candidates."""
        started = time.perf_counter()
        ledger, model = self._db.ledger, message.model
        arguments = (
            ledger.pending(model.sequences if model else None, message.horizon),
            message.n,
            derive(self._plan.spec.seed, "propose", message.sequence),
        )
        try:
            proposals = await self._decider.propose(ledger.asked, model.belief if model else None, *arguments)
        except RayTaskError as error:
            if model is None:
                raise
            reason = str(error).strip().splitlines()[-1]
            self.bus.publish(Notice("proposing_failed", f"proposing failed, so plain candidates are taken: {reason}"))
            proposals = await self._decider.propose(ledger.asked, None, *arguments)
        if self._plan.gates is not None:
            counts, unfit = await self._decider.turned_away()
            if counts:
                await self._db.keep_card(card_of(counts))
            if unfit:
                await self._db.keep_unfit(message.sequence, unfit)
        self.bus.publish(ProposalsReady(message, tuple(proposals), time.perf_counter() - started))
