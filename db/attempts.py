"""How attempts end: with an answer, with a failure, or lost with their worker. Every transition is compare-and-set.

An answer is taken while its attempt runs, and also after the attempt was given up as lost, as long as nobody has
claimed the evaluation again: what was computed is never thrown away for a late heartbeat.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select, update

from theoros.db import labels, queue
from theoros.db.clock import now, seconds_between
from theoros.db.errors import AttemptNotFound
from theoros.db.records import AnswerRecord, EvaluationRecord, FailureRecord, RunInfo
from theoros.db.schema import Attempt, Evaluation

POISON = "poison"
LOST = "infrastructure"


def started(connection: Connection, token: str, host: str, pid: int) -> bool:
    """Note where the attempt runs; False if it is no longer current, so that its worker need not begin."""
    noted = connection.execute(
        update(Attempt)
        .where(Attempt.token == token, Attempt.state == "running")
        .values(host=host, pid=pid, started_at=now())
    )
    if noted.rowcount == 0:
        _lock(connection, token)  # an unknown token is an error
    return noted.rowcount == 1


def complete(connection: Connection, token: str, answer: AnswerRecord, stored: labels.Stored) -> bool:
    """Turn the attempt's answer into a label; False, with nothing written, when it was fenced out."""
    row = _lock(connection, token)
    if not _takes_answer(row):
        return False
    label_id = labels.insert_label(connection, row.candidate_id, row.fidelity, row.cache_key, answer, stored)
    _end(connection, row.attempt_id, "done", answer.run, answer.cost, exit_class="ok", message=None, label_id=label_id)
    connection.execute(
        update(Evaluation)
        .where(Evaluation.id == row.evaluation_id)
        .values(state="done", label_id=label_id, ended_at=now(), not_before=None, failure_class=None, message=None)
    )
    return True


def fail(connection: Connection, token: str, failure: FailureRecord) -> bool:
    """End the attempt as failed and queue the evaluation again or abandon it; False when it was fenced out."""
    row = _lock(connection, token)
    if row.attempt_state != "running" or row.state != "running":
        return False
    _end(
        connection,
        row.attempt_id,
        "failed",
        failure.run,
        failure.cost,
        exit_class=failure.failure_class,
        message=failure.message,
        label_id=None,
    )
    again = failure.retry_after is not None
    connection.execute(
        update(Evaluation)
        .where(Evaluation.id == row.evaluation_id)
        .values(
            state="failed" if again else "abandoned",
            failure_class=failure.failure_class,
            message=failure.message,
            not_before=now(failure.retry_after or 0.0) if again else None,
            ended_at=None if again else now(),
        )
    )
    return True


def reconcile(
    connection: Connection, campaign_id: int, lost_tokens: Collection[str] | None, everything: bool, max_losses: int
) -> list[EvaluationRecord]:
    """Give up lost attempts (expired leases, or the tokens named, or all) and queue their evaluations again."""
    running = (
        select(Evaluation.id.label("evaluation_id"), Attempt.id.label("attempt_id"))
        .join(Attempt, Attempt.evaluation_id == Evaluation.id)
        .where(Evaluation.campaign_id == campaign_id, Evaluation.state == "running", Attempt.state == "running")
        .order_by(Evaluation.sequence)
        .with_for_update(of=Evaluation)
    )
    if lost_tokens is not None:
        running = running.where(Attempt.token.in_(lost_tokens))
    elif not everything:
        running = running.where(Attempt.lease_expires_at <= now())
    touched = []
    for row in connection.execute(running).all():
        given_up = connection.execute(
            update(Attempt)
            .where(Attempt.id == row.attempt_id, Attempt.state == "running")
            .values(
                state="lost",
                exit_class=LOST,
                message="worker lost",
                ended_at=now(),
                held_seconds=seconds_between(Attempt.claimed_at, now()),
            )
        )
        if given_up.rowcount == 1:
            _requeue_or_abandon(connection, row.evaluation_id, max_losses)
            touched.append(row.evaluation_id)
    return queue.by_ids(connection, touched)


def _requeue_or_abandon(connection: Connection, evaluation_id: int, max_losses: int) -> None:
    losses = connection.execute(
        select(func.count()).where(Attempt.evaluation_id == evaluation_id, Attempt.state == "lost")
    ).scalar_one()
    values: dict[str, Any] = {"state": "queued", "failure_class": LOST, "message": "worker lost"}
    if losses >= max_losses:
        values = {
            "state": "abandoned",
            "failure_class": POISON,
            "message": f"{losses} workers were lost while they worked on it",
            "ended_at": now(),
        }
    connection.execute(
        update(Evaluation).where(Evaluation.id == evaluation_id, Evaluation.state == "running").values(**values)
    )


def _lock(connection: Connection, token: str) -> Any:
    """The attempt and its evaluation, with the evaluation locked for this transaction."""
    evaluation_id = connection.execute(select(Attempt.evaluation_id).where(Attempt.token == token)).scalar_one_or_none()
    if evaluation_id is None:
        raise AttemptNotFound(
            f"No attempt of this database has the token '{token[:8]}...'. The answer belongs to another database. "
            "Check the database's URL; the answer is left where it is."
        )
    connection.execute(select(Evaluation.id).where(Evaluation.id == evaluation_id).with_for_update())
    row: Any = connection.execute(
        select(
            Evaluation.id.label("evaluation_id"),
            Evaluation.state,
            Evaluation.failure_class,
            Evaluation.candidate_id,
            Evaluation.fidelity,
            Evaluation.cache_key,
            Attempt.id.label("attempt_id"),
            Attempt.state.label("attempt_state"),
        )
        .join(Attempt, Attempt.evaluation_id == Evaluation.id)
        .where(Attempt.token == token)
    ).one()
    return row


def _takes_answer(row: Any) -> bool:
    if row.attempt_state == "running":
        return bool(row.state == "running")
    if row.attempt_state == "lost":
        return row.state in {"queued", "failed"} or (row.state == "abandoned" and row.failure_class == POISON)
    return False


def _end(
    connection: Connection,
    attempt_id: int,
    state: str,
    run: RunInfo,
    cost: float,
    *,
    exit_class: str,
    message: str | None,
    label_id: int | None,
) -> None:
    values: dict[str, Any] = {
        "state": state,
        "exit_class": exit_class,
        "message": message,
        "label_id": label_id,
        "ended_at": now(),
        "held_seconds": seconds_between(Attempt.claimed_at, now()),
        "wall_seconds": run.wall_seconds,
        "cpu_seconds": run.cpu_seconds,
        "max_rss": run.max_rss,
        "cost": cost,
        "stdout": run.stdout,
        "stderr": run.stderr,
    }
    if run.host:
        values["host"] = run.host
    if run.pid is not None:
        values["pid"] = run.pid
    connection.execute(update(Attempt).where(Attempt.id == attempt_id).values(**values))
