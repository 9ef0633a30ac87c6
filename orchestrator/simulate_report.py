"""What simulations found: curves over the budget with their spread over seeds, as numbers, a file and a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from theoros.models.data import Array
from theoros.orchestrator.simulate import Step
from theoros.orchestrator.yardstick import Yardstick

#: The simulations of one method, one for each seed.
Runs = Sequence[Sequence[Step]]
#: Shares of the budget at which it is shown what has been found.
SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Summary:
    """One method over `n` seeds. Quartiles are (25 %, median, 75 %).

    `found` is what had been found after the `SHARES` of the budget, by the yardstick of the comparison; `labels` are
    labels at the target fidelity until the target value was reached, infinite for seeds that never did, of which
    `reached` did; `decision_seconds` is the median.
    """

    method: str
    n: int
    found: tuple[tuple[float, float, float], ...]
    labels: tuple[float, float, float]
    reached: int
    decision_seconds: float


def curve(steps: Sequence[Step], yardstick: Yardstick, at: Array, *, clock: bool = False) -> Array:
    """What has been found by the time that the cost (or simulated seconds) is `at` (k); NaN before anything."""
    reached = np.array([step.ended if clock else step.cost for step in steps])
    last = np.searchsorted(reached - 1e-9, at, side="right")
    return np.concatenate([[math.nan], yardstick.so_far(steps)])[last]


def labels_until(steps: Sequence[Step], yardstick: Yardstick, target: float) -> float:
    """Labels at the target fidelity until what has been found is as good as `target`; infinite when it never is."""
    for step, found in zip(steps, yardstick.so_far(steps), strict=True):
        if not math.isnan(found) and not yardstick.better(target, found):
            return float(step.labels)
    return math.inf


def final(steps: Sequence[Step], yardstick: Yardstick) -> float:
    """What has been found in the end; NaN for nothing."""
    return float(yardstick.so_far(steps)[-1]) if steps else math.nan


def usual_target(runs: Mapping[str, Runs], against: str, yardstick: Yardstick) -> float:
    """What a method has found at the end, the median over its seeds: a value worth reaching. NaN for nothing."""
    found = np.array([final(steps, yardstick) for steps in runs[against]])
    return float(np.nanmedian(found)) if np.isfinite(found).any() else math.nan


def summary(method: str, runs: Runs, yardstick: Yardstick, budget: float, target: float) -> Summary:
    """A method in a few numbers; `budget` is the cost that it could spend, in labels at the target fidelity."""
    shares = np.array(SHARES) * budget
    found = np.array([curve(steps, yardstick, shares) for steps in runs])
    labels = np.array([labels_until(steps, yardstick, target) for steps in runs])
    seconds = [step.decision_seconds for steps in runs for step in steps]
    return Summary(
        method,
        len(runs),
        tuple(_quartiles(found[:, i]) for i in range(len(SHARES))),
        _quartiles(labels),
        int(np.isfinite(labels).sum()),
        float(np.median(seconds)) if seconds else math.nan,
    )


def write_csv(
    path: Path, runs: Mapping[str, Runs], seeds: Sequence[int], yardstick: Yardstick, outputs: Sequence[str]
) -> Path:
    """One row for each method, seed and evaluation that ended.

    The objectives stand under the names of their `outputs`, a single one under ``value``; of several, and of what is
    learned, what has been found by then stands beside them.
    """
    valued = ["value"] if len(outputs) == 1 else list(outputs)
    shown = [] if yardstick.name == "best" else [yardstick.name]
    told = ("feasible", "cost", "labels", "ended", "decision_seconds")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "seed", "number", "candidate", "hash", "fidelity", *valued, *told, *shown])
        for method, all_steps in runs.items():
            for seed, steps in zip(seeds, all_steps, strict=True):
                for step, found in zip(steps, yardstick.so_far(steps).tolist(), strict=True):
                    row = [method, seed, step.number, step.candidate, step.hash, step.fidelity, *step.values]
                    writer.writerow([*row, *(getattr(step, name) for name in told), *([found] if shown else [])])
    return path


def plot(path: Path, runs: Mapping[str, Runs], yardstick: Yardstick, budget: float, *, clock: bool = False) -> Path:
    """Medians and quartiles of what has been found over cost, and with `clock` over simulated time beside it."""
    from theoros.orchestrator.report.canvas import canvas, save

    figure, panels = canvas(1, 1 + clock, 6.4 * (1 + clock), 4.4)
    last = max((step.ended for all_steps in runs.values() for steps in all_steps for step in steps), default=1.0)
    for axes, timed in zip(panels, (False, True), strict=False):
        at = np.linspace(0, last if timed else budget, 401)
        for number, (method, all_steps) in enumerate(runs.items()):
            curves = np.array([curve(steps, yardstick, at, clock=timed) for steps in all_steps])
            known = np.isfinite(curves).all(axis=0)
            low, middle, high = np.quantile(curves[:, known], [0.25, 0.5, 0.75], axis=0)
            axes.step(at[known], middle, where="post", lw=2.2 if number == 0 else 1.5, label=method)
            axes.fill_between(at[known], low, high, step="post", alpha=0.15)
        axes.set_xlabel("simulated seconds" if timed else "cost (labels at the target fidelity)")
        axes.set_ylabel(yardstick.label)
    panels[0].legend(title=f"median, quartiles (n = {len(next(iter(runs.values())))})")
    return save(figure, path)


def _quartiles(values: Array) -> tuple[float, float, float]:
    """By the order of the values alone, so that infinite ones do no harm; NaN when one is missing."""
    if np.isnan(values).any():
        return (math.nan, math.nan, math.nan)
    method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if np.isinf(values).any() else "linear"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method=method)
    return float(low), float(middle), float(high)
