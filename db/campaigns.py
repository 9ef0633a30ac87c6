"""Campaign rows and their events. Functions take the caller's connection, and so run inside its transaction."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.orm import aliased

from theoros.db.clock import now
from theoros.db.errors import CampaignExists, CampaignNotFound, StoreError
from theoros.db.records import CampaignRecord, EventRecord
from theoros.db.schema import CAMPAIGN_STATES, STOP_MODES, Campaign, Event

_Control = aliased(Campaign)


def create(
    connection: Connection, name: str, goal: str, spec: Mapping[str, Any], seed: int, control_of: str | None
) -> CampaignRecord:
    """Insert a campaign in state `created`."""
    if not name.strip():
        raise StoreError(
            "A campaign needs a name. It is what every later command asks for. Set `campaign:` in its file."
        )
    if connection.execute(select(Campaign.id).where(Campaign.name == name)).first():
        raise CampaignExists(
            f"The database has a campaign '{name}' already. Names are unique, and nothing is overwritten. "
            f"Resume it (theoros resume {name}), or choose another name."
        )
    control_of_id = None if control_of is None else identify(connection, control_of)
    connection.execute(
        insert(Campaign).values(
            name=name,
            goal=goal,
            state="created",
            spec=spec,
            seed=seed,
            created_at=now(),
            control_of_id=control_of_id,
        )
    )
    return get(connection, name)


def identify(connection: Connection, name: str, *, lock: bool = False) -> int:
    """The campaign's id; `lock` makes this transaction the only one that changes the campaign's queue."""
    query = select(Campaign.id).where(Campaign.name == name)
    found = connection.execute(query.with_for_update(key_share=True) if lock else query).scalar_one_or_none()
    if found is None:
        raise _not_found(connection, name)
    return found


def get(connection: Connection, name: str) -> CampaignRecord:
    """The campaign of that name."""
    row = connection.execute(_query().where(Campaign.name == name)).one_or_none()
    if row is None:
        raise _not_found(connection, name)
    return _record(row)


def everyone(connection: Connection) -> list[CampaignRecord]:
    """All campaigns in the order of their making."""
    return [_record(row) for row in connection.execute(_query().order_by(Campaign.id))]


def set_state(connection: Connection, campaign_id: int, state: str, reason: str | None) -> None:
    """Change the state; `reason` replaces the stop reason."""
    if state not in CAMPAIGN_STATES:
        raise StoreError(
            f"'{state}' is no campaign state. The states are {', '.join(CAMPAIGN_STATES)}. Use one of them."
        )
    connection.execute(update(Campaign).where(Campaign.id == campaign_id).values(state=state, stop_reason=reason))


def set_stop(connection: Connection, campaign_id: int, mode: str | None) -> None:
    """Ask a running orchestrator to stop, or (None) take the request back."""
    if mode is not None and mode not in STOP_MODES:
        raise StoreError(
            f"'{mode}' is no way to stop. A campaign drains or cancels. Use one of {', '.join(STOP_MODES)}."
        )
    connection.execute(update(Campaign).where(Campaign.id == campaign_id).values(stop_requested=mode))


def add_event(
    connection: Connection, campaign_id: int, kind: str, message: str, data: Mapping[str, Any] | None
) -> None:
    """Append an event."""
    connection.execute(
        insert(Event).values(
            campaign_id=campaign_id, at=now(), kind=kind, message=message, data=None if data is None else dict(data)
        )
    )


def events(connection: Connection, campaign_id: int, limit: int, kinds: Sequence[str] | None) -> list[EventRecord]:
    """The last `limit` events, oldest first."""
    query = select(Event.id, Event.at, Event.kind, Event.message, Event.data).where(Event.campaign_id == campaign_id)
    if kinds is not None:
        query = query.where(Event.kind.in_(kinds))
    rows = connection.execute(query.order_by(Event.id.desc()).limit(limit)).all()
    return [EventRecord(row.id, row.at, row.kind, row.message, row.data or {}) for row in reversed(rows)]


def _query() -> Any:
    return select(
        Campaign.id,
        Campaign.name,
        Campaign.goal,
        Campaign.state,
        Campaign.spec,
        Campaign.seed,
        Campaign.created_at,
        Campaign.stop_reason,
        Campaign.stop_requested,
        _Control.name.label("control_of"),
    ).outerjoin(_Control, _Control.id == Campaign.control_of_id)


def _record(row: Row[Any]) -> CampaignRecord:
    return CampaignRecord(
        campaign_id=row.id,
        name=row.name,
        goal=row.goal,
        state=row.state,
        spec=row.spec,
        seed=row.seed,
        created_at=row.created_at,
        stop_reason=row.stop_reason,
        stop_requested=row.stop_requested,
        control_of=row.control_of,
    )


def _not_found(connection: Connection, name: str) -> CampaignNotFound:
    names = list(connection.execute(select(Campaign.name).order_by(Campaign.id.desc()).limit(1000)).scalars())
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        mend = "Did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    elif names:
        mend = f"It has {', '.join(repr(known) for known in names[:5])}{' and others' if len(names) > 5 else ''}."
    else:
        mend = "It has none yet: start one with theoros run campaign.yaml."
    return CampaignNotFound(f"The database has no campaign '{name}'. {mend}")
