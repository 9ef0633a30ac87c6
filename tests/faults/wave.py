"""An oracle whose answers anybody can check."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from theoros.oracles import Answer, Candidate, Fidelity, Parameters, Quantity, Real, Resources


def truth(data: Mapping[str, Any]) -> dict[str, float]:
    """What the oracle answers."""
    return {"height": math.sin(data["x"]) * math.cos(data["y"]) + 0.1 * data["x"]}


class Wave:
    """A wave over a slope, `seconds` an evaluation."""

    name = "wave"
    cache_version = "1"
    deterministic = True
    outputs: ClassVar = {"height": Quantity("m")}
    fidelities = (Fidelity("only"),)
    space = Parameters(x=Real(0, 6), y=Real(0, 6))

    resources = Resources(num_cpus=0.5, timeout=30)

    def __init__(self, *, seconds: float = 0.5) -> None:
        self.seconds = seconds

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Take the time that it takes."""
        time.sleep(self.seconds)
        return Answer(truth(candidate.data))
