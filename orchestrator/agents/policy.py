"""What is done about a failure: a policy for each class, counted for each class by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from theoros.db import Store
from theoros.oracles.resources import Resources
from theoros.orchestrator.spec.campaign import Retries

#: No retry waits longer than this (seconds).
LONGEST_PAUSE = 600.0
#: Classes that cost nothing: the evaluation was not to blame.
_FREE = frozenset({"infrastructure", "cancelled"})

_CLASSES = """
SELECT a.evaluation_id, a.exit_class, COUNT(*) AS n
FROM attempts a JOIN evaluations e ON e.id = a.evaluation_id JOIN campaigns c ON c.id = e.campaign_id
WHERE c.name = :campaign AND e.state IN ('queued', 'failed', 'running') AND a.exit_class IS NOT NULL
GROUP BY a.evaluation_id, a.exit_class
"""


@dataclass
class History:
    """How often each evaluation that may be tried again has failed already, by class."""

    failures: dict[int, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, campaign: str) -> History:
        """What earlier sessions of the campaign left."""
        history = cls()
        for row in store.query(_CLASSES, {"campaign": campaign}).to_dict("records"):
            history.failures.setdefault(int(row["evaluation_id"]), Counter())[str(row["exit_class"])] = int(row["n"])
        return history

    def earlier(self, evaluation_id: int, failure_class: str) -> int:
        """Failures of that class so far."""
        return self.failures.get(evaluation_id, Counter())[failure_class]

    def knows(self, evaluation_id: int) -> bool:
        """Whether the evaluation has failed before, in any way."""
        return bool(self.failures.get(evaluation_id))

    def add(self, evaluation_id: int, failure_class: str) -> None:
        """One more."""
        self.failures.setdefault(evaluation_id, Counter())[failure_class] += 1

    def forget(self, evaluation_id: int) -> None:
        """The evaluation has ended."""
        self.failures.pop(evaluation_id, None)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an evaluation whose attempt failed: tried again after `retry_after` seconds, or never (None)."""

    failure_class: str
    message: str
    retry_after: float | None
    charged: bool


def judge(retries: Retries, failure_class: str, message: str, earlier: int) -> Verdict:
    """The verdict on a failure of a class of which the evaluation has had `earlier` ones.

    Stopped by a person is no failure: back into the queue, for a resume. What was lost with its worker or stopped is
    not charged. What crashes the oracle's process again and again is poison.
    """
    charged = failure_class not in _FREE
    if failure_class == "cancelled":
        return Verdict(failure_class, message, 0.0, charged)
    if earlier < retries.allowed(failure_class):
        return Verdict(failure_class, message, min(retries.backoff * 2**earlier, LONGEST_PAUSE), charged)
    if failure_class == "crash":
        message = f"quarantined after it crashed {earlier + 1} processes of the oracle; the last one: {message}"
        return Verdict("poison", message, None, charged)
    return Verdict(failure_class, message, None, charged)


def enlarged(resources: Resources, memory_failures: int) -> Resources:
    """What an evaluation gets that has run out of memory so often: twice as much each time, where a limit is set."""
    if resources.memory is None or memory_failures == 0:
        return resources
    return resources.model_copy(update={"memory": resources.memory * 2**memory_failures})


def max_losses(retries: Retries) -> int:
    """The loss that makes an evaluation poison, as `Store.reconcile` counts them."""
    return retries.infrastructure + 1
