"""One orchestrator per campaign: a leased run row whose token fences every write of its owner.

A unique partial index admits one open run per campaign, so even two acquirers that race end with one owner.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, insert, select, update

from theoros.db.chunks import chunks
from theoros.db.clock import now, seconds_between
from theoros.db.errors import CampaignOwned, OwnershipLost
from theoros.db.schema import Attempt, Evaluation, Run


def acquire(
    connection: Connection,
    campaign_id: int,
    name: str,
    host: str,
    pid: int,
    lease_seconds: float,
    pid_is_dead: Callable[[str, int], bool] | None,
) -> str:
    """Open a run for this process and return its token; the campaign's row is locked by the caller."""
    current = connection.execute(
        select(
            Run.id,
            Run.host,
            Run.pid,
            seconds_between(Run.heartbeat_at, now()).label("age"),
            (Run.lease_expires_at <= now()).label("expired"),
        )
        .where(Run.campaign_id == campaign_id, Run.ended_at.is_(None))
        .with_for_update()
    ).one_or_none()
    if current is not None:
        dead = current.expired or (pid_is_dead is not None and pid_is_dead(current.host, current.pid))
        if not dead:
            raise CampaignOwned(name, current.host, current.pid, max(0.0, current.age))
        _end(connection, current.id, "taken over")
    token = secrets.token_hex(16)
    connection.execute(
        insert(Run).values(
            campaign_id=campaign_id,
            host=host,
            pid=pid,
            token=token,
            started_at=now(),
            heartbeat_at=now(),
            lease_expires_at=now(lease_seconds),
        )
    )
    return token


def require(connection: Connection, campaign_id: int, name: str, token: str | None) -> None:
    """Raise `OwnershipLost` unless `token` (where given) owns the campaign until this transaction ends."""
    if token is None:
        return
    owned = (
        select(Run.id)
        .where(Run.campaign_id == campaign_id, Run.token == token, Run.ended_at.is_(None))
        .with_for_update(read=True)
    )
    if connection.execute(owned).first() is None:
        raise OwnershipLost(name)


def heartbeat(
    connection: Connection,
    campaign_id: int,
    name: str,
    token: str,
    lease_seconds: float,
    attempt_tokens: Sequence[str],
) -> list[str]:
    """Extend the run's lease and those of its running attempts; returns the attempts that are no longer current."""
    beaten = connection.execute(
        update(Run)
        .where(Run.campaign_id == campaign_id, Run.token == token, Run.ended_at.is_(None))
        .values(
            heartbeat_at=now(),
            lease_expires_at=now(lease_seconds),
            seconds=seconds_between(Run.started_at, now()),
        )
    )
    if beaten.rowcount != 1:
        raise OwnershipLost(name)
    own = select(Evaluation.id).where(Evaluation.campaign_id == campaign_id)
    extended: set[str] = set()
    for chunk in chunks(sorted(attempt_tokens)):
        extended |= set(
            connection.execute(
                update(Attempt)
                .where(Attempt.token.in_(chunk), Attempt.state == "running", Attempt.evaluation_id.in_(own))
                .values(lease_expires_at=now(lease_seconds))
                .returning(Attempt.token)
            ).scalars()
        )
    return [token for token in attempt_tokens if token not in extended]


def release(connection: Connection, campaign_id: int, token: str) -> None:
    """End the run; nothing happens if it has ended already."""
    run = connection.execute(
        select(Run.id).where(Run.campaign_id == campaign_id, Run.token == token, Run.ended_at.is_(None))
    ).scalar_one_or_none()
    if run is not None:
        connection.execute(
            update(Run).where(Run.id == run).values(heartbeat_at=now(), seconds=seconds_between(Run.started_at, now()))
        )
        _end(connection, run, "released")


def _end(connection: Connection, run_id: int, reason: str) -> None:
    """Close a run; its seconds count to its last heartbeat, since nobody knows how much longer it lived."""
    connection.execute(
        update(Run)
        .where(Run.id == run_id, Run.ended_at.is_(None))
        .values(ended_at=now(), end_reason=reason, seconds=seconds_between(Run.started_at, Run.heartbeat_at))
    )
