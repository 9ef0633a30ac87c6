"""The steward watches budget, stop rules, heartbeats and health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

from theoros.db.errors import OwnershipLost
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    BudgetFreed,
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    Exhausted,
    ModelUpdated,
    Notice,
    StopRequested,
    Withdrawn,
)
from theoros.orchestrator.budget import affordable
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.scorecard import Best

#: Seconds between two looks at the clock, the database and the leases.
TICK = 1.0
HEARTBEAT_EVERY = 10.0
#: A campaign in which nothing happens for this long (beyond an evaluation's own deadline) says so.
SILENCE = 600.0


class Steward(Agent):
    """Ends the campaign when a rule says so, and keeps it owned and alive until then."""

    handles: ClassVar = (Decided, EvaluationStarted, EvaluationEnded, ModelUpdated, Withdrawn, Exhausted, Notice)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, tokens: Callable[[], list[str]]) -> None:
        super().__init__(bus)
        self._db, self._plan, self._tokens = gateway, plan, tokens
        self._exhausted: Exhausted | None = None
        self._stopped = False
        self._began = self._last_sign = time.monotonic()
        self._earlier_seconds: float | None = None
        self._best = Best(plan.scorecard)
        rules = plan.spec.stop
        self._labels = gateway.reader() if rules.target is not None or rules.stagnation is not None else None

    async def on(self, message: Any) -> None:
        """Look at what a message means for the end of the campaign."""
        self._last_sign = time.monotonic()
        match message:
            case Decided():
                self._exhausted = None
            case Exhausted():
                self._exhausted = message
                self._end_when_nothing_is_left()
            case Withdrawn():
                self._exhausted = None
            case EvaluationEnded(failure_class=failure):
                if failure == "cancelled":  # given up for another: its place in the budget is free again
                    self._exhausted = None
                await self._check_stop_rules()
                self._end_when_nothing_is_left()
            case ModelUpdated(error=error) if error is not None:
                limit = self._plan.spec.stop.error
                enough = self._db.ledger.count("done") >= 2 * self._plan.initial_decisions
                if limit is not None and error <= limit and enough:
                    self._stop(
                        f"the model's error on labels it had not seen is {error:.4g}, at most {limit:g} was asked"
                    )
            case Notice(kind=kind, message=text):
                await self._db.event(kind, text)

    async def watch(self) -> None:
        """Heartbeats, stop requests and clocks, once a second until cancelled."""
        last_beat = 0.0
        while True:
            now = time.monotonic()
            if now - last_beat >= HEARTBEAT_EVERY:
                last_beat = now
                try:
                    await self._db.heartbeat(self._tokens())
                    await self._db.keep_tally(self._plan.scorecard.ranking)
                except OwnershipLost as error:
                    self._stop(str(error), cancel=True, finished=False)
            await self._check_requests()
            await self._check_clock(now)
            for evaluation in await self._db.look_outside():
                self.bus.publish(
                    EvaluationEnded(evaluation.sequence, evaluation.failure_class, evaluation.evaluation_id)
                )
            await asyncio.sleep(TICK)

    def _stop(self, reason: str, *, cancel: bool = False, finished: bool = True) -> None:
        if not self._stopped:
            self._stopped = True
            self.bus.publish(StopRequested(reason, cancel=cancel, finished=finished))

    async def _check_requests(self) -> None:
        mode = (await self._db.record()).stop_requested
        if mode is not None:
            self._stop("a stop was requested", cancel=mode == "cancel", finished=False)

    async def _check_clock(self, now: float) -> None:
        limit = self._plan.spec.budget.wall_time
        if limit is not None:
            if self._earlier_seconds is None:
                self._earlier_seconds = await self._db.active_seconds()
            if self._earlier_seconds + now - self._began >= limit:
                self._stop(f"the budget of {limit:g} s of wall time is spent", cancel=True)
        if now - self._last_sign > SILENCE + self._plan.resources.timeout:
            self._last_sign = now
            ledger = self._db.ledger
            await self._db.event(
                "no_progress",
                f"nothing has happened for {SILENCE:g} s beyond an evaluation's deadline; "
                f"{ledger.count('running')} running, {ledger.count('queued')} queued",
            )

    def _end_when_nothing_is_left(self) -> None:
        """Stop when the last evaluation has ended, unless the budget it was committed to has become free meanwhile.

        What is given up while it runs is gone from the ledger at once, and its end is told when its worker is free.
        """
        told = self._exhausted
        if told is None or self._db.ledger.open > 0:
            return
        if told.by_budget and affordable(self._plan, self._db.ledger.progress(), 1)[0] > 0:
            self._exhausted = None
            self.bus.publish(BudgetFreed())
        else:
            self._stop(told.reason)

    async def _check_stop_rules(self) -> None:
        rules = self._plan.spec.stop
        if self._labels is None:
            return
        for label in await self._labels.new():
            self._best.add(label)
        best = self._best.value
        if best is not None and rules.target is not None and self._plan.scorecard.objective.reached(best, rules.target):
            self._stop(f"the target {rules.target:g} is reached: {best:.6g}")
        window = rules.stagnation
        if (
            window is not None
            and self._best.front
            and self._best.n > max(window, self._plan.initial)
            and self._best.since >= window
        ):
            self._stop(f"no better label among the last {window}")
