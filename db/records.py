"""Plain records that go into and come out of the store; JSON data and numbers only, so `db` needs no other room."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.db.outputs import HeldArray, StoredArray


@dataclass(frozen=True)
class CandidateRecord:
    """A candidate as the database sees it: content hash, kind, canonical JSON data, and text for people."""

    hash: str
    kind: str
    data: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class PredictionRecord:
    """What a model believed of one output, in the output's unit: Student's distribution around `mean` with scale `std`
    and `tail` degrees of freedom, normal where `tail` is infinite.
    """

    output: str
    mean: float
    std: float
    tail: float = math.inf


@dataclass(frozen=True)
class OfferRecord:
    """What one proposer brought to a pool: how many proposals, in how many processor seconds.

    `share` is what part of the pool it might fill, `promise` what its proposals were worth by their acquisition values
    (0 to 1); None where there was nothing to hold it against.
    """

    proposer: str
    proposals: int
    seconds: float
    share: float | None = None
    promise: float | None = None


@dataclass(frozen=True)
class ParentRecord:
    """`child` was made of `parent`, and perhaps of others; both are texts of candidates."""

    child: str
    parent: str


@dataclass(frozen=True)
class DecisionRecord:
    """A decision to be stored: which candidate at which fidelity, and why.

    `cache_key` finds an answer that any campaign of the database already has; `seconds` is what choosing took. `offers`
    are the pool's that it was made from, at the first of several decisions that were; `parents` are its candidate's
    own, and after them those of parents that were bred with it.
    """

    candidate: CandidateRecord
    fidelity: str
    cache_key: str
    proposer: str
    acquisition: str = ""
    acquisition_value: float | None = None
    model_version: int | None = None
    predictions: Sequence[PredictionRecord] = ()
    seconds: float = 0.0
    reason: str = ""
    offers: Sequence[OfferRecord] = ()
    parents: Sequence[ParentRecord] = ()


@dataclass(frozen=True)
class Claim:
    """An evaluation that one worker may work on: `token` fences every later write of this attempt."""

    evaluation_id: int
    sequence: int
    attempt_id: int
    token: str
    candidate: CandidateRecord
    fidelity: str
    attempt_number: int
    worker: str


@dataclass(frozen=True)
class RunInfo:
    """How an attempt went: where it ran, what it used (seconds, bytes) and what it printed (tails)."""

    host: str = ""
    pid: int | None = None
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss: int | None = None
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class OutputValue:
    """One output of an answer: float64 array (shape ``()`` for a scalar) and its unit."""

    value: NDArray[np.float64]
    unit: str = ""


@dataclass(frozen=True)
class AnswerRecord:
    """An accepted answer on its way in. `cost` is in units of the top fidelity's cost."""

    oracle: str
    oracle_version: str
    outputs: Mapping[str, OutputValue]
    cost: float
    run: RunInfo = RunInfo()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FailureRecord:
    """A failed attempt on its way in.

    `retry_after` seconds from now the evaluation is queued again; None abandons it for good.
    """

    failure_class: str
    message: str
    retry_after: float | None
    cost: float = 0.0
    run: RunInfo = RunInfo()


@dataclass(frozen=True)
class LabelRecord:
    """A label as a model needs it. `sequence` orders a campaign's evaluations as they were decided.

    `values` that lie in the artifact store are read when they are looked at; `arrays` say where they are. `proposer`,
    `acquisition` and `offers` are those of the decision, empty where there was none; `seconds` is how long the oracle
    took, None where nobody measured it.
    """

    label_id: int
    evaluation_id: int
    sequence: int
    candidate: CandidateRecord
    fidelity: str
    values: Mapping[str, NDArray[np.float64]]
    cost: float
    from_cache: bool
    proposer: str = ""
    acquisition: str = ""
    seconds: float | None = None
    offers: tuple[OfferRecord, ...] = ()
    arrays: Mapping[str, HeldArray | StoredArray] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationRecord:
    """A request for a label with its state: queued, running, done, failed (to be retried), abandoned or cancelled."""

    evaluation_id: int
    sequence: int
    candidate: CandidateRecord
    fidelity: str
    state: str
    attempts: int
    failure_class: str | None
    message: str | None


@dataclass(frozen=True)
class ScoreRecord:
    """One figure of merit of a model version, over `n` labels that it had predicted before it saw them."""

    output: str
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class CheckRecord:
    """A prediction made before its label came, beside what came: rule 11's evidence."""

    label_id: int
    output: str
    mean: float
    std: float
    observed: float
    tail: float = math.inf


@dataclass(frozen=True)
class ModelVersionRecord:
    """A model version. `number` counts from 1 within the campaign; `arrays` are what the model made, for pictures."""

    number: int
    surrogate: str
    n_labels: int
    seed: int
    fit_seconds: float
    fell_back: bool = False
    message: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[ScoreRecord] = ()
    checks: Sequence[CheckRecord] = ()
    arrays: Mapping[str, HeldArray | StoredArray] = field(default_factory=dict)


@dataclass(frozen=True)
class CardRecord:
    """A diagnostic on its way in: what it is about, JSON data, and the model version that it tells of (None: none)."""

    kind: str
    data: Mapping[str, Any]
    model_version: int | None = None


@dataclass(frozen=True)
class KeptCard:
    """A card that the database holds."""

    card_id: int
    created_at: dt.datetime
    card: CardRecord


@dataclass(frozen=True)
class CampaignRecord:
    """A campaign's own row."""

    campaign_id: int
    name: str
    goal: str
    state: str
    spec: Mapping[str, Any]
    seed: int
    created_at: dt.datetime
    stop_reason: str | None
    stop_requested: str | None
    control_of: str | None


@dataclass(frozen=True)
class Progress:
    """Counts of a campaign's evaluations by fidelity and state, and what was spent.

    `counts[fidelity][state]`; `cost` includes failed attempts; `charged[fidelity]` counts evaluations that budgets
    count: every one that is not cancelled (an answer from the cache counts as a label and costs nothing).
    `active_seconds` is wall time while an orchestrator was running the campaign, over all its runs.
    """

    counts: Mapping[str, Mapping[str, int]]
    charged: Mapping[str, int]
    cost: float
    committed_cost: float
    active_seconds: float

    def total(self, state: str) -> int:
        """Evaluations in `state` over all fidelities."""
        return sum(by_state.get(state, 0) for by_state in self.counts.values())


@dataclass(frozen=True)
class EventRecord:
    """Something that happened in a campaign and that a person may want to read."""

    event_id: int
    at: dt.datetime
    kind: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
