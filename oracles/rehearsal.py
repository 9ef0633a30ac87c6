"""What stand-in oracles share: pretended durations and reproducible random numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.oracles.candidate import content_hash
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.resources import parse_duration


def generator(*key: Any) -> np.random.Generator:
    """A generator seeded by the content of `key` (JSON data): the same in every process."""
    return np.random.default_rng(int(content_hash(list(key))[:32], 16))


@dataclass(frozen=True)
class Delay:
    """How long an evaluation pretends to take: log-normal with this median (seconds) and sigma (of the logarithm)."""

    median: float = 0.0
    sigma: float = 0.0

    @classmethod
    def parse(cls, value: Any) -> Delay:
        """Read seconds, a duration such as ``"1 s"``, or ``{median, sigma}``; raises OracleOptionError."""
        mapping = dict(value) if isinstance(value, Mapping) else {"median": value}
        if unknown := mapping.keys() - {"median", "sigma"}:
            raise OracleOptionError(("delay", min(unknown)), "a delay has median and sigma only. Leave it out.")
        try:
            median, sigma = float(parse_duration(mapping.get("median", 0))), float(mapping.get("sigma", 0))
        except (TypeError, ValueError) as error:
            raise OracleOptionError(("delay",), f"{error}.") from None
        if not (0 <= median < math.inf and 0 <= sigma < math.inf):
            raise OracleOptionError(("delay",), f"{value!r} is negative or not finite. Write for example '1 s'.")
        return cls(median, sigma)

    def seconds(self, rng: np.random.Generator, scale: float = 1.0) -> float:
        """One draw, times `scale` (a fidelity's relative cost)."""
        return self.median * scale * math.exp(self.sigma * rng.standard_normal())

    def wait(self, rng: np.random.Generator, scale: float = 1.0) -> None:
        """Sleep for one draw."""
        if self.median > 0:
            time.sleep(self.seconds(rng, scale))
