"""The learner keeps the surrogate current: it refits whenever there are new labels and its worker is free."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, ClassVar

from theoros.db.outputs import HeldArray
from theoros.db.records import CheckRecord, ModelVersionRecord, ScoreRecord
from theoros.models.data import Problem
from theoros.models.widening import Widening
from theoros.orchestrator.agents.beliefs import labelled, turned_away
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import EvaluationEnded, ModelUpdated, Notice, Started
from theoros.orchestrator.gateway import Gateway, LabelReader
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers.memory import Labelled
from theoros.workers.model_worker import SupervisedModelWorker
from theoros.workers.modelling import Check, FitReport

#: Scores of a model version are taken over so many of the latest labels that were predicted before they were seen.
SCORE_WINDOW = 200


class Learner(Agent):
    """Fits the surrogate in its model worker and records every version with its scores.

    With one slot (a strict schedule) there is one fit for every evaluation that ended, in their order; otherwise
    labels that came during a fit are learned together by the next one.
    """

    handles: ClassVar = (Started, EvaluationEnded)

    def __init__(
        self,
        bus: Bus,
        gateway: Gateway,
        plan: Plan,
        trainer: SupervisedModelWorker,
        checks: list[Check],
        version: int,
        widening: Widening,
        drawn: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(bus)
        self._db, self._plan, self._trainer = gateway, plan, trainer
        self._checks, self._version = checks, version
        self._widening, self._drawn = widening, drawn  # of earlier sessions, for the first fit of this one
        self._labels = gateway.reader()
        self._log: list[Labelled] = []
        self._known: dict[int, bool] = {}  # numbers of the evaluations in the log: whether there is a label
        self._label_ids: dict[int, int] = {}
        self._n_labels = 0
        self._failures = self._unfit = 0  # of the ledger's that are in the log
        self._newest = 0
        self._belief: Any = None
        self._learned: frozenset[int] = frozenset()
        self._last_seconds = 0.0
        self._last_error: float | None = None
        self._dropped: set[str] = set()  # levels of which it was told that they are no longer asked

    async def on(self, message: Started | EvaluationEnded) -> None:
        """Learn what is new."""
        if isinstance(message, EvaluationEnded) and self._plan.strict:
            await self._learn(message.sequence)
            return
        while self.inbox and isinstance(self.inbox[0], EvaluationEnded):
            self.inbox.popleft()
        await self._learn(None)

    async def _learn(self, horizon: int | None) -> None:
        await self._read(self._labels)
        if horizon is None and self._plan.strict:
            horizon = self._resumed_horizon()
        reached = horizon if horizon is not None else self._newest
        last = min(reached, self._plan.initial_decisions) if self._plan.spec.train_once else reached
        entries, n = len(self._known), self._n_labels
        if last < self._newest:
            kept = [has_label for sequence, has_label in self._known.items() if sequence <= last]
            entries, n = len(kept), sum(kept)
        if n >= self._plan.first_fit and entries != len(self._learned):
            seed = derive(self._plan.spec.seed, "fit", n)
            drawn = self._drawn if self._belief is None else ()
            self._belief, report = await self._trainer.train(self._log, last, seed, self._belief, self._widening, drawn)
            await _whole(self._keep(report, seed, reached))
        else:
            self._tell(reached)

    async def _read(self, reader: LabelReader) -> None:
        """Take in the labels, the failures that may be the candidates' own, and what slow gates have turned away."""
        for label in await reader.new():
            self._log.append(labelled(label, self._plan.problem.columns, self._plan.problem.structures))
            self._n_labels += not self._known.get(label.sequence, False)
            self._known[label.sequence] = True
            self._label_ids[label.sequence] = label.label_id
            self._newest = max(self._newest, label.sequence)
        failed = self._db.ledger.failed[self._failures :]
        self._failures += len(failed)
        for sequence, point in failed:
            self._log.append(Labelled(sequence, point, ()))
            self._known.setdefault(sequence, False)
            self._newest = max(self._newest, sequence)
        unfit = self._db.ledger.unfit[self._unfit :]
        self._unfit += len(unfit)
        self._log += turned_away(unfit, self._plan.problem.target)

    def _resumed_horizon(self) -> int:
        """Where the strict schedule stands after a resume: before the first evaluation that has not ended."""
        ledger = self._db.ledger
        return ledger.last_sequence if ledger.first_open is None else ledger.first_open - 1

    async def _keep(self, report: FitReport, seed: int, reached: int) -> None:
        """Store a fit with its scores, and tell of it."""
        self._learned = report.sequences
        self._version += 1
        self._checks = [*self._checks, *report.checks][-SCORE_WINDOW:]
        scores = score(self._checks)
        self._last_seconds = report.seconds
        self._last_error = error_of(self._checks, self._plan.problem)
        checks = [
            CheckRecord(self._label_ids[c.sequence], c.output, c.mean, c.std, c.observed, c.tail) for c in report.checks
        ]
        await self._db.add_model_version(version_record(report, self._version, seed, scores, checks))
        if report.fell_back:
            self.bus.publish(Notice("fit_failed", report.message))
        for level in report.dropped.keys() - self._dropped:
            self._dropped.add(level)
            self.bus.publish(Notice("level_dropped", report.dropped[level]))
        self._tell(reached)

    def _tell(self, reached: int) -> None:
        self.bus.publish(
            ModelUpdated(self._version, reached, self._belief, self._learned, self._last_seconds, self._last_error)
        )


async def _whole(step: Coroutine[Any, Any, None]) -> None:
    """Take a step to its end even where it is cancelled meanwhile: what is stored is told."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def version_record(
    report: FitReport, number: int, seed: int, scores: list[ScoreRecord], checks: list[CheckRecord]
) -> ModelVersionRecord:
    """A fit as the database keeps it; a twin's is scored by what it drew of the new labels as well."""
    return ModelVersionRecord(
        number=number,
        surrogate=report.surrogate,
        n_labels=report.n_labels,
        seed=seed,
        fit_seconds=report.seconds,
        fell_back=report.fell_back,
        message=report.message,
        hyperparameters=report.hyperparameters,
        scores=[*scores, *(ScoreRecord(*score) for score in report.scores)],
        checks=checks,
        arrays={name: HeldArray(array) for name, array in report.arrays.items()},
    )


def error_of(checks: Sequence[Check], problem: Problem) -> float | None:
    """How wrong predictions of the objective were, or of all that is to be learned (`theoros.models.learning_error`).

    None as long as one of these outputs was not tested.
    """
    import numpy as np

    from theoros.models.learning_error import learning_error

    goals = problem.objectives if problem.goal == "learn" else (problem.objective,)
    errors, spreads = [], []
    for goal in goals:
        own = [check for check in checks if check.output == goal.output]
        if not own:
            return None
        errors.append(float(np.sqrt(np.mean([(check.observed - check.mean) ** 2 for check in own]))))
        spreads.append(float(np.std([check.observed for check in own])))
    return learning_error(errors, spreads)


def score(checks: list[Check]) -> list[ScoreRecord]:
    """Error and calibration per output, over predictions that were made before their labels came."""
    import numpy as np

    from theoros.models.calibration import scores

    records = []
    for output in sorted({check.output for check in checks}):
        own = [check for check in checks if check.output == output]
        told = scores(*(np.array([getattr(c, name) for c in own]) for name in ("mean", "std", "observed", "tail")))
        records += [ScoreRecord(output, name, value, len(own)) for name, value in told.items()]
    return records
