"""Pure functions between what the database holds and what the models see."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from theoros.db.records import CandidateRecord, DecisionRecord, EvaluationRecord, LabelRecord, PredictionRecord
from theoros.models.contract import RUN_TIME, Choice, Dataset, Origin, Point
from theoros.models.run_time import logarithm
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.ledger import NOT_ITS_FAULT
from theoros.orchestrator.plan import Plan
from theoros.workers.memory import Labelled, Labels, News

#: Evaluations in these states will bring no label.
_OVER = frozenset({"abandoned", "cancelled"})


def to_candidate(record: CandidateRecord) -> Candidate:
    """The candidate of a row."""
    return Candidate(record.kind, record.data)


def to_record(candidate: Candidate) -> CandidateRecord:
    """A candidate as the database keeps it."""
    return CandidateRecord(candidate.hash, candidate.kind, dict(candidate.data), candidate.text)


def history(
    labels: Sequence[LabelRecord], evaluations: Iterable[EvaluationRecord], outputs: tuple[str, ...]
) -> tuple[Dataset, list[int]]:
    """Labels, and failures among `evaluations`, as a surrogate sees them, with the numbers of their evaluations."""
    failed = [
        Labelled(e.sequence, Point(to_candidate(e.candidate), e.fidelity), ())
        for e in evaluations
        if e.state == "abandoned" and e.failure_class not in NOT_ITS_FAULT
    ]
    memory = Labels(outputs)
    memory.learn(News(0, [*(labelled(label, outputs) for label in labels), *failed]))
    return memory.dataset(None)


def labelled(label: LabelRecord, outputs: tuple[str, ...]) -> Labelled:
    """A label as the trainer is told of it; an output that it lacks is NaN."""
    own: dict[str, Any] = {**label.values, RUN_TIME: logarithm(label.seconds)}
    values = tuple(float(own[output]) if output in own else math.nan for output in outputs)
    origin = Origin(label.proposer, label.acquisition)
    return Labelled(label.sequence, Point(to_candidate(label.candidate), label.fidelity), values, origin)


def pending_points(evaluations: Iterable[EvaluationRecord], learned: Collection[int]) -> list[Point]:
    """What was decided and is not yet in the model, in the order of the decisions."""
    return [
        Point(to_candidate(e.candidate), e.fidelity)
        for e in evaluations
        if e.sequence not in learned and e.state not in _OVER
    ]


def seen_candidates(evaluations: Iterable[EvaluationRecord], target: str) -> frozenset[str]:
    """Hashes of candidates that must not be proposed again: asked at the target fidelity, or failed at any."""
    return frozenset(
        e.candidate.hash
        for e in evaluations
        if e.state == "abandoned" or (e.fidelity == target and e.state != "cancelled")
    )


def seen_points(evaluations: Iterable[EvaluationRecord]) -> frozenset[tuple[str, str]]:
    """Candidate hash and fidelity of all that was decided and not cancelled."""
    return frozenset((e.candidate.hash, e.fidelity) for e in evaluations if e.state != "cancelled")


def decision_record(plan: Plan, choice: Choice, version: int | None, seconds: float) -> DecisionRecord:
    """A choice as the database keeps it."""
    return DecisionRecord(
        candidate=to_record(choice.point.candidate),
        fidelity=choice.point.fidelity,
        cache_key=plan.cache_key(choice.point.candidate, choice.point.fidelity),
        proposer=choice.proposer,
        acquisition=choice.acquisition,
        acquisition_value=choice.value,
        model_version=version,
        predictions=[PredictionRecord(output, mean, std) for output, (mean, std) in choice.predictions.items()],
        seconds=seconds,
        reason=choice.reason,
    )
