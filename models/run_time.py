"""How long evaluations take, learned as one more output from those that have ended."""

from __future__ import annotations

import math
from dataclasses import replace

from theoros.models.data import RUN_TIME, Dataset, Problem


def logarithm(seconds: float | None) -> float:
    """The value of the output `RUN_TIME` of an evaluation that took so many seconds; NaN where nobody knows."""
    return math.log(seconds) if seconds is not None and seconds > 0 else math.nan


def with_run_time(problem: Problem, dataset: Dataset) -> Problem:
    """`problem` with `RUN_TIME` among its outputs, where it asks for run times and `dataset` has some."""
    if not problem.timed or RUN_TIME not in dataset.outputs or RUN_TIME in problem.outputs:
        return problem
    return replace(problem, outputs=(*problem.outputs, RUN_TIME))
