"""What can be wrong with a database that opens: questions that `theoros doctor` asks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from theoros.db.clock import now, seconds_between
from theoros.db.schema import Artifact, Attempt, Campaign, Evaluation, Run


@dataclass(frozen=True)
class LeakedCampaign:
    """A campaign that is marked as running and has no living owner; its last owner, if there was one."""

    name: str
    host: str | None
    pid: int | None
    seconds_since_heartbeat: float | None


@dataclass(frozen=True)
class StaleAttempt:
    """An attempt that is marked as running and whose lease ran out."""

    campaign: str
    sequence: int
    worker: str
    seconds_since_lease: float


def clock_skew(connection: Connection) -> float:
    """Seconds by which this machine's clock is ahead of the database's, good to the time of one query."""
    before = dt.datetime.now(dt.UTC)
    theirs = connection.execute(select(now())).scalar_one()
    after = dt.datetime.now(dt.UTC)
    return (before + (after - before) / 2 - theirs).total_seconds()


def campaigns_at_work(connection: Connection) -> set[str]:
    """Names of the campaigns whose owners hold their leases."""
    alive = select(Campaign.name).join(Run).where(Run.ended_at.is_(None), Run.lease_expires_at > now())
    return set(connection.execute(alive).scalars())


def leaked_campaigns(connection: Connection) -> list[LeakedCampaign]:
    """Campaigns marked as running that nobody runs: their owner died, and left no word."""
    alive = select(Run.campaign_id).where(Run.ended_at.is_(None), Run.lease_expires_at > now())
    last = select(func.max(Run.id)).where(Run.campaign_id == Campaign.id).correlate(Campaign).scalar_subquery()
    query = (
        select(Campaign.name, Run.host, Run.pid, seconds_between(Run.heartbeat_at, now()).label("age"))
        .outerjoin(Run, Run.id == last)
        .where(Campaign.state == "running", Campaign.id.not_in(alive))
        .order_by(Campaign.id)
    )
    return [LeakedCampaign(row.name, row.host, row.pid, row.age) for row in connection.execute(query)]


def stale_attempts(connection: Connection) -> list[StaleAttempt]:
    """Attempts marked as running that nobody vouches for."""
    query = (
        select(
            Campaign.name,
            Evaluation.sequence,
            Attempt.worker,
            seconds_between(Attempt.lease_expires_at, now()).label("age"),
        )
        .join(Evaluation, Evaluation.id == Attempt.evaluation_id)
        .join(Campaign, Campaign.id == Evaluation.campaign_id)
        .where(Attempt.state == "running", Evaluation.state == "running", Attempt.lease_expires_at < now())
        .order_by(Campaign.id, Evaluation.sequence)
    )
    return [StaleAttempt(row.name, row.sequence, row.worker, row.age) for row in connection.execute(query)]


def sample_artifacts(connection: Connection, n: int) -> list[str]:
    """The digests of `n` artifacts that the database names, chosen at random."""
    return list(connection.execute(select(Artifact.digest).order_by(func.random()).limit(n)).scalars())


def damage(connection: Connection) -> str | None:
    """What SQLite finds wrong with its own file, or None; PostgreSQL looks after its own."""
    if connection.dialect.name != "sqlite":
        return None
    said = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    return None if said == "ok" else " ".join(said.split())
