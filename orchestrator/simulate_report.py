"""What simulations found: best-so-far curves with their spread over seeds, as numbers, a file and a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from theoros.models.contract import Array
from theoros.models.objective import Objective
from theoros.orchestrator.simulate import Step

#: The simulations of one method, one for each seed.
Runs = Sequence[Sequence[Step]]
#: Shares of the budget at which the best label is shown.
SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Summary:
    """One method over `n` seeds. Quartiles are (25 %, median, 75 %).

    `best` are the best feasible values after the `SHARES` of the budget; `labels` are labels at the target fidelity
    until the target value was reached, infinite for seeds that never did, of which `reached` did; `decision_seconds`
    is the median.
    """

    method: str
    n: int
    best: tuple[tuple[float, float, float], ...]
    labels: tuple[float, float, float]
    reached: int
    decision_seconds: float


def curve(steps: Sequence[Step], objective: Objective, at: Array, *, clock: bool = False) -> Array:
    """The best feasible value by the time that the cost (or simulated seconds) is `at` (k); NaN before the first."""
    values = np.full(len(at), np.nan)
    best = math.nan
    reached = [step.ended if clock else step.cost for step in steps]
    for step, spent in zip(steps, reached, strict=True):
        if step.feasible and not math.isnan(step.value) and (math.isnan(best) or objective.better(step.value, best)):
            best = step.value
            values[at >= spent - 1e-9] = best
    return values


def labels_until(steps: Sequence[Step], objective: Objective, target: float) -> float:
    """Labels at the target fidelity until one is feasible and as good as `target`; infinite when there is none."""
    for step in steps:
        if step.feasible and not math.isnan(step.value) and not objective.better(target, step.value):
            return float(step.labels)
    return math.inf


def final(steps: Sequence[Step], objective: Objective) -> float:
    """The best feasible value of all; NaN when there is none."""
    return float(curve(steps, objective, np.array([math.inf]))[0])


def usual_target(runs: Mapping[str, Runs], against: str, objective: Objective) -> float:
    """What a method has found at the end, the median over its seeds: a value worth reaching. NaN for nothing."""
    found = np.array([final(steps, objective) for steps in runs[against]])
    return float(np.nanmedian(found)) if np.isfinite(found).any() else math.nan


def summary(method: str, runs: Runs, objective: Objective, budget: float, target: float) -> Summary:
    """A method in a few numbers; `budget` is the cost that it could spend, in labels at the target fidelity."""
    shares = np.array(SHARES) * budget
    best = np.array([curve(steps, objective, shares) for steps in runs])
    labels = np.array([labels_until(steps, objective, target) for steps in runs])
    seconds = [step.decision_seconds for steps in runs for step in steps]
    return Summary(
        method,
        len(runs),
        tuple(_quartiles(best[:, i]) for i in range(len(SHARES))),
        _quartiles(labels),
        int(np.isfinite(labels).sum()),
        float(np.median(seconds)) if seconds else math.nan,
    )


def write_csv(path: Path, runs: Mapping[str, Runs], seeds: Sequence[int]) -> Path:
    """One row for each method, seed and evaluation that ended."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "seed", *(field.name for field in fields(Step))])
        for method, all_steps in runs.items():
            for seed, steps in zip(seeds, all_steps, strict=True):
                for step in steps:
                    writer.writerow([method, seed, *asdict(step).values()])
    return path


def plot(
    path: Path, runs: Mapping[str, Runs], objective: Objective, budget: float, *, label: str, clock: bool = False
) -> Path:
    """Medians and quartiles of the best so far over cost, and with `clock` over simulated time beside it."""
    from theoros.orchestrator.report.canvas import canvas, save

    figure, panels = canvas(1, 1 + clock, 6.4 * (1 + clock), 4.4)
    last = max((step.ended for all_steps in runs.values() for steps in all_steps for step in steps), default=1.0)
    for axes, timed in zip(panels, (False, True), strict=False):
        at = np.linspace(0, last if timed else budget, 401)
        for number, (method, all_steps) in enumerate(runs.items()):
            curves = np.array([curve(steps, objective, at, clock=timed) for steps in all_steps])
            known = np.isfinite(curves).all(axis=0)
            low, middle, high = np.quantile(curves[:, known], [0.25, 0.5, 0.75], axis=0)
            axes.step(at[known], middle, where="post", lw=2.2 if number == 0 else 1.5, label=method)
            axes.fill_between(at[known], low, high, step="post", alpha=0.15)
        axes.set_xlabel("simulated seconds" if timed else "cost (labels at the target fidelity)")
        axes.set_ylabel(f"best {label}")
    panels[0].legend(title=f"median, quartiles (n = {len(next(iter(runs.values())))})")
    return save(figure, path)


def _quartiles(values: Array) -> tuple[float, float, float]:
    """By the order of the values alone, so that infinite ones do no harm; NaN when one is missing."""
    if np.isnan(values).any():
        return (math.nan, math.nan, math.nan)
    method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if np.isinf(values).any() else "linear"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method=method)
    return float(low), float(middle), float(high)
