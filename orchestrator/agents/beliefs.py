"""Pure functions between what the database holds and what the models see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from theoros.db.records import CandidateRecord, DecisionRecord, EvaluationRecord, LabelRecord, PredictionRecord
from theoros.models.contract import Choice, Dataset, Point
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.plan import Plan

#: Evaluations in these states will bring no label.
_OVER = frozenset({"abandoned", "cancelled"})


def to_candidate(record: CandidateRecord) -> Candidate:
    """The candidate of a row."""
    return Candidate(record.kind, record.data)


def to_record(candidate: Candidate) -> CandidateRecord:
    """A candidate as the database keeps it."""
    return CandidateRecord(candidate.hash, candidate.kind, dict(candidate.data), candidate.text)


def dataset(labels: Sequence[LabelRecord], outputs: tuple[str, ...]) -> Dataset:
    """Labels as a surrogate sees them; an output that a label lacks is NaN."""
    values = np.full((len(labels), len(outputs)), np.nan)
    for row, label in enumerate(labels):
        for column, output in enumerate(outputs):
            if output in label.values:
                values[row, column] = float(label.values[output])
    points = tuple(Point(to_candidate(label.candidate), label.fidelity) for label in labels)
    return Dataset(points, outputs, values)


def pending_points(
    evaluations: Iterable[EvaluationRecord], learned: Collection[int], horizon: int | None = None
) -> list[Point]:
    """What was decided and is not yet in the model, in the order of the decisions.

    With a `horizon` everything decided after it counts as pending, even what has ended since: then a decision depends
    on the order of the evaluations alone and not on how fast they were.
    """
    return [
        Point(to_candidate(e.candidate), e.fidelity)
        for e in evaluations
        if e.sequence not in learned and (e.state not in _OVER or (horizon is not None and e.sequence > horizon))
    ]


def seen_candidates(evaluations: Iterable[EvaluationRecord], target: str) -> frozenset[str]:
    """Hashes of candidates that must not be proposed again: asked at the target fidelity, or failed at any."""
    return frozenset(e.candidate.hash for e in evaluations if e.fidelity == target or e.state == "abandoned")


def seen_points(evaluations: Iterable[EvaluationRecord]) -> frozenset[tuple[str, str]]:
    """Candidate hash and fidelity of all that was ever decided."""
    return frozenset((e.candidate.hash, e.fidelity) for e in evaluations)


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
