"""What benchmarks of a budget share: campaigns that spend the same, the cost at which one was good enough, and rows.

`benchmarks.fidelities` and `benchmarks.discovery` are written on it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, column, spread
from theoros.oracles.contract import Oracle
from theoros.orchestrator.simulate import Chooser, Step, simulate
from theoros.orchestrator.simulate_methods import Method, methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.load import spec_from_dict

Array = NDArray[np.float64]


def campaign(own: str, *, budget: float, **parts: Any) -> Method:
    """The method that simulations call `own` on a campaign of `parts` (its name, question, oracle, space).

    What `parts` don't name has the campaign's defaults. `budget` is a cost in labels at the truth; each decision waits
    for the evaluation before it.
    """
    spec = {"budget": {"cost": budget}, "workers": {"lookahead": 0}, **parts}
    return methods(spec_from_dict(spec), Path(__file__).parents[1], [own], slots=1)[0]


def spend(method: Method, seed: int, oracle: Oracle | None = None) -> tuple[list[Step], Chooser, Oracle]:
    """What a method does with its budget, in one thread; and its chooser and oracle afterwards.

    `oracle` stands in for the campaign's own.
    """
    import torch

    torch.set_num_threads(1)
    plan = with_seed(method.plan, seed)
    chooser, oracle = method.start(plan), oracle or cheap_oracle(plan, force=True)
    return simulate(plan, oracle, chooser, duration=pretended(plan, seed)), chooser, oracle


def spent_until(costs: Array, best: Array, good: float) -> float:
    """What had been spent when `best` (larger is better) was first at least `good`; infinite if it never was."""
    reached = np.nan_to_num(best, nan=-np.inf) >= good
    return float(costs[int(np.argmax(reached))]) if reached.any() else math.inf


def complete(
    table: Table,
    description: str | None,
    problems: Sequence[str],
    names: Sequence[str],
    compare: Callable[[str, Sequence[str], int], None],
    columns: Sequence[str],
) -> None:
    """The command line of such a benchmark: add the rows that `table` lacks, and print the spread of `columns`.

    The first of the table's keys is the problem. `compare` measures one seed of one problem, all methods of it.
    """
    key = table.keys[0]
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--methods", default=",".join(names))
    parser.add_argument(f"--{key}s", dest="problems", default=",".join(problems))
    options = parser.parse_known_args()[0]
    problems, names = options.problems.split(","), options.methods.split(",")
    for seed in range(options.first, options.first + options.seeds):
        for problem in problems:
            if not all(table.has(**{key: problem}, method=name, seed=seed) for name in names):
                compare(problem, names, seed)
    rows = table.rows()
    for problem in problems:
        for name in names:
            where = {key: problem, "method": name}
            found = "  ".join(f"{title} {spread(column(rows, title, **where)):34}" for title in columns)
            print(f"{problem:17} {name:11} {found}")
