"""Decisions with what hangs on them: predictions, what proposers had to offer, and what candidates were made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from theoros.db.chunks import chunks
from theoros.db.clock import now
from theoros.db.records import DecisionRecord, OfferRecord, ParentRecord
from theoros.db.schema import Base, Decision, DecisionOffer, DecisionParent, DecisionPrediction, Evaluation


def keep(connection: Connection, decisions: Sequence[tuple[int, DecisionRecord]]) -> None:
    """Append decisions, each with the id of its evaluation; as many statements however many there are."""
    rows = [
        {
            "evaluation_id": evaluation_id,
            "proposer": decision.proposer,
            "acquisition": decision.acquisition,
            "acquisition_value": decision.acquisition_value,
            "model_version": decision.model_version,
            "seconds": decision.seconds,
            "reason": decision.reason,
        }
        for evaluation_id, decision in decisions
    ]
    kept = insert(Decision).values(decided_at=now()).returning(Decision.id, sort_by_parameter_order=True)
    ids = connection.execute(kept, rows).scalars().all()
    made = [(decision_id, decision) for decision_id, (_, decision) in zip(ids, decisions, strict=True)]
    hanging: dict[type[Base], list[dict[str, Any]]] = {
        DecisionPrediction: [
            {
                "decision_id": key,
                "output": belief.output,
                "mean": belief.mean,
                "std": belief.std,
                "tail": belief.tail,
            }
            for key, decision in made
            for belief in decision.predictions
        ],
        DecisionOffer: [
            {
                "decision_id": key,
                "proposer": offer.proposer,
                "proposals": offer.proposals,
                "seconds": offer.seconds,
                "share": offer.share,
                "promise": offer.promise,
            }
            for key, decision in made
            for offer in decision.offers
        ],
        DecisionParent: [
            {"decision_id": key, "position": position, "child": pair.child, "parent": pair.parent}
            for key, decision in made
            for position, pair in enumerate(decision.parents)
        ],
    }
    for table, values in hanging.items():
        if values:
            connection.execute(insert(table), values)


def offers(
    connection: Connection, campaign_id: int, evaluation_ids: Collection[int] | None = None
) -> dict[int, tuple[OfferRecord, ...]]:
    """What proposers had to offer for each decision (or for some) that is the first of its pool, by evaluation id."""
    query = (
        select(
            Decision.evaluation_id,
            DecisionOffer.proposer,
            DecisionOffer.proposals,
            DecisionOffer.seconds,
            DecisionOffer.share,
            DecisionOffer.promise,
        )
        .join(Decision, Decision.id == DecisionOffer.decision_id)
        .order_by(Decision.evaluation_id, DecisionOffer.proposer)
    )
    found: dict[int, list[OfferRecord]] = {}
    for one in _of(query, campaign_id, evaluation_ids):
        for row in connection.execute(one):
            offer = OfferRecord(row.proposer, row.proposals, row.seconds, row.share, row.promise)
            found.setdefault(row.evaluation_id, []).append(offer)
    return {evaluation_id: tuple(pool) for evaluation_id, pool in found.items()}


def parents(connection: Connection, campaign_id: int) -> dict[int, tuple[ParentRecord, ...]]:
    """Of what each candidate that was bred was made, by evaluation id."""
    query = (
        select(Decision.evaluation_id, DecisionParent.child, DecisionParent.parent)
        .join(Decision, Decision.id == DecisionParent.decision_id)
        .order_by(Decision.evaluation_id, DecisionParent.position)
    )
    found: dict[int, list[ParentRecord]] = {}
    for one in _of(query, campaign_id, None):
        for row in connection.execute(one):
            found.setdefault(row.evaluation_id, []).append(ParentRecord(row.child, row.parent))
    return {evaluation_id: tuple(pairs) for evaluation_id, pairs in found.items()}


def _of(
    query: Select[*tuple[Any, ...]], campaign_id: int, evaluation_ids: Collection[int] | None
) -> list[Select[*tuple[Any, ...]]]:
    """The query for a campaign's decisions; in pieces for those of some evaluations."""
    if evaluation_ids is None:
        return [
            query.join(Evaluation, Evaluation.id == Decision.evaluation_id).where(Evaluation.campaign_id == campaign_id)
        ]
    return [query.where(Decision.evaluation_id.in_(chunk)) for chunk in chunks(sorted(evaluation_ids))]
