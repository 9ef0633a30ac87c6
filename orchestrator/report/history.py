"""What happened in a campaign: each evaluation from its decision to its label."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from theoros.db import Store
from theoros.db.records import (
    CampaignRecord,
    EvaluationRecord,
    LabelRecord,
    ModelVersionRecord,
    OfferRecord,
    ParentRecord,
    PredictionRecord,
)
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.scorecard import Scorecard


@dataclass(frozen=True)
class Sample:
    """One evaluation: what was decided, what was believed of it then, and its label (None where it brought none).

    `value` is the acquisition value; `seconds` is what deciding took and `cpu_seconds` what its oracle used, over all
    attempts. `known_at` is when its label was there for others to learn from. `offers` are what proposers brought to
    the pool of which it is the first decision; `parents` are those of its candidate, and of what that was made of.
    """

    evaluation: EvaluationRecord
    label: LabelRecord | None = None
    predictions: Mapping[str, PredictionRecord] = field(default_factory=dict)
    proposer: str = ""
    acquisition: str = ""
    value: float | None = None
    model_version: int | None = None
    reason: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    decided_at: dt.datetime | None = None
    known_at: dt.datetime | None = None
    offers: tuple[OfferRecord, ...] = ()
    parents: tuple[ParentRecord, ...] = ()

    @property
    def number(self) -> int:
        """Its place among the campaign's decisions, from 1."""
        return self.evaluation.sequence

    @property
    def smiles(self) -> str:
        """The molecule, as it was asked."""
        return str(self.evaluation.candidate.data.get("smiles", ""))


@dataclass(frozen=True)
class History:
    """A campaign's samples in the order of their decisions, with how they are judged and its model versions."""

    campaign: CampaignRecord
    card: Scorecard
    samples: tuple[Sample, ...]
    versions: Mapping[int, ModelVersionRecord]

    @cached_property
    def ranked(self) -> tuple[Sample, ...]:
        """Feasible samples with a label at the target fidelity, the best first."""
        own = {sample.evaluation.evaluation_id: sample for sample in self.samples}
        labels = [sample.label for sample in self.samples if sample.label is not None]
        return tuple(own[label.evaluation_id] for label in self.card.ranked(labels))


def read_history(store: Store, campaign: str, kind: str | None = "molecule") -> History:
    """Read all that a report tells of candidates of one kind (of all for None); reads the whole campaign."""
    labels = {label.evaluation_id: label for label in store.label_records(campaign)}
    evaluations = [e for e in store.evaluations(campaign) if kind in (None, e.candidate.kind)]
    offers, parents = store.offers(campaign), store.descent(campaign)
    beliefs, decisions = store.predictions(campaign), _decisions(store, campaign)
    ended, used = _attempts(store, campaign)
    samples = []
    for evaluation in evaluations:
        key = evaluation.evaluation_id
        decision, label = decisions.get(key, {}), labels.get(key)
        # An answer from the cache was there when it was decided.
        known = None if label is None else ended.get(key, decision.get("decided_at"))
        predictions = {belief.output: belief for belief in beliefs.get(key, ())}
        samples.append(
            Sample(
                evaluation,
                label,
                predictions,
                **decision,
                cpu_seconds=used.get(key, 0.0),
                known_at=known,
                offers=offers.get(key, ()),
                parents=parents.get(key, ()),
            )
        )
    versions = {version.number: version for version in store.model_versions(campaign)}
    return History(store.campaign(campaign), scorecard(store, campaign), tuple(samples), versions)


def _decisions(store: Store, campaign: str) -> dict[int, dict[str, Any]]:
    """The fields of `Sample` that the decision tells, by evaluation id."""
    frame = store.decisions(campaign).drop_duplicates("evaluation_id")
    found: dict[int, dict[str, Any]] = {}
    row: Any
    for row in frame.itertuples(index=False):
        found[int(row.evaluation_id)] = {
            "proposer": row.proposer,
            "acquisition": row.acquisition,
            "value": _number(row.acquisition_value),
            "model_version": None if (version := _number(row.model_version)) is None else int(version),
            "reason": row.reason,
            "seconds": float(row.seconds),
            "decided_at": row.decided_at.to_pydatetime(),
        }
    return found


def _attempts(store: Store, campaign: str) -> tuple[dict[int, dt.datetime], dict[int, float]]:
    """When the attempt that brought the label ended, and CPU seconds of all attempts, by evaluation id."""
    frame = store.attempts(campaign)
    done = frame[frame["label_id"].notna()]
    ended = {int(key): at.to_pydatetime() for key, at in zip(done["evaluation_id"], done["ended_at"], strict=True)}
    used: dict[int, float] = {}
    for key, seconds in zip(frame["evaluation_id"], frame["cpu_seconds"], strict=True):
        used[int(key)] = used.get(int(key), 0.0) + (_number(seconds) or 0.0)
    return ended, used


def _number(value: Any) -> float | None:
    """A number of a row, None for what SQL and pandas have for nothing."""
    return None if value is None or value != value else float(value)
