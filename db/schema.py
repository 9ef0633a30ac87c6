"""The tables. docs/database.md tells people what they mean; migrations/ makes them, and a test holds the two together.

Append-only by rule: `labels` and what hangs on them, `decisions`, `model_versions`, `events`, `cards`, `artifacts`
and `tallies` are only ever inserted. The rows that change are `campaigns` (state), `evaluations` (state machine),
`attempts` (until they end) and `runs` (heartbeat).

Foreign keys run one way: an evaluation and an attempt name their label, and a label names neither, because an answer
from the cache is one label with many evaluations.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from theoros.db.clock import UtcDateTime
from theoros.db.types import JsonData, Number, SafeText

CAMPAIGN_STATES = ("created", "running", "paused", "finished", "failed")
EVALUATION_STATES = ("queued", "running", "done", "failed", "abandoned", "cancelled")
CLAIMABLE = ("queued", "failed")
OPEN = ("queued", "running", "failed")
ATTEMPT_STATES = ("running", "done", "failed", "lost", "cancelled")
STOP_MODES = ("drain", "cancel")


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=name)


class Base(DeclarativeBase):
    """Naming rules and types that all tables share."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: SafeText, dt.datetime: UtcDateTime, float: Double}  # noqa: RUF012


class Campaign(Base):
    """A question, its budget and the rest of its specification."""

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("name"),
        _one_of("state", CAMPAIGN_STATES, "state"),
        CheckConstraint("stop_requested IS NULL OR stop_requested IN ('drain', 'cancel')", name="stop_requested"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    goal: Mapped[str]
    state: Mapped[str]
    spec: Mapped[Any] = mapped_column(JsonData, nullable=False)
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime]
    stop_reason: Mapped[str | None]
    stop_requested: Mapped[str | None]
    control_of_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))


class Run(Base):
    """One session of an orchestrator with a campaign; the open one (`ended_at` NULL) owns it."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("token"),
        Index("ix_runs_campaign_id", "campaign_id"),
        Index(
            "uq_runs_one_owner",
            "campaign_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[str]
    started_at: Mapped[dt.datetime]
    heartbeat_at: Mapped[dt.datetime]
    lease_expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    end_reason: Mapped[str | None]
    seconds: Mapped[float] = mapped_column(default=0.0)


class Candidate(Base):
    """One point of a design space, by content hash; shared by all campaigns."""

    __tablename__ = "candidates"
    __table_args__ = (UniqueConstraint("hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str]
    kind: Mapped[str]
    data: Mapped[Any] = mapped_column(JsonData, nullable=False)
    text: Mapped[str]


class CandidateValue(Base):
    """A top-level scalar of a candidate's data, so that SQL can ask for it: a number or a text."""

    __tablename__ = "candidate_values"

    candidate_id: Mapped[int] = mapped_column(ForeignKey("candidates.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[float | None] = mapped_column(Number)
    text: Mapped[str | None]


class Label(Base):
    """An accepted answer; its outputs are in `label_outputs` and `label_values`."""

    __tablename__ = "labels"
    __table_args__ = (Index("ix_labels_cache_key", "cache_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[int] = mapped_column(ForeignKey("candidates.id"))
    fidelity: Mapped[str]
    cache_key: Mapped[str]
    oracle: Mapped[str]
    oracle_version: Mapped[str]
    cost: Mapped[float]
    details: Mapped[Any] = mapped_column(JsonData, nullable=False)
    created_at: Mapped[dt.datetime]


class Artifact(Base):
    """What the artifact store holds under a digest."""

    __tablename__ = "artifacts"

    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str]


class LabelOutput(Base):
    """One output of a label: its unit and shape, and the artifact that holds its array when that is large."""

    __tablename__ = "label_outputs"

    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)
    output: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    shape: Mapped[Any] = mapped_column(JsonData, nullable=False)
    digest: Mapped[str | None] = mapped_column(ForeignKey("artifacts.digest"))


class LabelValue(Base):
    """One number of a small output: position 0 for a scalar, C order for an array."""

    __tablename__ = "label_values"

    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)
    output: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]


class Evaluation(Base):
    """The request for a label, and its state: the queue."""

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("campaign_id", "candidate_id", "fidelity", "replicate"),
        UniqueConstraint("campaign_id", "sequence"),
        _one_of("state", EVALUATION_STATES, "state"),
        CheckConstraint("(state = 'done') = (label_id IS NOT NULL)", name="done_has_label"),
        Index("ix_evaluations_campaign_id_state", "campaign_id", "state"),
        Index("ix_evaluations_label_id", "label_id"),
        Index(
            "ix_evaluations_claimable",
            "campaign_id",
            "priority",
            "sequence",
            sqlite_where=text("state IN ('queued', 'failed')"),
            postgresql_where=text("state IN ('queued', 'failed')"),
        ),
        Index(
            "ix_evaluations_done",
            "campaign_id",
            "ended_at",
            sqlite_where=text("state = 'done'"),
            postgresql_where=text("state = 'done'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    sequence: Mapped[int]
    candidate_id: Mapped[int] = mapped_column(ForeignKey("candidates.id"))
    fidelity: Mapped[str]
    replicate: Mapped[int] = mapped_column(default=0)
    cache_key: Mapped[str]
    state: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[dt.datetime | None]
    enqueued_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    label_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))
    from_cache: Mapped[bool] = mapped_column(default=False)
    failure_class: Mapped[str | None]
    message: Mapped[str | None]


class Attempt(Base):
    """One try at an evaluation; `token` fences its writes, and it yields one label at most."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("token"),
        UniqueConstraint("evaluation_id", "number"),
        UniqueConstraint("label_id"),
        _one_of("state", ATTEMPT_STATES, "state"),
        CheckConstraint("(state = 'done') = (label_id IS NOT NULL)", name="done_has_label"),
        Index(
            "uq_attempts_one_running",
            "evaluation_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id"))
    number: Mapped[int]
    token: Mapped[str]
    worker: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str]
    exit_class: Mapped[str | None]
    message: Mapped[str | None]
    claimed_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    lease_expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    wait_seconds: Mapped[float | None]
    held_seconds: Mapped[float | None]
    wall_seconds: Mapped[float | None] = mapped_column(Number)
    cpu_seconds: Mapped[float | None] = mapped_column(Number)
    max_rss: Mapped[int | None] = mapped_column(BigInteger)
    cost: Mapped[float] = mapped_column(default=0.0)
    stdout: Mapped[str] = mapped_column(default="")
    stderr: Mapped[str] = mapped_column(default="")
    label_id: Mapped[int | None] = mapped_column(ForeignKey("labels.id"))


class Decision(Base):
    """Why an evaluation was asked for."""

    __tablename__ = "decisions"
    __table_args__ = (UniqueConstraint("evaluation_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id"))
    proposer: Mapped[str]
    acquisition: Mapped[str]
    acquisition_value: Mapped[float | None] = mapped_column(Number)
    model_version: Mapped[int | None]
    seconds: Mapped[float]
    reason: Mapped[str]
    decided_at: Mapped[dt.datetime]


class DecisionPrediction(Base):
    """What the model believed of one output when it was decided; NULL where it had no finite belief.

    The belief is Student's distribution with scale `std` and `tail` degrees of freedom, normal where `tail` is NULL.
    """

    __tablename__ = "decision_predictions"

    decision_id: Mapped[int] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    output: Mapped[str] = mapped_column(primary_key=True)
    mean: Mapped[float | None] = mapped_column(Number)
    std: Mapped[float | None] = mapped_column(Number)
    tail: Mapped[float | None] = mapped_column(Number)


class DecisionOffer(Base):
    """What one proposer brought to the pool that decisions were made from; it hangs at the first of these."""

    __tablename__ = "decision_offers"

    decision_id: Mapped[int] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    proposer: Mapped[str] = mapped_column(primary_key=True)
    proposals: Mapped[int]
    seconds: Mapped[float]
    share: Mapped[float | None]
    promise: Mapped[float | None]


class DecisionParent(Base):
    """Of what a decided candidate was made: its own parents first, then those of parents that were bred with it."""

    __tablename__ = "decision_parents"

    decision_id: Mapped[int] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    child: Mapped[str]
    parent: Mapped[str]


class ModelVersion(Base):
    """One fit of the surrogate."""

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("campaign_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    number: Mapped[int]
    surrogate: Mapped[str]
    n_labels: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    fit_seconds: Mapped[float]
    fell_back: Mapped[bool]
    message: Mapped[str]
    hyperparameters: Mapped[Any] = mapped_column(JsonData, nullable=False)
    created_at: Mapped[dt.datetime]


class ModelScore(Base):
    """A figure of merit of a model version on labels that it had predicted before it saw them."""

    __tablename__ = "model_scores"

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    output: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float | None] = mapped_column(Number)
    n: Mapped[int]


class ModelCheck(Base):
    """A prediction made before its label came (as in `decision_predictions`), beside what came."""

    __tablename__ = "model_checks"

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"), primary_key=True)
    output: Mapped[str] = mapped_column(primary_key=True)
    mean: Mapped[float | None] = mapped_column(Number)
    std: Mapped[float | None] = mapped_column(Number)
    observed: Mapped[float | None] = mapped_column(Number)
    tail: Mapped[float | None] = mapped_column(Number)


class Event(Base):
    """Something that a person may want to read later."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_campaign_id", "campaign_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    at: Mapped[dt.datetime]
    kind: Mapped[str]
    message: Mapped[str]
    data: Mapped[Any | None] = mapped_column(JsonData)


class Card(Base):
    """A diagnostic of a campaign as it was then: of its model, when somebody asked, or what its gates turned away."""

    __tablename__ = "cards"
    __table_args__ = (Index("ix_cards_campaign_id_kind", "campaign_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    kind: Mapped[str]
    model_version: Mapped[int | None]
    data: Mapped[Any] = mapped_column(JsonData, nullable=False)
    created_at: Mapped[dt.datetime]


class Tally(Base):
    """Sums over the settled part of a campaign, so that they need not be counted again: see `theoros.db.tallies`.

    It covers all evaluations up to `sequence` but those in `pending`.
    """

    __tablename__ = "tallies"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    pending: Mapped[Any] = mapped_column(JsonData, nullable=False)
    counts: Mapped[Any] = mapped_column(JsonData, nullable=False)
    cost: Mapped[float]
    failures: Mapped[Any] = mapped_column(JsonData, nullable=False)
    ranking: Mapped[Any] = mapped_column(JsonData, nullable=False)
    best: Mapped[Any] = mapped_column(JsonData, nullable=False)
