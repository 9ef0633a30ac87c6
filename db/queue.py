"""The queue: decisions become evaluations, and workers claim them."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    Row,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from theoros.db import candidates
from theoros.db import decisions as decisions_of
from theoros.db.chunks import chunks
from theoros.db.clock import now, seconds_between
from theoros.db.records import CandidateRecord, Claim, DecisionRecord, EvaluationRecord
from theoros.db.schema import (
    CLAIMABLE,
    Attempt,
    Candidate,
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
    """Queue each decision once; the campaign's row is locked by the caller, so sequence numbers are dense.

    The number of statements does not depend on the number of decisions.
    """
    ids = candidates.keep(connection, [decision.candidate for decision in decisions])
    asked = [(ids[decision.candidate.hash], decision.fidelity) for decision in decisions]
    standing, replicates = _asked_before(connection, campaign_id, {candidate_id for candidate_id, _ in asked})
    cached = _cached(connection, {decision.cache_key for decision in decisions}, required_outputs)
    new = {key: decision for key, decision in zip(asked, decisions, strict=True) if key not in standing}
    first = next_sequence(connection, campaign_id)
    rows = [
        {
            "sequence": first + i,
            "candidate_id": candidate_id,
            "fidelity": fidelity,
            "replicate": replicates[candidate_id, fidelity],
            "cache_key": decision.cache_key,
            "state": "queued" if decision.cache_key not in cached else "done",
            "known_label": cached.get(decision.cache_key),
            "from_cache": decision.cache_key in cached,
        }
        for i, ((candidate_id, fidelity), decision) in enumerate(new.items())
    ]
    if rows:
        label: BindParameter[int | None] = bindparam("known_label", type_=Integer)
        made = insert(Evaluation).values(
            campaign_id=campaign_id,
            priority=priority,
            attempts=0,
            enqueued_at=now(),
            label_id=label,
            ended_at=case((label.is_(None), None), else_=now()),
        )
        queued = connection.execute(made.returning(Evaluation.id, sort_by_parameter_order=True), rows).scalars().all()
        standing |= dict(zip(new, queued, strict=True))
        decisions_of.keep(connection, list(zip(queued, new.values(), strict=True)))
    known = {record.evaluation_id: record for record in by_ids(connection, sorted({standing[key] for key in asked}))}
    return [known[standing[key]] for key in asked]


def claim(connection: Connection, campaign_id: int, workers: Sequence[str], lease_seconds: float) -> list[Claim]:
    """Hand an evaluation to each of `workers`, as far as there are any: lowest priority number first, then the oldest.

    A worker that is named twice gets two.
    """
    ready = (
        select(Evaluation.id)
        .where(
            Evaluation.campaign_id == campaign_id,
            _CLAIMABLE,
            or_(Evaluation.not_before.is_(None), Evaluation.not_before <= now()),
        )
        .order_by(Evaluation.priority, Evaluation.sequence)
        .limit(len(workers))
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(ready).scalars())
    if not ids:
        return []
    begun = connection.execute(
        update(Evaluation)
        .where(Evaluation.id.in_(ids), Evaluation.state.in_(CLAIMABLE))
        .values(state="running", attempts=Evaluation.attempts + 1, not_before=None, ended_at=None)
        .returning(Evaluation.id, Evaluation.attempts)
    )
    numbers = {row.id: row.attempts for row in begun}
    rows = [
        {"evaluation": key, "number": numbers[key], "token": secrets.token_hex(16), "worker": worker}
        for key, worker in zip(ids, workers, strict=False)
        if key in numbers
    ]
    evaluation: BindParameter[int] = bindparam("evaluation", type_=Integer)
    since = select(Evaluation.enqueued_at).where(Evaluation.id == evaluation).scalar_subquery()
    connection.execute(
        insert(Attempt).values(
            evaluation_id=evaluation,
            host="",
            state="running",
            claimed_at=now(),
            lease_expires_at=now(lease_seconds),
            wait_seconds=seconds_between(since, now()),
        ),
        rows,
    )
    return _claims(connection, Attempt.token.in_([row["token"] for row in rows]))


def claims_of(connection: Connection, campaign_id: int, worker: str | None) -> list[Claim]:
    """The running claims of `worker`, so that who asks again gets its own unfinished evaluations; None: all."""
    own = () if worker is None else (Attempt.worker == worker,)
    return _claims(connection, Evaluation.campaign_id == campaign_id, Attempt.state == "running", *own)


def cancel(
    connection: Connection,
    campaign_id: int,
    evaluation_ids: Collection[int] | None,
    *,
    running: bool,
    message: str | None = None,
    costs: Mapping[int, float] | None = None,
) -> list[int]:
    """Cancel all that waits (None), or of the evaluations named those that wait and, if asked, those `running`.

    `message` says why; `costs` are what running ones have cost until now. Returns the ids of those cancelled.
    """
    states = (*CLAIMABLE, "running") if running else CLAIMABLE
    query = select(Evaluation.id).where(Evaluation.campaign_id == campaign_id)
    query = query.where(_CLAIMABLE if evaluation_ids is None else Evaluation.state.in_(states))
    pieces = [query]
    if evaluation_ids is not None:
        pieces = [query.where(Evaluation.id.in_(chunk)) for chunk in chunks(sorted(evaluation_ids))]
    locked = (piece.order_by(Evaluation.id).with_for_update() for piece in pieces)
    ids = [key for piece in locked for key in connection.execute(piece).scalars()]
    for chunk in chunks(ids):
        connection.execute(
            update(Evaluation)
            .where(Evaluation.id.in_(chunk))
            .values(state="cancelled", ended_at=now(), message=func.coalesce(message, Evaluation.message))
        )
        if running:
            values = {
                "state": "cancelled",
                "message": message,
                "ended_at": now(),
                "held_seconds": seconds_between(Attempt.claimed_at, now()),
            }
            for key in chunk:
                attempt = update(Attempt).where(Attempt.evaluation_id == key, Attempt.state == "running")
                connection.execute(attempt.values(**values, cost=(costs or {}).get(key, 0.0)))
    return ids


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
    for chunk in chunks(ids):
        found += [
            evaluation_record(row) for row in connection.execute(evaluation_query().where(Evaluation.id.in_(chunk)))
        ]
    return sorted(found, key=lambda record: record.sequence)


def named(
    connection: Connection, campaign_id: int, ids: Collection[int], tokens: Collection[str]
) -> list[EvaluationRecord]:
    """The campaign's evaluations of those ids, and those that the attempts with those tokens are about."""
    wanted = set(ids)
    for chunk in chunks(sorted(tokens)):
        wanted |= set(connection.execute(select(Attempt.evaluation_id).where(Attempt.token.in_(chunk))).scalars())
    own = select(Evaluation.id).where(Evaluation.campaign_id == campaign_id)
    kept = [
        key
        for chunk in chunks(sorted(wanted))
        for key in connection.execute(own.where(Evaluation.id.in_(chunk))).scalars()
    ]
    return by_ids(connection, kept)


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


def _asked_before(
    connection: Connection, campaign_id: int, candidate_ids: Collection[int]
) -> tuple[dict[tuple[int, str], int], Counter[tuple[int, str]]]:
    """By candidate and fidelity: the evaluation that stands for it, and how many there have been."""
    standing: dict[tuple[int, str], int] = {}
    replicates: Counter[tuple[int, str]] = Counter()
    for chunk in chunks(sorted(candidate_ids)):
        query = select(Evaluation.id, Evaluation.candidate_id, Evaluation.fidelity, Evaluation.state).where(
            Evaluation.campaign_id == campaign_id, Evaluation.candidate_id.in_(chunk)
        )
        for row in connection.execute(query):
            replicates[row.candidate_id, row.fidelity] += 1
            if row.state != "cancelled":
                standing[row.candidate_id, row.fidelity] = row.id
    return standing, replicates


def _cached(connection: Connection, cache_keys: Collection[str], required_outputs: Collection[str]) -> dict[str, int]:
    """The oldest label under each cache key that holds every required output."""
    found: dict[str, int] = {}
    for chunk in chunks(sorted(cache_keys)):
        query = select(func.min(Label.id).label("id"), Label.cache_key).where(Label.cache_key.in_(chunk))
        for output in sorted(set(required_outputs)):
            held = select(LabelOutput.label_id).where(LabelOutput.label_id == Label.id, LabelOutput.output == output)
            query = query.where(held.exists())
        found |= {row.cache_key: row.id for row in connection.execute(query.group_by(Label.cache_key))}
    return found


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
