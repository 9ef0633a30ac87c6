"""Campaigns with bad data beside the same campaigns without: do they go on, and what does it cost?

    python -m benchmarks.robustness --seeds 5

Simulated campaigns with all defaults, one evaluation at a time. Hartmann's function of six parameters with its optimum
moved by the seed, 40 evaluations, is answered truly (`clean`), or with one label of 10^6 (`outlier`; `outlier_good` of
-10^6, where better is lower), or not at all by 30 % of the candidates (`failures`), or alike everywhere (`constant`).
Libraries of 300 drawn rows, of which 40 are asked, stand as they are (`library`), with every row twice (`duplicated`),
or with a second column for each parameter that is a multiple of the first (`collinear`). `regret` is the best of the
true values of what was answered, less the optimum, for libraries less the best of their rows.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.synthetic_problems import TestProblem, make
from benchmarks.table import Table, column, spread
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Quantity
from theoros.oracles.rehearsal import generator
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.orchestrator.simulate_methods import methods, with_seed
from theoros.orchestrator.spec.load import spec_from_dict

TABLE = Table("robustness", keys=("fault", "seed"))
PROBLEM, BUDGET, ROWS = "hartmann6", 40, 300
FAULTS = ("clean", "outlier", "outlier_good", "failures", "constant", "library", "duplicated", "collinear")
LIBRARIES = ("library", "duplicated", "collinear")
#: The evaluation that gives the outlier, and the share of candidates that fail.
WHICH, FAILING = 15, 0.3
OUTLIERS = {"outlier": 1e6, "outlier_good": -1e6}


@dataclass
class FaultyOracle:
    """Answers a test function with one fault, and remembers the true values of what it answered."""

    problem: TestProblem
    outputs: Mapping[str, Quantity]
    fault: str
    seed: int
    asked: int = 0
    true: list[float] = field(default_factory=list)

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """The value, or what the fault makes of it."""
        self.asked += 1
        u = np.array([float(candidate.data[name]) for name in columns(self.problem.dim)])
        value = self.problem.evaluate(u)[0]
        if self.fault == "failures" and generator("robustness", self.seed, candidate.hash).random() < FAILING:
            return Answer({"value": math.nan})
        self.true.append(value)
        if self.fault == "constant":
            return Answer({"value": 1.0})
        return Answer({"value": OUTLIERS.get(self.fault, value) if self.asked == WHICH else value})


def columns(dim: int) -> list[str]:
    """The parameters' names."""
    return [f"x{i + 1}" for i in range(dim)]


def measure(fault: str, seed: int) -> dict[str, Any]:
    """One campaign."""
    problem = make(PROBLEM, seed)
    with tempfile.TemporaryDirectory() as folder:
        spec: dict[str, Any] = {
            "campaign": fault.replace("_", "-"),
            "question": {"minimize": "value"},
            "oracle": {"synthetic": {"function": "Hartmann", "dim": problem.dim, "shift": False}},
            "budget": {"labels": BUDGET},
        }
        best = problem.optimum
        if fault in LIBRARIES:
            rows = np.random.default_rng([seed, ROWS]).random((ROWS, problem.dim))
            best = min(problem.evaluate(row)[0] for row in rows)
            file = _written(Path(folder) / "rows.csv", rows, fault)
            spec["oracle"] = {"lookup": {"file": str(file), "outputs": {"value": "value"}}}
        plan = with_seed(methods(spec_from_dict(spec), Path(folder), ["theoros"], slots=1)[0].plan, seed)
        oracle = FaultyOracle(problem, plan.outputs, fault, seed)
        steps = simulate(
            plan,
            oracle,  # type: ignore[arg-type]  (it answers, which is all that a simulation asks of it)
            EngineChooser(plan),
            duration=lambda point: 1.0,
        )
    return {
        "asked": len(steps),
        "answered": len(oracle.true),
        "distinct": len({step.hash for step in steps}),
        "regret": f"{min(oracle.true, default=math.inf) - best:.5g}",
    }


def _written(file: Path, rows: np.ndarray, fault: str) -> Path:
    """The rows as a table with the fault, and with a column for the output, which nobody reads."""
    names = columns(rows.shape[1])
    if fault == "duplicated":
        rows = np.repeat(rows, 2, axis=0)
    if fault == "collinear":
        rows, names = np.hstack([rows, 2 * rows + 1]), [*names, *(f"twice_{name}" for name in names)]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*names, "value"])
        writer.writerows([*row, 0.0] for row in rows.tolist())
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--faults", default=",".join(FAULTS))
    options = parser.parse_known_args()[0]
    faults = options.faults.split(",")
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for seed in range(options.seeds):
        for fault in faults:
            if not TABLE.has(fault=fault, seed=seed):
                TABLE.append(("botorch", "torch"), fault=fault, seed=seed, **measure(fault, seed))
    for fault in faults:
        shown = [
            f"{name} {spread(column(TABLE.rows(), name, fault=fault))}" for name in ("asked", "answered", "regret")
        ]
        print(f"{fault:13}", *shown)


if __name__ == "__main__":
    main()
