"""How attempts end: with an answer, with a failure, or lost with their worker. Every transition is compare-and-set.

An answer is taken while its attempt runs, and also after the attempt was given up as lost, as long as nobody has
claimed the evaluation again: what was computed is never thrown away for a late heartbeat.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from theoros.db import labels, queue
from theoros.db.chunks import chunks
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


def complete(
    connection: Connection, answers: Sequence[tuple[str, AnswerRecord, labels.Stored]]
) -> list[bool | AttemptNotFound]:
    """Turn answers (token, answer, its artifacts) into labels; says for each whether it was counted.

    Nothing is written for one that was fenced out, nor for a token of another database, for which the error is
    returned. The number of statements does not depend on the number of answers.
    """
    rows = _locked(connection, [token for token, _, _ in answers])
    verdicts: list[bool | AttemptNotFound] = []
    taken: dict[int, tuple[Any, labels.Accepted]] = {}  # by evaluation: of two answers to one, the first counts
    for token, answer, stored in answers:
        row = rows.get(token)
        counts = row is not None and row.evaluation_id not in taken and _takes_answer(row)
        verdicts.append(counts if row is not None else _unknown(token))
        if counts:
            assert row is not None
            accepted = labels.Accepted(row.candidate_id, row.fidelity, row.cache_key, answer, stored)
            taken[row.evaluation_id] = (row, accepted)
    if taken:
        ids = labels.insert_labels(connection, [accepted for _, accepted in taken.values()])
        ends = [
            _end(row.attempt_id, "done", kept.answer.run, kept.answer.cost, exit_class="ok", label_id=label_id)
            for (row, kept), label_id in zip(taken.values(), ids, strict=True)
        ]
        _end_attempts(connection, ends)
        connection.execute(
            update(Evaluation)
            .where(Evaluation.id == bindparam("evaluation"))
            .values(
                state="done",
                label_id=bindparam("label"),
                ended_at=now(),
                not_before=None,
                failure_class=None,
                message=None,
            ),
            [{"evaluation": key, "label": label_id} for key, label_id in zip(taken, ids, strict=True)],
        )
    return verdicts


def fail(connection: Connection, token: str, failure: FailureRecord) -> bool:
    """End the attempt as failed and queue the evaluation again or abandon it; False when it was fenced out."""
    row = _lock(connection, token)
    if row.attempt_state != "running" or row.state != "running":
        return False
    end = _end(
        row.attempt_id,
        "failed",
        failure.run,
        failure.cost,
        exit_class=failure.failure_class,
        message=failure.message,
    )
    _end_attempts(connection, [end])
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
    row = _locked(connection, [token]).get(token)
    if row is None:
        raise _unknown(token)
    return row


def _locked(connection: Connection, tokens: Sequence[str]) -> dict[str, Any]:
    """Attempts with their evaluations by token, the evaluations locked, always in the order of their ids."""
    found: dict[str, Any] = {}
    for chunk in chunks(sorted(set(tokens))):
        own = select(Attempt.evaluation_id).where(Attempt.token.in_(chunk))
        if connection.dialect.name == "postgresql":  # SQLite's transactions that write lock the whole database
            connection.execute(
                select(Evaluation.id).where(Evaluation.id.in_(own)).order_by(Evaluation.id).with_for_update()
            )
        query = (
            select(
                Evaluation.id.label("evaluation_id"),
                Evaluation.state,
                Evaluation.failure_class,
                Evaluation.candidate_id,
                Evaluation.fidelity,
                Evaluation.cache_key,
                Attempt.id.label("attempt_id"),
                Attempt.token,
                Attempt.state.label("attempt_state"),
            )
            .join(Attempt, Attempt.evaluation_id == Evaluation.id)
            .where(Attempt.token.in_(chunk))
        )
        found |= {row.token: row for row in connection.execute(query)}
    return found


def _unknown(token: str) -> AttemptNotFound:
    return AttemptNotFound(
        f"No attempt of this database has the token '{token[:8]}...'. The answer belongs to another database. "
        "Check the database's URL; the answer is left where it is."
    )


def _takes_answer(row: Any) -> bool:
    if row.attempt_state == "running":
        return bool(row.state == "running")
    if row.attempt_state == "lost":
        return row.state in {"queued", "failed"} or (row.state == "abandoned" and row.failure_class == POISON)
    return False


def _end(
    attempt_id: int,
    state: str,
    run: RunInfo,
    cost: float,
    *,
    exit_class: str,
    message: str | None = None,
    label_id: int | None = None,
) -> dict[str, Any]:
    """How an attempt ended, as parameters of `_end_attempts`."""
    return {
        "attempt": attempt_id,
        "new_state": state,
        "new_exit_class": exit_class,
        "new_message": message,
        "new_label_id": label_id,
        "new_wall_seconds": run.wall_seconds,
        "new_cpu_seconds": run.cpu_seconds,
        "new_max_rss": run.max_rss,
        "new_cost": cost,
        "new_stdout": run.stdout,
        "new_stderr": run.stderr,
        "new_host": run.host or None,
        "new_pid": run.pid,
    }


def _end_attempts(connection: Connection, ends: Sequence[dict[str, Any]]) -> None:
    columns = ("state", "exit_class", "message", "label_id", "wall_seconds", "cpu_seconds", "max_rss", "cost")
    values: dict[str, Any] = {
        name: bindparam(f"new_{name}", type_=Attempt.__table__.c[name].type) for name in (*columns, "stdout", "stderr")
    }
    for name in ("host", "pid"):  # what is not known now may have been noted at the start
        column = Attempt.__table__.c[name]
        values[name] = func.coalesce(bindparam(f"new_{name}", type_=column.type), column)
    connection.execute(
        update(Attempt)
        .where(Attempt.id == bindparam("attempt"))
        .values(**values, ended_at=now(), held_seconds=seconds_between(Attempt.claimed_at, now())),
        list(ends),
    )
