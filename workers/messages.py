"""What passes between an orchestrator, a slot and the child process that runs the oracle: JSON data both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EvaluationRequest:
    """One evaluation: `token` names the attempt, `kind` and `data` the candidate.

    `memory` (bytes) is the limit of this attempt, where it differs from that of the oracle's resources.
    """

    token: str
    kind: str
    data: Mapping[str, Any]
    fidelity: str
    memory: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. Either `values` (outputs as nested lists) or `failure_class` and `message` are set.

    Seconds are wall and processor time of the evaluation itself; `max_rss` is the peak resident memory in bytes.
    `unspooled` says why an answer could not be made durable on the worker's disk, and is empty when it was.
    """

    token: str
    fidelity: str
    values: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    failure_class: str | None = None
    message: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss: int | None = None
    host: str = ""
    pid: int | None = None
    stdout: str = ""
    stderr: str = ""
    unspooled: str = ""

    @property
    def ok(self) -> bool:
        """Whether the oracle answered."""
        return self.values is not None

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The answer as float64 arrays, scalars with shape ``()``."""
        return {name: np.asarray(value, dtype=np.float64) for name, value in (self.values or {}).items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return asdict(self)


def without_answer(request: EvaluationRequest, failure_class: str, message: str) -> Outcome:
    """The outcome of a request that the oracle did not answer."""
    return Outcome(request.token, request.fidelity, failure_class=failure_class, message=message)
