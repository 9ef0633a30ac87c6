"""The classes of failure: an oracle raises them, a worker reports them, and each has a policy of its own."""

from __future__ import annotations

from typing import ClassVar


class OracleFailure(Exception):
    """An oracle could not answer a candidate. `failure_class` is what the database records."""

    failure_class: ClassVar[str] = "oracle_error"


class InvalidCandidate(OracleFailure):
    """The candidate can't be asked at all: outside the space, an impossible molecule, overlapping atoms.

    `reason` says why in words that many candidates share, ``""`` where that is not known.
    """

    failure_class = "invalid_candidate"

    def __init__(self, message: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NotConverged(OracleFailure):
    """The calculation ran and did not converge, second try included."""

    failure_class = "not_converged"


class BadAnswer(OracleFailure):
    """The answer breaks the oracle's own declaration: a missing output, a wrong shape, NaN or infinity."""

    failure_class = "bad_answer"


class MissingDependency(OracleFailure):
    """A library or program that the oracle needs is not installed; the message says what installs it."""

    failure_class = "missing_dependency"


class MemoryExceeded(OracleFailure):
    """The evaluation needed more memory than it had been granted."""

    failure_class = "memory"


class DeadlineExceeded(OracleFailure):
    """The evaluation ran past its deadline and was killed."""

    failure_class = "timeout"


class OracleCrashed(OracleFailure):
    """The oracle's own process died under the evaluation (a crash, a kill, an exit): the candidate may be to blame."""

    failure_class = "crash"


class WorkerLost(OracleFailure):
    """The worker was lost with its node or its orchestrator: says nothing about the candidate."""

    failure_class = "infrastructure"


FAILURES: dict[str, type[OracleFailure]] = {
    cls.failure_class: cls
    for cls in (
        OracleFailure,
        InvalidCandidate,
        NotConverged,
        BadAnswer,
        MissingDependency,
        MemoryExceeded,
        DeadlineExceeded,
        OracleCrashed,
        WorkerLost,
    )
}
