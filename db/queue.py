"""The queue: decisions become evaluations, and workers claim them."""

from __future__ import annotations

import math
import numbers
import secrets
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from theoros.db.clock import now, seconds_between
from theoros.db.records import CandidateRecord, Claim, DecisionRecord, EvaluationRecord
from theoros.db.schema import (
    CLAIMABLE,
    Attempt,
    Candidate,
    CandidateValue,
    Decision,
    DecisionPrediction,
    Evaluation,
    Label,
    LabelOutput,
)

# As literals, not parameters: a plan that PostgreSQL keeps for all parameters can use a partial index only where the
# index's condition is written out in the query.
_CLAIMABLE = Evaluation.state.in_([literal_column(f"'{state}'") for state in CLAIMABLE])


def enqueue(
    connection: Connection,
    campaign_id: int,
    decisions: Sequence[DecisionRecord],
    required_outputs: Collection[str],
    priority: int,
) -> list[EvaluationRecord]:
    """Queue each decision once; the campaign's row is locked by the caller, so sequence numbers are dense."""
    sequence = next_sequence(connection, campaign_id)
    ids = []
    for decision in decisions:
        candidate_id = _keep_candidate(connection, decision.candidate)
        existing, replicate = _existing(connection, campaign_id, candidate_id, decision.fidelity)
        if existing is not None:
            ids.append(existing)
            continue
        label_id = _cached(connection, decision.cache_key, required_outputs)
        evaluation_id = connection.execute(
            insert(Evaluation)
            .values(
                campaign_id=campaign_id,
                sequence=sequence,
                candidate_id=candidate_id,
                fidelity=decision.fidelity,
                replicate=replicate,
                cache_key=decision.cache_key,
                state="queued" if label_id is None else "done",
                priority=priority,
                enqueued_at=now(),
                ended_at=None if label_id is None else now(),
                label_id=label_id,
                from_cache=label_id is not None,
            )
            .returning(Evaluation.id)
        ).scalar_one()
        _keep_decision(connection, evaluation_id, decision)
        ids.append(evaluation_id)
        sequence += 1
    known = {record.evaluation_id: record for record in by_ids(connection, ids)}
    return [known[evaluation_id] for evaluation_id in ids]


def claim(connection: Connection, campaign_id: int, worker: str, limit: int, lease_seconds: float) -> list[Claim]:
    """Hand up to `limit` evaluations to `worker`, lowest priority number first, then the oldest."""
    ready = (
        select(Evaluation.id)
        .where(
            Evaluation.campaign_id == campaign_id,
            _CLAIMABLE,
            or_(Evaluation.not_before.is_(None), Evaluation.not_before <= now()),
        )
        .order_by(Evaluation.priority, Evaluation.sequence)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(ready).scalars())
    tokens = [
        token
        for evaluation_id in ids
        if (token := _start_attempt(connection, evaluation_id, worker, lease_seconds)) is not None
    ]
    return _claims(connection, Attempt.token.in_(tokens)) if tokens else []


def claims_of(connection: Connection, campaign_id: int, worker: str | None) -> list[Claim]:
    """The running claims of `worker`, so that who asks again gets its own unfinished evaluations; None: all."""
    own = () if worker is None else (Attempt.worker == worker,)
    return _claims(connection, Evaluation.campaign_id == campaign_id, Attempt.state == "running", *own)


def cancel(connection: Connection, campaign_id: int, evaluation_ids: Collection[int] | None) -> int:
    """Cancel what is queued (None), or the evaluations named that have not ended; returns how many."""
    query = select(Evaluation.id).where(Evaluation.campaign_id == campaign_id)
    if evaluation_ids is None:
        query = query.where(_CLAIMABLE)
    else:
        query = query.where(Evaluation.state.in_((*CLAIMABLE, "running")), Evaluation.id.in_(evaluation_ids))
    ids = list(connection.execute(query.with_for_update()).scalars())
    for evaluation_id in ids:
        connection.execute(
            update(Evaluation).where(Evaluation.id == evaluation_id).values(state="cancelled", ended_at=now())
        )
        connection.execute(
            update(Attempt)
            .where(Attempt.evaluation_id == evaluation_id, Attempt.state == "running")
            .values(state="cancelled", ended_at=now(), held_seconds=seconds_between(Attempt.claimed_at, now()))
        )
    return len(ids)


def records(connection: Connection, campaign_id: int, states: Collection[str] | None) -> list[EvaluationRecord]:
    """The campaign's evaluations in the order of their decisions."""
    query = evaluation_query().where(Evaluation.campaign_id == campaign_id)
    if states is not None:
        query = query.where(Evaluation.state.in_(states))
    return [evaluation_record(row) for row in connection.execute(query.order_by(Evaluation.sequence))]


def count(connection: Connection, campaign_id: int, states: Collection[str]) -> int:
    """How many evaluations are in one of `states`; an index alone answers it."""
    query = select(func.count()).where(Evaluation.campaign_id == campaign_id, Evaluation.state.in_(states))
    return connection.execute(query).scalar_one()


def next_sequence(connection: Connection, campaign_id: int) -> int:
    """The number of the campaign's next evaluation; the end of an index answers it."""
    query = select(func.max(Evaluation.sequence)).where(Evaluation.campaign_id == campaign_id)
    return (connection.execute(query).scalar_one() or 0) + 1


def by_ids(connection: Connection, ids: Sequence[int]) -> list[EvaluationRecord]:
    """The evaluations of those ids, in the order of their decisions."""
    found = []
    for start in range(0, len(ids), 500):
        query = evaluation_query().where(Evaluation.id.in_(ids[start : start + 500]))
        found += [evaluation_record(row) for row in connection.execute(query)]
    return sorted(found, key=lambda record: record.sequence)


def seen(connection: Connection, campaign_id: int) -> set[tuple[str, str]]:
    """What `enqueue` would not queue again: candidate hash and fidelity of all that is not cancelled."""
    query = (
        select(Candidate.hash, Evaluation.fidelity)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(Evaluation.campaign_id == campaign_id, Evaluation.state != "cancelled")
    )
    return {(row.hash, row.fidelity) for row in connection.execute(query)}


def evaluation_query() -> Select[Any]:
    """Evaluations with their candidates."""
    return select(
        Evaluation.id,
        Evaluation.sequence,
        Evaluation.fidelity,
        Evaluation.state,
        Evaluation.attempts,
        Evaluation.failure_class,
        Evaluation.message,
        Candidate.hash,
        Candidate.kind,
        Candidate.data,
        Candidate.text,
    ).join(Candidate, Candidate.id == Evaluation.candidate_id)


def evaluation_record(row: Row[Any]) -> EvaluationRecord:
    """The record of a row of `evaluation_query`."""
    return EvaluationRecord(
        evaluation_id=row.id,
        sequence=row.sequence,
        candidate=CandidateRecord(row.hash, row.kind, row.data, row.text),
        fidelity=row.fidelity,
        state=row.state,
        attempts=row.attempts,
        failure_class=row.failure_class,
        message=row.message,
    )


def _keep_candidate(connection: Connection, candidate: CandidateRecord) -> int:
    find = select(Candidate.id).where(Candidate.hash == candidate.hash)
    known = connection.execute(find).scalar_one_or_none()
    if known is not None:
        return known
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = connection.execute(
        dialect.insert(Candidate)
        .values(hash=candidate.hash, kind=candidate.kind, data=candidate.data, text=candidate.text)
        .on_conflict_do_nothing(index_elements=["hash"])
        .returning(Candidate.id)
    ).scalar_one_or_none()
    if made is None:  # another campaign kept it between the two statements
        return connection.execute(find).scalar_one()
    values = [
        {"candidate_id": made, "name": name, "number": _as_number(value), "text": _as_text(value)}
        for name, value in candidate.data.items()
        if _is_scalar(value)
    ]
    if values:
        connection.execute(insert(CandidateValue), values)
    return int(made)


def _existing(connection: Connection, campaign_id: int, candidate_id: int, fidelity: str) -> tuple[int | None, int]:
    """The evaluation that stands for this candidate and fidelity (or None), and how many there have been."""
    rows = connection.execute(
        select(Evaluation.id, Evaluation.state).where(
            Evaluation.campaign_id == campaign_id,
            Evaluation.candidate_id == candidate_id,
            Evaluation.fidelity == fidelity,
        )
    ).all()
    standing = [row.id for row in rows if row.state != "cancelled"]
    return (standing[0] if standing else None), len(rows)


def _cached(connection: Connection, cache_key: str, required_outputs: Collection[str]) -> int | None:
    """The oldest label under `cache_key` that holds every required output."""
    query = select(Label.id).where(Label.cache_key == cache_key)
    for output in sorted(set(required_outputs)):
        query = query.where(
            select(LabelOutput.label_id).where(LabelOutput.label_id == Label.id, LabelOutput.output == output).exists()
        )
    return connection.execute(query.order_by(Label.id).limit(1)).scalar_one_or_none()


def _keep_decision(connection: Connection, evaluation_id: int, decision: DecisionRecord) -> None:
    decision_id = connection.execute(
        insert(Decision)
        .values(
            evaluation_id=evaluation_id,
            proposer=decision.proposer,
            acquisition=decision.acquisition,
            acquisition_value=decision.acquisition_value,
            model_version=decision.model_version,
            seconds=decision.seconds,
            reason=decision.reason,
            decided_at=now(),
        )
        .returning(Decision.id)
    ).scalar_one()
    if decision.predictions:
        connection.execute(
            insert(DecisionPrediction),
            [
                {"decision_id": decision_id, "output": belief.output, "mean": belief.mean, "std": belief.std}
                for belief in decision.predictions
            ],
        )


def _start_attempt(connection: Connection, evaluation_id: int, worker: str, lease_seconds: float) -> str | None:
    started = connection.execute(
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.state.in_(CLAIMABLE))
        .values(state="running", attempts=Evaluation.attempts + 1, not_before=None, ended_at=None)
        .returning(Evaluation.attempts)
    ).scalar_one_or_none()
    if started is None:
        return None
    token = secrets.token_hex(16)
    since = select(Evaluation.enqueued_at).where(Evaluation.id == evaluation_id).scalar_subquery()
    connection.execute(
        insert(Attempt).values(
            evaluation_id=evaluation_id,
            number=started,
            token=token,
            worker=worker,
            host="",
            state="running",
            claimed_at=now(),
            lease_expires_at=now(lease_seconds),
            wait_seconds=seconds_between(since, now()),
        )
    )
    return token


def _claims(connection: Connection, *conditions: Any) -> list[Claim]:
    query = (
        select(
            Evaluation.id,
            Evaluation.sequence,
            Evaluation.fidelity,
            Attempt.id.label("attempt_id"),
            Attempt.token,
            Attempt.number,
            Attempt.worker,
            Candidate.hash,
            Candidate.kind,
            Candidate.data,
            Candidate.text,
        )
        .join(Attempt, Attempt.evaluation_id == Evaluation.id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(*conditions)
        .order_by(Evaluation.priority, Evaluation.sequence)
    )
    return [
        Claim(
            evaluation_id=row.id,
            sequence=row.sequence,
            attempt_id=row.attempt_id,
            token=row.token,
            candidate=CandidateRecord(row.hash, row.kind, row.data, row.text),
            fidelity=row.fidelity,
            attempt_number=row.number,
            worker=row.worker,
        )
        for row in connection.execute(query)
    ]


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bool | numbers.Real)


def _as_number(value: object) -> float | None:
    if isinstance(value, str) or not isinstance(value, numbers.Real):
        return None
    return float(value) if math.isfinite(value) else None


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None
