"""Regret on moved test functions, and seconds per decision, against peers that are given the same initial design.

    python -m benchmarks.synthetic --seeds 10 --methods theoros,botorch,optuna_gp --problems branin,hartmann6

Every method minimises over the unit cube (`benchmarks.synthetic_problems` says how each optimum is moved by the seed)
and begins with the same Sobol points, as many as a campaign of Theoros has by default. `regret` is the best feasible
value found less the optimum; `seconds` is the median over decisions of learning the last labels and choosing the next
batch, divided by the points of the batch, on the wall; `cpu_seconds` are those of the process, which other work on the
machine changes little. Every run has a process of its own and one thread. The last lines count the seeds on which
``theoros`` has the lower regret than a method, with the probability of such a difference by chance.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.synthetic_methods import BESIDE_THE_EXTRA, METHODS, Label, Point, Unsupported, build, design
from benchmarks.synthetic_problems import PROBLEMS, TestProblem, make
from benchmarks.table import Table, column, paired, spread

TABLE = Table("synthetic", keys=("problem", "method", "seed"))


class Run(NamedTuple):
    """Evaluations made, regret (infinite when nothing feasible was found), and median seconds per decision."""

    n: int
    regret: float
    seconds: float
    cpu_seconds: float


def measure(problem_name: str, method_name: str, seed: int) -> Run:
    """One run, in this process and in one thread."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    problem = make(problem_name, seed)
    method = build(method_name, problem, seed)
    labels = _labels(problem, design(problem, problem.initial, seed))
    method.tell(labels)
    spent: list[tuple[float, float]] = []
    while len(labels) < problem.budget:
        n = min(problem.batch, problem.budget - len(labels))
        clock = _Clock()
        with clock:
            points = method.ask(n)
        new = _labels(problem, points)
        with clock:
            method.tell(new)
        spent.append((clock.seconds / n, clock.cpu_seconds / n))
        labels += new
    values = [value for _, value, slacks in labels if all(slack >= 0 for slack in slacks)]
    seconds, cpu_seconds = np.median(np.array(spent), axis=0)
    return Run(len(labels), min(values, default=np.inf) - problem.optimum, float(seconds), float(cpu_seconds))


class _Clock:
    """Adds up the time within ``with``: on the wall, and of this process alone."""

    def __init__(self) -> None:
        self.seconds, self.cpu_seconds = 0.0, 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started[0]
        self.cpu_seconds += time.process_time() - self._started[1]


def _labels(problem: TestProblem, points: Sequence[Point]) -> list[Label]:
    return [(point, *problem.evaluate(np.array(point))) for point in points]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    usual = [name for name in METHODS if name not in BESIDE_THE_EXTRA]
    parser.add_argument("--methods", default=",".join(usual), help=f"also {' and '.join(BESIDE_THE_EXTRA)}")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--table", default="synthetic", help="the name of the table beside this script")
    options = parser.parse_known_args()[0]
    table = Table(options.table, TABLE.keys)
    methods, problems = options.methods.split(","), options.problems.split(",")
    for seed in range(options.first, options.first + options.seeds):
        for problem in problems:
            for method in methods:
                if not table.has(problem=problem, method=method, seed=seed):
                    _row(table, problem, method, seed)
    rows = table.rows()
    for problem in problems:
        for method in methods:
            where = {"problem": problem, "method": method}
            ours = paired(rows, "regret", "method", "theoros", method, problem=problem)
            print(f"{problem:15} {method:11} {spread(column(rows, 'regret', **where)):42} "
                  f"{spread(column(rows, 'cpu_seconds', **where))} s  "
                  f"theoros lower on {ours.lower} of {ours.n}, p = {ours.p:.2g}")  # fmt: skip


def _row(table: Table, problem: str, method: str, seed: int) -> None:
    try:
        run = apart(measure, problem, method, seed)
    except Unsupported as reason:
        print(f"{problem}: {method} is left out: {reason}", flush=True)
        return
    table.append(
        METHODS[method][1],
        problem=problem,
        method=method,
        seed=seed,
        n=run.n,
        regret=f"{run.regret:.6g}",
        seconds=round(run.seconds, 4),
        cpu_seconds=round(run.cpu_seconds, 4),
        load=round(os.getloadavg()[0], 1),
    )


if __name__ == "__main__":
    main()
