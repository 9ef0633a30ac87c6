"""Pure functions between what the database holds and what the models see."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from theoros.db.records import (
    CandidateRecord,
    DecisionRecord,
    EvaluationRecord,
    LabelRecord,
    OfferRecord,
    ParentRecord,
    PredictionRecord,
)
from theoros.models.data import RUN_TIME, Choice, Dataset, Offer, Origin, Point, Problem
from theoros.models.run_time import logarithm
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.gates import Unfit
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
    labels: Sequence[LabelRecord],
    evaluations: Iterable[EvaluationRecord],
    problem: Problem,
    unfit: Iterable[Unfit] = (),
) -> tuple[Dataset, list[int]]:
    """Labels, and failures among `evaluations`, as a surrogate sees them, with the numbers of their evaluations; and
    what slow gates have turned away.
    """
    failed = [
        Labelled(e.sequence, Point(to_candidate(e.candidate), e.fidelity), ())
        for e in evaluations
        if e.state == "abandoned" and e.failure_class not in NOT_ITS_FAULT
    ]
    memory = Labels(problem.columns)
    told = (labelled(label, problem.columns, problem.structures) for label in labels)
    memory.learn(News(0, [*told, *failed, *turned_away(unfit, problem.target)]))
    return memory.dataset(None)


def turned_away(unfit: Iterable[Unfit], target: str) -> list[Labelled]:
    """What slow gates have turned away as the trainer is told of it: it could not have been labelled."""
    return [Labelled(one.decision, Point(one.candidate, target), (), evaluated=False) for one in unfit]


def labelled(label: LabelRecord, outputs: Sequence[str], structures: Sequence[str] = ()) -> Labelled:
    """A label as the trainer is told of it; an output that it lacks is NaN, and of arrays it is told where they are."""

    def value(output: str) -> float:
        if output == RUN_TIME:
            return logarithm(label.seconds)
        return float(label.values[output]) if output in label.values else math.nan

    return Labelled(
        label.sequence,
        Point(to_candidate(label.candidate), label.fidelity),
        tuple(value(output) for output in outputs),
        Origin(label.proposer, label.acquisition, tuple(_offer(offer) for offer in label.offers), label.seconds),
        {name: label.arrays[name] for name in structures if name in label.arrays},
    )


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
        predictions=[PredictionRecord(output, *told) for output, told in choice.predictions.items()],
        seconds=seconds,
        reason=choice.reason,
        offers=[OfferRecord(*offer) for offer in choice.offers],
        parents=[ParentRecord(bred.child, parent) for bred in choice.descent for parent in bred.parents],
    )


def _offer(record: OfferRecord) -> Offer:
    return Offer(record.proposer, record.proposals, record.seconds, record.share, record.promise)
