"""What people ask of a campaign, answered at a cost that does not grow with its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theoros.db import campaigns, labels, model_log, tallies
from theoros.db import pulse as pulse_of
from theoros.db.pulse import Pulse
from theoros.db.ranking import Ranking
from theoros.db.records import LabelRecord, ModelVersionRecord, PredictionRecord

if TYPE_CHECKING:
    from theoros.db.store import Store


def best(store: Store, campaign: str, ranking: Ranking, n: int) -> list[tuple[LabelRecord, list[PredictionRecord]]]:
    """The campaign's `n` best labels, the best first, each with what was believed of it when it was decided."""
    with store.reading() as connection:
        campaign_id = campaigns.identify(connection, campaign)
        ids = [standing.evaluation_id for standing in tallies.best(connection, campaign_id, ranking, n)]
        records = labels.records(connection, campaign_id, store.artifacts, ids)
        beliefs = model_log.predictions(connection, campaign_id, ids)
    found = {record.evaluation_id: record for record in records}
    return [(found[key], list(beliefs.get(key, ()))) for key in ids]


def pulse(store: Store, campaign: str) -> Pulse:
    """How the campaign is doing now."""
    with store.reading() as connection:
        return pulse_of.pulse(connection, campaigns.identify(connection, campaign))


def last_model(store: Store, campaign: str) -> ModelVersionRecord | None:
    """The campaign's last model version with its scores, without its checks; None before the first."""
    with store.reading() as connection:
        return model_log.last(connection, campaigns.identify(connection, campaign), store.artifacts)
