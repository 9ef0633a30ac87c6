"""What a person sees while a campaign runs."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    ModelUpdated,
    Notice,
    Started,
    StopRequested,
)
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.scorecard import Best

#: On a console that is no terminal a line is printed at most this often (seconds).
_LINE_EVERY = 5.0
#: On a terminal the panel is drawn anew at most this often for evaluations (seconds).
_PANEL_EVERY = 0.25
_WAITS = " Waiting for what is running; interrupt again to cancel it."


class Narrator(Agent):
    """Shows labels, best, cost, rate, worker use and model error: as a live panel on a terminal, as lines elsewhere."""

    handles: ClassVar = (Started, Decided, EvaluationStarted, EvaluationEnded, ModelUpdated, Notice, StopRequested)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan, console: Console) -> None:
        super().__init__(bus)
        self._db, self._plan, self._console = gateway, plan, console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._began = time.monotonic()
        self._first_start: float | None = None
        self._running: dict[int, float] = {}
        self._busy = 0.0
        self._most_running = 0
        self._ended = 0
        self._failed = 0
        self._model: ModelUpdated | None = None
        self._last_line = 0.0
        self._best = Best(plan.scorecard)
        self._labels = gateway.reader()

    async def run(self) -> None:
        """Handle messages with the live panel open."""
        if self._live is None:
            await super().run()
            return
        with self._live:
            await super().run()

    def deliver(self, message: Any) -> None:
        """Say at once what a person must know at once, also while figures wait for a database that is away."""
        match message:
            case Notice(message=text):
                self._say(f"note: {text}", style="yellow")
                return
            case StopRequested(reason=reason, cancel=cancel):
                waits = "" if cancel or not self._running else _WAITS
                self._say(f"Stopping: {reason}.{waits}")
        super().deliver(message)

    async def on(self, message: Any) -> None:
        """Take note, and show."""
        now = time.monotonic()
        match message:
            case EvaluationStarted(sequence=sequence):
                self._first_start = self._first_start or now
                self._running[sequence] = now
                self._most_running = max(self._most_running, len(self._running))
            case EvaluationEnded(sequence=sequence, failure_class=failure):
                self._ended += 1
                self._failed += failure is not None
                self._busy += now - self._running.pop(sequence, now)
            case ModelUpdated():
                self._model = message
        if self._live is not None:
            if now - self._last_line >= _PANEL_EVERY or not isinstance(message, EvaluationStarted | EvaluationEnded):
                self._last_line = now
                self._live.update(await self._panel(now))
        elif isinstance(message, EvaluationEnded) and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self._say(" · ".join(f"{name} {value}" for name, value in await self._facts(now)))

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)

    async def _facts(self, now: float) -> list[tuple[str, str]]:
        card, budget = self._plan.scorecard, self._plan.spec.budget
        for label in await self._labels.new():
            self._best.add(label)
        progress = self._db.ledger.progress()
        facts, unit = [], card.units.get(card.objective.output, "")
        for fidelity in card.fidelities:
            done = progress.counts.get(fidelity, {}).get("done", 0)
            limit = budget.fidelities.get(fidelity) or (budget.labels if fidelity == card.target else None)
            name = f"{fidelity} labels" if len(card.fidelities) > 1 else "labels"
            facts.append((name, f"{done}/{limit}" if limit else f"{done}"))
        if card.goal == "optimize" and self._best.value is not None:
            facts.append(("best", f"{self._best.value:.5g} {unit}".strip()))
        if card.several and self._best.front:
            facts.append(("front", f"{self._best.front} labels"))
        facts.append(("cost", f"{progress.cost:.3g}"))
        facts.append(("rate", f"{60 * self._ended / max(now - self._began, 1e-9):.1f}/min"))
        if self._first_start is not None and self._most_running:
            busy = self._busy + sum(now - start for start in self._running.values())
            facts.append(
                ("workers busy", f"{min(1.0, busy / (self._most_running * max(now - self._first_start, 1e-9))):.0%}")
            )
        if self._model is not None and self._model.error is not None:
            facts.append(("model error", f"{self._model.error:.3g} {card.error_unit}".strip()))
        if self._failed:
            facts.append(("failed", str(self._failed)))
        return facts

    async def _panel(self, now: float) -> Group:
        table = Table.grid(padding=(0, 2))
        facts = await self._facts(now)
        for name, _ in facts:
            table.add_column(name)
        table.add_row(*(Text(name, style="dim") for name, _ in facts))
        table.add_row(*(Text(value, style="bold") for _, value in facts))
        return Group(Text(self._plan.spec.campaign, style="bold cyan"), table)
