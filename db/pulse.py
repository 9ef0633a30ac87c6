"""How a campaign is doing now: who works, how fast, how long things wait, and what goes wrong."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal_column, select

from theoros.db import queue, tallies
from theoros.db.attempts import POISON
from theoros.db.clock import now, seconds_between
from theoros.db.schema import Attempt, Decision, Evaluation

RECENT = 1_000  # evaluations over which decision times are taken: enough, and the same for all histories
PER_WORKER = 5  # evaluations of each worker over which worker use is taken, if there are more than 200 workers ...
MOST_RECENT = 20_000  # ... up to these


@dataclass(frozen=True)
class Pulse:
    """A campaign at this moment.

    `working` workers have an evaluation now. `last_minute` and `last_hour` count labels. `queue_age` is how many
    seconds the oldest decision has waited for a worker (None: none waits). `failures` counts failed and lost attempts
    of the whole campaign by class, and quarantined evaluations as "poison"; `examples` has the latest message of each
    class, and `decision_seconds` is the median, over the last 1,000 evaluations. `worker_use` is busy over available
    time of the workers seen in those, or in five times as many evaluations as there are workers: see `busy_share`. NaN
    where there is nothing yet.
    """

    working: int
    last_minute: int
    last_hour: int
    queue_age: float | None
    failures: Mapping[str, int]
    examples: Mapping[str, str]
    worker_use: float
    decision_seconds: float


class Spell(NamedTuple):
    """A worker was busy, from a time to another (seconds)."""

    worker: str
    began: float
    ended: float


def pulse(connection: Connection, campaign_id: int) -> Pulse:
    """The campaign's pulse, at a cost that does not grow with its history (but with the labels of the last hour)."""
    mine = Evaluation.campaign_id == campaign_id
    following = queue.next_sequence(connection, campaign_id)
    recent = and_(mine, Evaluation.sequence >= following - RECENT)
    tally = tallies.latest(connection, campaign_id)
    failures = dict(tallies.totals(connection, campaign_id).failures)
    poisoned = sum(
        connection.execute(
            select(func.count()).where(
                mine, condition, Evaluation.state == "abandoned", Evaluation.failure_class == POISON
            )
        ).scalar_one()
        for condition in tally.rest()
    )
    last_minute, last_hour = _labels(connection, mine)
    tries = _tries(connection, recent)
    return Pulse(
        working=_working(connection, mine),
        last_minute=last_minute,
        last_hour=last_hour,
        queue_age=_queue_age(connection, mine),
        failures=failures | ({POISON: poisoned} if poisoned else {}),
        examples=_examples(tries),
        worker_use=_worker_use(connection, mine, following, tries),
        decision_seconds=_decision_seconds(connection, recent),
    )


def _working(connection: Connection, mine: ColumnElement[bool]) -> int:
    query = (
        select(func.count(Attempt.worker.distinct()))
        .join(Evaluation, Evaluation.id == Attempt.evaluation_id)
        .where(mine, Evaluation.state == "running", Attempt.state == "running")
    )
    return connection.execute(query).scalar_one()


def _labels(connection: Connection, mine: ColumnElement[bool]) -> tuple[int, int]:
    """Labels of the last minute and the last hour."""
    moment = connection.execute(select(now())).scalar_one()  # a value, since no index serves a clock that runs on
    minute, hour = moment - dt.timedelta(minutes=1), moment - dt.timedelta(hours=1)
    row = connection.execute(
        select(func.count(case((Evaluation.ended_at > minute, 1))), func.count()).where(
            mine, Evaluation.state == literal_column("'done'"), Evaluation.ended_at > hour
        )
    ).one()
    return row[0], row[1]


def _queue_age(connection: Connection, mine: ColumnElement[bool]) -> float | None:
    oldest = select(func.min(Evaluation.enqueued_at)).where(mine, Evaluation.state == "queued").scalar_subquery()
    age = connection.execute(select(seconds_between(oldest, now()))).scalar_one()
    return None if age is None else max(0.0, float(age))


def _examples(tries: Sequence[Any]) -> dict[str, str]:
    return {
        row.exit_class or "unknown": row.message or ""
        for row in sorted(tries, key=lambda row: row.id)
        if row.state in ("failed", "lost")
    }


def _worker_use(connection: Connection, mine: ColumnElement[bool], following: int, tries: Sequence[Any]) -> float:
    """Worker use from the `tries` at the last evaluations, and from more where there are many workers."""
    size = RECENT
    workers = len({row.worker for row in tries})
    if PER_WORKER * workers > size:
        size = min(PER_WORKER * workers, MOST_RECENT)
        tries = _tries(connection, and_(mine, Evaluation.sequence >= following - size))
    older = and_(mine, Evaluation.sequence < following - size, Evaluation.state == "running")
    moment = connection.execute(select(now())).scalar_one().timestamp()
    spells = [spell for row in (*tries, *_tries(connection, older)) if (spell := _spell(row, moment)) is not None]
    return busy_share(spells, whole=following - size <= 1)


def _tries(connection: Connection, condition: ColumnElement[bool]) -> Sequence[Any]:
    """The attempts at some evaluations. The failed ones are picked here: a database would rather look for them among
    those of all times.
    """
    query = (
        select(
            Attempt.id,
            Attempt.worker,
            Attempt.state,
            Attempt.claimed_at,
            Attempt.ended_at,
            Attempt.wall_seconds,
            Attempt.exit_class,
            Attempt.message,
        )
        .join(Evaluation, Evaluation.id == Attempt.evaluation_id)
        .where(condition)
    )
    return connection.execute(query).all()


def _spell(row: Any, moment: float) -> Spell | None:
    """When a worker was busy with an attempt; with one that runs, until now."""
    if row.state == "running":
        return Spell(row.worker, row.claimed_at.timestamp(), moment)
    if row.ended_at is None or not row.wall_seconds:
        return None
    ended = row.ended_at.timestamp()
    return Spell(row.worker, ended - row.wall_seconds, ended)


def busy_share(spells: Sequence[Spell], *, whole: bool) -> float:
    """Busy over available time of all workers seen, until the last end.

    It counts from the first start where these are all spells of a campaign (`whole`). Of a longer history they are the
    last, and before each worker has ended one, work goes on that they do not show: it counts from there.
    """
    if not spells:
        return math.nan
    workers = len({spell.worker for spell in spells})
    ends = sorted(spell.ended for spell in spells)
    since = min(spell.began for spell in spells) if whole else ends[workers - 1]
    available = workers * (ends[-1] - since)
    busy = sum(max(0.0, spell.ended - max(spell.began, since)) for spell in spells)
    return busy / available if available > 0 else math.nan


def _decision_seconds(connection: Connection, recent: ColumnElement[bool]) -> float:
    query = select(Decision.seconds).join(Evaluation, Evaluation.id == Decision.evaluation_id).where(recent)
    seconds = list(connection.execute(query).scalars())
    return statistics.median(seconds) if seconds else math.nan
