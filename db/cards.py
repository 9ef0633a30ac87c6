"""Cards: diagnostics of a campaign as they were then: sensitivities and explanations of its model, counts of gates."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from theoros.db.clock import now
from theoros.db.records import CardRecord, KeptCard
from theoros.db.schema import Card


def add(connection: Connection, campaign_id: int, record: CardRecord) -> int:
    """Append a card; returns its row's id."""
    return connection.execute(
        insert(Card)
        .values(
            campaign_id=campaign_id,
            kind=record.kind,
            model_version=record.model_version,
            data=dict(record.data),
            created_at=now(),
        )
        .returning(Card.id)
    ).scalar_one()


def of(connection: Connection, campaign_id: int, kind: str | None) -> list[KeptCard]:
    """The campaign's cards (of one kind), the oldest first."""
    query = select(Card.id, Card.created_at, Card.kind, Card.model_version, Card.data).where(
        Card.campaign_id == campaign_id
    )
    if kind is not None:
        query = query.where(Card.kind == kind)
    return [
        KeptCard(row.id, row.created_at, CardRecord(row.kind, row.data, row.model_version))
        for row in connection.execute(query.order_by(Card.id))
    ]
