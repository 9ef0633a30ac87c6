"""What is read of a store as records; with the tables it is all that a store can be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from theoros.db import campaigns, cards, decisions, labels, model_log, queue, reading
from theoros.db import progress as progress_of
from theoros.db.engine import connect_or_explain
from theoros.db.records import (
    CampaignRecord,
    Claim,
    EvaluationRecord,
    EventRecord,
    KeptCard,
    LabelRecord,
    ModelVersionRecord,
    OfferRecord,
    ParentRecord,
    PredictionRecord,
    Progress,
)
from theoros.db.tables import Tables
from theoros.db.transactions import Fate, explaining, fate

if TYPE_CHECKING:
    import pandas as pd


class Reader(Tables):
    """The part of a store that reads. Every method is one transaction, and sees one moment of the database."""

    _engine: Engine

    def campaign(self, name: str) -> CampaignRecord:
        """The campaign's row; `CampaignNotFound` names close matches."""
        with self.reading() as connection:
            return campaigns.get(connection, name)

    def campaigns(self) -> list[CampaignRecord]:
        """All campaigns, the oldest first."""
        with self.reading() as connection:
            return campaigns.everyone(connection)

    def events(self, name: str, limit: int = 100, *, kinds: Sequence[str] | None = None) -> list[EventRecord]:
        """The campaign's last `limit` events (of some kinds), the oldest of them first."""
        with self.reading() as connection:
            return campaigns.events(connection, campaigns.identify(connection, name), limit, kinds)

    def claims_of(self, name: str, worker: str | None = None) -> list[Claim]:
        """The unfinished claims of `worker`, so that asking again gives the same evaluations; all of them for None."""
        with self.reading() as connection:
            return queue.claims_of(connection, campaigns.identify(connection, name), worker)

    def evaluations(self, name: str, states: Collection[str] | None = None) -> list[EvaluationRecord]:
        """The campaign's evaluations (in some states), in the order of their decisions."""
        with self.reading() as connection:
            return queue.records(connection, campaigns.identify(connection, name), states)

    def evaluations_of(
        self, name: str, *, ids: Collection[int] = (), tokens: Collection[str] = ()
    ) -> list[EvaluationRecord]:
        """Evaluations by their ids or by the tokens of their attempts, in the order of their decisions."""
        with self.reading() as connection:
            return queue.named(connection, campaigns.identify(connection, name), ids, tokens)

    def count(self, name: str, states: Collection[str]) -> int:
        """How many of the campaign's evaluations are in one of `states`; cheap, however long its history."""
        with self.reading() as connection:
            return queue.count(connection, campaigns.identify(connection, name), states)

    def label_records(self, name: str, *, of: Collection[int] | None = None) -> list[LabelRecord]:
        """The campaign's labels in the order of their decisions; only those of the evaluations with the ids `of`."""
        with self.reading() as connection:
            return labels.records(connection, campaigns.identify(connection, name), self.artifacts, of)

    def predictions(self, name: str) -> dict[int, tuple[PredictionRecord, ...]]:
        """What was believed of each evaluation when it was decided, by evaluation id."""
        with self.reading() as connection:
            return model_log.predictions(connection, campaigns.identify(connection, name))

    def offers(self, name: str) -> dict[int, tuple[OfferRecord, ...]]:
        """What proposers had to offer for each decision that was the first from its pool, by evaluation id."""
        with self.reading() as connection:
            return decisions.offers(connection, campaigns.identify(connection, name))

    def descent(self, name: str) -> dict[int, tuple[ParentRecord, ...]]:
        """Of what each candidate that was bred was made, by evaluation id."""
        with self.reading() as connection:
            return decisions.parents(connection, campaigns.identify(connection, name))

    def progress(self, name: str, costs: Mapping[str, float]) -> Progress:
        """Counts, money and time; `costs` are the relative costs of the fidelities, for what is still open."""
        with self.reading() as connection:
            return progress_of.progress(connection, campaigns.identify(connection, name), costs)

    def model_versions(self, name: str) -> list[ModelVersionRecord]:
        """The campaign's model versions, the first first."""
        with self.reading() as connection:
            return model_log.versions(connection, campaigns.identify(connection, name), self.artifacts)

    def cards(self, name: str, kind: str | None = None) -> list[KeptCard]:
        """The campaign's cards (of one kind), the oldest first."""
        with self.reading() as connection:
            return cards.of(connection, campaigns.identify(connection, name), kind)

    def query(
        self, sql: str, params: Mapping[str, Any] | None = None, *, timeout_seconds: float = 60.0
    ) -> pd.DataFrame:
        r"""Any one SQL statement that reads, on a connection of its own that cannot write.

        Parameters are written ``:name`` and given in `params`; a literal colon before a word is written ``\:``.
        """
        return reading.query(self._engine.url, sql, params, timeout_seconds)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection inside one transaction, for the other modules of this room that read (export)."""
        with explaining(self._engine), connect_or_explain(self._engine) as connection, connection.begin():
            yield connection

    def fate(self, transaction: int) -> Fate:
        """What became of the transaction of a `CommitUnknown`: committed, undone, or in progress still."""
        with self.reading() as connection:
            return fate(connection, transaction)
