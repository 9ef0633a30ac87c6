"""What agents say to each other. Every message is a fact or a wish, small and immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from theoros.db.records import EvaluationRecord
from theoros.models.data import Proposal


@dataclass(frozen=True)
class Started:
    """The campaign runs: slots are being started, what an earlier run left has been put in order."""


@dataclass(frozen=True)
class QueueShort:
    """The dispatcher wants `wanted` more decisions in the queue, so that `margin` wait beside the running ones.

    `slots` is how many evaluations can run side by side now; `calm` tells whether evaluations leave whoever decides the
    time to think twice.
    """

    wanted: int
    margin: int
    slots: int
    calm: bool = True


@dataclass(frozen=True)
class ModelUpdated:
    """The surrogate has learned what there is to learn up to `horizon` (a sequence number).

    `belief` is a Ray reference to the fitted surrogate and its labels, whose evaluations are `sequences`; None while
    there are too few labels for a fit. `seconds` and `error` (root mean square, objective) are those of the last fit.
    """

    version: int
    horizon: int
    belief: Any
    sequences: frozenset[int]
    seconds: float
    error: float | None = None


@dataclass(frozen=True)
class ProposalsWanted:
    """The selector wants candidates to choose `n` decisions from, the first of which will be number `sequence`.

    `model` is the one to decide with, None before there is any. With a `horizon` all that was decided after it counts
    as pending.
    """

    n: int
    sequence: int
    model: ModelUpdated | None
    horizon: int | None


@dataclass(frozen=True)
class ProposalsReady:
    """Candidates for the decisions that begin with `sequence`."""

    wanted: ProposalsWanted
    proposals: tuple[Proposal, ...]
    seconds: float


@dataclass(frozen=True)
class Decided:
    """Decisions are in the database: `evaluations` are queued, or done already where the answer was known."""

    evaluations: tuple[EvaluationRecord, ...]


@dataclass(frozen=True)
class Withdrawn:
    """A decision that nobody had begun was taken back."""

    sequence: int
    evaluation_id: int
    reason: str


@dataclass(frozen=True)
class EvaluationStarted:
    """A slot works on the evaluation with this sequence number."""

    sequence: int
    evaluation_id: int | None = None
    worker: str = ""


@dataclass(frozen=True)
class Useless:
    """The answer of a running evaluation is not needed any more; it has had this `share` of its expected time."""

    sequence: int
    reason: str
    share: float


@dataclass(frozen=True)
class EvaluationEnded:
    """An evaluation came to an end for good: a label, or abandoned.

    `seconds` is what the oracle took, None for an answer that was known or that turned up later.
    """

    sequence: int
    failure_class: str | None = None
    evaluation_id: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class AttemptFailed:
    """One try at an evaluation has failed, or was lost with its worker, and there will be another."""

    sequence: int
    evaluation_id: int
    failure_class: str
    message: str
    seconds: float | None


@dataclass(frozen=True)
class Exhausted:
    """The selector has nothing more to ask: the budget is committed (`by_budget`) or the space has been asked whole."""

    reason: str
    by_budget: bool


@dataclass(frozen=True)
class BudgetFreed:
    """The budget that was committed whole has room again, since what it was committed to was given up."""


@dataclass(frozen=True)
class StopRequested:
    """The campaign shall end. With `cancel`, running evaluations are killed; otherwise they are waited for.

    `finished` tells a campaign that has reached its end from one that was interrupted and will be resumed.
    """

    reason: str
    cancel: bool = False
    finished: bool = True


@dataclass(frozen=True)
class Notice:
    """Something a person should know: a failed fit, a lost worker, a campaign that makes no progress."""

    kind: str
    message: str
