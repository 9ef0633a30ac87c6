"""What a campaign's space and gates turned away, as the database keeps it: one card for each decision that met any."""

from __future__ import annotations

from theoros.db import Store
from theoros.db.records import CardRecord
from theoros.oracles.spaces.gates.gatekeeper import Counts, merged

#: The kind of card that holds counts.
KIND = "gates"


def card_of(counts: Counts) -> CardRecord:
    """Counts as the database keeps them."""
    return CardRecord(KIND, counts)


def gate_counts(store: Store, campaign: str) -> Counts:
    """Gate -> reason -> how many molecules it turned away over all sessions, reasons the most frequent first.

    A molecule counts once for the gate that turned it away, and again after a resume, or in a model worker that has
    taken the place of another. What a proposer made that is no molecule of the space counts each time, as turned away
    by ``space (NAME)``. Empty where candidates are no molecules.
    """
    return merged(kept.card.data for kept in store.cards(campaign, KIND))
