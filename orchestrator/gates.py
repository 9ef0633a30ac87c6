"""What a campaign's space and gates turned away, as the database keeps it: one card for each decision that met any.

Counts are for people. What slow gates turned away is for the models as well, and has cards of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from theoros.db import Store
from theoros.db.records import CardRecord, KeptCard
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.gates.gatekeeper import Counts, merged

#: The kind of card that holds counts, and of that which holds what slow gates turned away.
KIND, UNFIT = "gates", "unfit"


class Unfit(NamedTuple):
    """A candidate that a slow gate turned away when a decision was made, by the decision's number."""

    decision: int
    candidate: Candidate


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


def unfit_card(decision: int, candidates: Sequence[Candidate]) -> CardRecord:
    """What slow gates turned away when a decision was made, as the database keeps it."""
    told = [{"kind": candidate.kind, "data": dict(candidate.data)} for candidate in candidates]
    return CardRecord(UNFIT, {"decision": decision, "candidates": told})


def unfit_of(cards: Iterable[KeptCard]) -> list[Unfit]:
    """What the cards of the kind `UNFIT` hold, in their order."""
    return [
        Unfit(kept.card.data["decision"], Candidate(told["kind"], told["data"]))
        for kept in cards
        for told in kept.card.data["candidates"]
    ]
