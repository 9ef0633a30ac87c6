"""What a store holds as tables for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from theoros.db import campaigns, frames
from theoros.db.artifacts import ArtifactStore

if TYPE_CHECKING:
    import pandas as pd


class Tables(ABC):
    """The part of a store that answers with DataFrames."""

    artifacts: ArtifactStore

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection inside one transaction that reads."""

    def labels(self, name: str, wide: bool = True) -> pd.DataFrame:
        """Labels as a table: one row per label (wide; units in ``.attrs["units"]``), or one per number (long)."""
        if not wide:
            return self._frame(name, frames.LABELS_LONG)
        from theoros.db.wide_frame import wide_labels

        with self.reading() as connection:
            campaign_id = campaigns.identify(connection, name)
            return wide_labels(connection, campaign_id, self.artifacts)

    def decisions(self, name: str) -> pd.DataFrame:
        """Why each evaluation was asked for, what was predicted and what came."""
        return self._frame(name, frames.DECISIONS)

    def proposers(self, name: str) -> pd.DataFrame:
        """What each proposer made, in how long, what that promised, and how much of it was asked and answered."""
        return self._frame(name, frames.PROPOSERS)

    def parents(self, name: str) -> pd.DataFrame:
        """Of what each candidate that was bred was made, and which earlier evaluation asked about that."""
        return self._frame(name, frames.PARENTS)

    def model_scores(self, name: str) -> pd.DataFrame:
        """Figures of merit of each model version on labels that it had not seen."""
        return self._frame(name, frames.MODEL_SCORES)

    def checks(self, name: str) -> pd.DataFrame:
        """Predicted beside observed, for every label that was predicted before it came."""
        return self._frame(name, frames.CHECKS)

    def attempts(self, name: str) -> pd.DataFrame:
        """Every try at every evaluation, with where it ran, how it ended and what it used."""
        return self._frame(name, frames.ATTEMPTS)

    def _frame(self, name: str, sql: str) -> pd.DataFrame:
        with self.reading() as connection:
            campaigns.identify(connection, name)
            return frames.frame(connection, sql, {"campaign": name})
