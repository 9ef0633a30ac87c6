"""Counts, cost and seconds of a campaign, from its rows alone."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, case, func, select

from theoros.db import tallies
from theoros.db.clock import now, seconds_between
from theoros.db.errors import StoreError
from theoros.db.records import Progress
from theoros.db.schema import OPEN, Run


def progress(connection: Connection, campaign_id: int, costs: Mapping[str, float]) -> Progress:
    """What was done and spent, and what is committed: spent, plus one relative cost per open evaluation."""
    total = tallies.totals(connection, campaign_id)
    charged = {
        fidelity: sum(number for state, number in by_state.items() if state != "cancelled")
        for fidelity, by_state in total.counts.items()
    }
    committed = total.cost
    for fidelity, by_state in total.counts.items():
        pending = sum(by_state.get(state, 0) for state in OPEN)
        if not pending:
            continue
        if fidelity not in costs:
            raise StoreError(
                f"Fidelity '{fidelity}' has evaluations in the queue and no relative cost was given for it. The budget "
                "needs it. Pass the costs of all fidelities of the campaign."
            )
        committed += pending * costs[fidelity]
    return Progress(
        counts=total.counts,
        charged=charged,
        cost=total.cost,
        committed_cost=committed,
        active_seconds=_active_seconds(connection, campaign_id),
    )


def _active_seconds(connection: Connection, campaign_id: int) -> float:
    """Seconds of all runs; one that still holds its lease counts until now, a dead one until its last heartbeat."""
    alive = Run.ended_at.is_(None) & (Run.lease_expires_at > now())
    seconds = case((alive, seconds_between(Run.started_at, now())), else_=Run.seconds)
    total = connection.execute(
        select(func.coalesce(func.sum(seconds), 0.0)).where(Run.campaign_id == campaign_id)
    ).scalar_one()
    return max(0.0, float(total))
