"""Does a twin behave as its process does? Noise, conservation laws, roll-outs, and what is gained in speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from theoros.models.data import Array


def noise_ratio(samples: ArrayLike, noise: ArrayLike) -> Array:
    """The deviation of draws within a member over the process's own (m), one being right.

    `samples` is ``members x n x p x m``, `noise` the process's standard deviation, ``p x m`` or (m). Variances are
    averaged over members and points, each in units of its own noise, so that no place outweighs the others.
    """
    within = np.var(np.asarray(samples, dtype=np.float64), axis=1, ddof=1)
    return np.asarray(np.sqrt((within / np.asarray(noise, dtype=np.float64) ** 2).mean((0, 1))), dtype=np.float64)


@dataclass(frozen=True)
class Residuals:
    """By how much answers break a law, in the law's own units: `bias` (mean), `rms`, and the 99th percentile of the
    sizes.
    """

    bias: float
    rms: float
    p99: float

    @classmethod
    def of(cls, values: ArrayLike) -> Residuals:
        """Summarise residuals of any shape, zero where the law is kept; what is not finite is left out."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        flat = flat[np.isfinite(flat)]
        if not len(flat):
            return cls(float("nan"), float("nan"), float("nan"))
        return cls(float(flat.mean()), float(np.sqrt(np.mean(flat**2))), float(np.quantile(np.abs(flat), 0.99)))


@dataclass(frozen=True)
class Drift:
    """How a conserved quantity goes astray over roll-outs, as shares of its first value.

    `largest` is over all runs and steps, `final` the root mean square at the last step, `per_step` the mean change in
    a step (with its sign): a walk at random has none, a leak has.
    """

    largest: float
    final: float
    per_step: float

    @classmethod
    def of(cls, quantity: ArrayLike) -> Drift:
        """Of a quantity over ``runs x steps``; its first values are not zero. Raises ValueError without two steps."""
        values = np.asarray(quantity, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] < 2:
            raise ValueError(f"a roll-out is runs x steps, of two steps or more, and the quantity is {values.shape}")
        change = values / values[:, :1] - 1.0
        last = change[:, -1]
        return cls(
            float(np.abs(change).max()),
            float(np.sqrt(np.mean(last**2))),
            float(last.mean() / (values.shape[1] - 1)),
        )


@dataclass(frozen=True)
class Speed:
    """Processor seconds for an answer of the named `simulator`, and of the twin asked singly or for `batch` at once."""

    simulator: str
    simulator_seconds: float
    one_seconds: float
    batched_seconds: float
    batch: int

    @property
    def one_by_one(self) -> float:
        """How many answers the twin gives singly while the simulator gives one, on the same core."""
        return self.simulator_seconds / self.one_seconds

    @property
    def batched(self) -> float:
        """The same for answers of one batch."""
        return self.simulator_seconds / self.batched_seconds


def measure_speed(
    simulator: str,
    simulate: Callable[[int], object],
    draw: Callable[[int], object],
    *,
    batch: int = 1_000,
    simulations: int = 10,
    repeats: int = 5,
) -> Speed:
    """Time ``simulate(k)`` (the k-th of `simulations` answers) and ``draw(n)`` (n answers at once) of one process.

    Processor time of all threads, so that a twin with many cores gains nothing by them. Each is called once before it
    is timed (compilers, caches); the twin's figures are the medians of `repeats`.
    """
    simulate(0)
    started = time.process_time()
    for k in range(simulations):
        simulate(k)
    simulated = (time.process_time() - started) / simulations
    return Speed(simulator, simulated, _seconds(draw, 1, repeats), _seconds(draw, batch, repeats) / batch, batch)


def _seconds(draw: Callable[[int], object], n: int, repeats: int) -> float:
    draw(n)
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        draw(n)
        taken.append(time.process_time() - started)
    return float(np.median(taken))
