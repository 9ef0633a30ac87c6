"""Oracles that cost nothing but time, and keep a logbook. They are light to import: a slot is ready at once.

Theoros builds them by name (``benchmarks.probes:instant``); peers, which call functions, call `ask`. The same code
answers both, so that the same candidate takes as long and fails alike whoever asks.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.logbook import Logbook
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity
from theoros.oracles.failures import NotConverged
from theoros.oracles.rehearsal import Delay, generator
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Parameters, Real

#: A log-normal with median 1 s whose 99th percentile is 20 s: 2.326 is the normal distribution's.
MEDIAN, SIGMA = 1.0, math.log(20) / 2.326
FAILURES = 0.05

_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(x: np.ndarray) -> float:
    """Hartmann's function of six dimensions (Dixon & Szegö 1978); its minimum is -3.3224."""
    return -float(_ALPHA @ np.exp(-(_A * (x - _P) ** 2).sum(1)))


class Probe:
    """A function of the unit cube that takes its time. It claims no processor: it sleeps, or answers at once."""

    outputs = {"value": Quantity(description="to be minimised")}  # noqa: RUF012
    fidelities = (Fidelity("full"),)
    resources = Resources(num_cpus=0, timeout=600)
    deterministic = True
    cache_version = "1"

    def __init__(self, name: str, dim: int, log: str, work: Callable[[Candidate, np.ndarray], float]) -> None:
        self.name = name
        self.names = [f"x{i + 1}" for i in range(dim)]
        self.space = Parameters({name: Real(0, 1) for name in self.names})
        self._work, self._logbook = work, Logbook(log)

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Work on the candidate, and write it down."""
        with self._logbook.entry():
            x = np.array([candidate.data[name] for name in self.names])
            return Answer({"value": self._work(candidate, x)})


def instant(log: str, seconds: float = 0.0) -> Probe:
    """A parabola in one dimension, after a sleep of `seconds` where that is not 0."""

    def work(_: Candidate, x: np.ndarray) -> float:
        if seconds:
            time.sleep(seconds)
        return float((x[0] - 0.3) ** 2)

    return Probe("instant", 1, log, work)


def heavy_tailed(log: str, seed: int = 0, scale: float = 1.0) -> Probe:
    """Hartmann's function; how long a candidate takes (times `scale`) and whether it fails depend on it and `seed`."""
    delay = Delay(MEDIAN, SIGMA)

    def work(candidate: Candidate, x: np.ndarray) -> float:
        rng = generator("heavy-tailed", seed, candidate.hash)
        fails = rng.uniform() < FAILURES
        time.sleep(scale * delay.seconds(rng))
        if fails:
            raise NotConverged("a failure on demand")
        return hartmann(x)

    return Probe("heavy-tailed", 6, log, work)


def ask(probe: str, options: str, x: Sequence[float]) -> float:
    """The answer to the point `x` of ``instant`` or ``heavy_tailed``, built with `options` (JSON) once per process."""
    oracle = _built(probe, options)
    candidate = oracle.space.candidate(dict(zip(oracle.names, map(float, x), strict=True)))
    return float(oracle.evaluate(candidate, "full").values["value"])


@functools.cache
def _built(probe: str, options: str) -> Probe:
    makers: dict[str, Callable[..., Probe]] = {"instant": instant, "heavy_tailed": heavy_tailed}
    return makers[probe](**json.loads(options))
