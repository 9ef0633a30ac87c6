"""A campaign in one process, without a database: what a method would have decided on an oracle that costs nothing.

The bookkeeping is the campaign's own (`theoros.orchestrator.ledger`), and so are the budget and the schedule, so that
what is simulated is what is run. Time is simulated: an evaluation takes the seconds that the oracle's `delay` says,
and a decision none.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from theoros.db.outputs import HeldArray
from theoros.db.records import EvaluationRecord
from theoros.models.data import RUN_TIME, Choice, Origin, Point
from theoros.models.run_time import logarithm
from theoros.oracles.contract import Oracle, checked_values
from theoros.oracles.failures import MissingDependency, OracleFailure
from theoros.orchestrator.agents.beliefs import to_record
from theoros.orchestrator.budget import affordable
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.workers.memory import Labelled

#: How long an evaluation of a point takes (simulated seconds).
Duration = Callable[[Point], float]
#: Whether a simulation has seen enough before its budget is spent.
Enough = Callable[["Sequence[Step]"], bool]


class Chooser(Protocol):
    """A method at work on one campaign: it is told of labels as they come, and asked what comes next."""

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice] | None:
        """The next decisions: none when nothing is left to ask, None to be asked again when more labels have come.

        `idle` says that a slot stands still for want of a decision, so that None would be waste.
        """
        ...

    def tell(self, label: Labelled) -> None:
        """An evaluation has ended; it has no values when it failed."""
        ...


@dataclass(frozen=True)
class Step:
    """An evaluation that has ended.

    `values` are the objectives, NaN for a failure and below the target fidelity; `feasible` whether it keeps the
    constraints on outputs. `cost` is what all evaluations that have ended by then have cost, in labels at the target
    fidelity; `labels` counts those at the target; `ended` is in simulated seconds, `decision_seconds` in real ones:
    choosing, and learning since the choice before. `error` is the model's after it, NaN where none is examined.
    """

    number: int
    candidate: str
    hash: str
    fidelity: str
    values: tuple[float, ...]
    feasible: bool
    cost: float
    labels: int
    ended: float
    decision_seconds: float
    error: float = math.nan

    @property
    def value(self) -> float:
        """The (first) objective."""
        return self.values[0]


def simulate(
    plan: Plan,
    oracle: Oracle,
    chooser: Chooser,
    *,
    slots: int = 1,
    duration: Duration,
    enough: Enough | None = None,
    error: Callable[[], float] | None = None,
) -> list[Step]:
    """Let `chooser` spend the plan's budget of labels or cost; returns the evaluations in the order of their ends.

    `slots` evaluations run side by side, and the plan's lookahead of decisions waits beside them (none where it is
    left to the pace of a real run). Failures count towards the budget and are never tried again, but a library that
    is missing is raised (MissingDependency). Rules to stop earlier are left aside, since curves are compared over the
    whole budget; `enough` may end it. `error` is asked after each evaluation how wrong the chooser's model is.
    """
    run = _Run(plan, oracle, chooser, slots, duration, error)
    while run.advance():
        if enough is not None and enough(run.steps):
            break
    return run.steps


class _Run:
    """The state of one simulation."""

    def __init__(
        self,
        plan: Plan,
        oracle: Oracle,
        chooser: Chooser,
        slots: int,
        duration: Duration,
        error: Callable[[], float] | None,
    ) -> None:
        self._plan, self._oracle, self._chooser, self._duration = plan, oracle, chooser, duration
        self._error = error or (lambda: math.nan)
        self._slots, self._ahead = slots, plan.lookahead or 0
        self._ledger = Ledger([], 0.0, plan.cost_table, plan.problem.target)
        self._queue: deque[tuple[int, Choice, float]] = deque()
        self._running: list[tuple[float, int, Choice, float]] = []
        self._exhausted, self._now, self._labels = False, 0.0, 0
        self._learning = 0.0  # seconds that were learned in since the last decision
        self.steps: list[Step] = []

    def advance(self) -> bool:
        """Decide, start what has a slot, and let the next evaluation end; False when there is none."""
        self._decide()
        while self._queue and len(self._running) < self._slots:
            number, choice, seconds = self._queue.popleft()
            ends = self._now + self._duration(choice.point)
            heapq.heappush(self._running, (ends, number, choice, seconds))
            self._ledger.became(number, "running")
        if not self._running:
            return False
        self._now, number, choice, seconds = heapq.heappop(self._running)
        self._end(number, choice, seconds)
        return True

    def _decide(self) -> None:
        while not self._exhausted and (outstanding := self._ledger.open) < self._slots + self._ahead:
            if affordable(self._plan, self._ledger.progress(), 1)[0] == 0:
                return
            started = time.perf_counter()
            choices = self._chooser.ask(self._ledger, idle=outstanding < self._slots)
            if choices is None:
                return
            seconds = (self._learning + time.perf_counter() - started) / max(1, len(choices))
            self._learning = 0.0
            self._exhausted = not choices
            for choice in choices:
                number = self._ledger.last_sequence + 1
                candidate = to_record(choice.point.candidate)
                record = EvaluationRecord(number, number, candidate, choice.point.fidelity, "queued", 0, None, None)
                self._ledger.add([record])
                self._queue.append((number, choice, seconds))

    def _end(self, number: int, choice: Choice, decision_seconds: float) -> None:
        candidate, fidelity = choice.point.candidate, choice.point.fidelity
        problem, values, failure = self._plan.problem, dict[str, float](), None
        structures: dict[str, HeldArray] = {}
        try:
            checked = checked_values(self._oracle.outputs, self._oracle.evaluate(candidate, fidelity))
            known: dict[str, Any] = {**checked, RUN_TIME: logarithm(self._duration(choice.point))}
            values = {output: float(known[output]) for output in problem.columns}
            structures = {name: HeldArray(checked[name]) for name in problem.structures}
        except MissingDependency:
            raise
        except Exception as error:  # whatever an oracle raises is a failure of this candidate, as in a campaign
            failure = error.failure_class if isinstance(error, OracleFailure) else OracleFailure.failure_class
        state = "done" if failure is None else "abandoned"
        self._ledger.became(number, state, cost=self._plan.cost(fidelity), failure_class=failure)
        at_target = fidelity == problem.target
        self._labels += at_target
        started = time.perf_counter()
        taken = self._duration(choice.point)
        origin = Origin(choice.proposer, choice.acquisition, choice.offers, taken) if values else None
        self._chooser.tell(Labelled(number, choice.point, tuple(values.values()), origin, structures))
        self._learning += time.perf_counter() - started
        self.steps.append(
            Step(
                number,
                candidate.text,
                candidate.hash,
                fidelity,
                tuple(values[goal.output] if at_target and values else math.nan for goal in problem.objectives),
                bool(values) and all(c.satisfied(values[c.output]) for c in problem.constraints),
                self._ledger.spent,
                self._labels,
                self._now,
                decision_seconds,
                self._error(),
            )
        )
