"""Three wishes at once on a table of lipid nanoparticles: how much of what it holds is known after some formulations?

    python -m benchmarks.formulations --data FOLDER --seeds 10

FOLDER has reactions/lnp3/data.csv (768 formulations: drug loading and encapsulation efficiency are to be large, the
particles' diameter small; the table `lnp3` of Olympus). `after_n` is what the labels have after n evaluations, as a
share of what the whole table has. For the question `front` that is the hypervolume from the worst of each output in the
table, of which nobody is told; for the question `desirability` it is the largest desirability (`WISHES`).
`desired_column` is a campaign that is told the desirability alone, as one output to be large, and not what it is made
of. One evaluation after the other, after ten random ones. Decisions are those of `theoros simulate`.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.models.data import Array
from theoros.models.desirability import Desirability, Desirable
from theoros.models.objective import Objective
from theoros.orchestrator.report.hypervolume import volumes
from theoros.orchestrator.simulate import Step, simulate
from theoros.orchestrator.simulate_methods import Method, methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.load import spec_from_dict

TABLE = Table("formulations", keys=("question", "method", "seed"))
INPUTS = ("drug_input", "solid_lipid", "solid_lipid_input", "liquid_lipid_input", "surfactant_input")
OUTPUTS = ("drug_loading", "encapsulation", "diameter")
GOALS = (Objective("drug_loading"), Objective("encapsulation"), Objective("diameter", "minimize"))
WISHES = Desirability(
    (Desirable("drug_loading", 0.02, 0.2), Desirable("encapsulation", 0.2, 0.65), Desirable("diameter", 3.0, 0.4))
)
#: Evaluations after which it is noted what has been found.
AFTER = (20, 50, 100)
#: Seeds of a method that takes minutes for each.
SLOW_SEEDS = {"baybe": 2}
METHODS = {
    "front": ("theoros", "random", "tpe", "nsga2", "baybe"),
    "desirability": ("theoros", "desired_column", "random", "tpe"),
}
PACKAGES = {"tpe": "optuna", "nsga2": "optuna", "baybe": "baybe"}


def written(data: Path, folder: Path) -> tuple[Path, Array]:
    """The table with its columns' names, which the source lacks, and its outputs (n x 3)."""
    source = data / "reactions/lnp3/data.csv"
    if not source.is_file():
        sys.exit(f"there is no {source}. --data names the folder that has reactions/lnp3/data.csv.")
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    values = np.array([row[len(INPUTS) :] for row in rows], dtype=np.float64)
    desired = _desired(values).tolist()
    target = folder / "lnp3.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*INPUTS, *OUTPUTS, "desired"])
        writer.writerows([*row, repr(value)] for row, value in zip(rows, desired, strict=True))
    return target, values


def competitor(table: Path, question: str, name: str) -> Method:
    """A method with the campaign's own defaults."""
    own = {"maximize": list(OUTPUTS[:2]), "minimize": OUTPUTS[2]}
    wishes = {"desirability": {wish.output: {"low": wish.low, "high": wish.high} for wish in WISHES.wishes}}
    asked: dict[str, Any] = own if question == "front" else wishes
    if name == "desired_column":
        asked = {"maximize": "desired", "record": list(OUTPUTS)}
    spec: dict[str, Any] = {
        "campaign": "formulations",
        "question": asked,
        "oracle": {"lookup": {"file": str(table), "outputs": {name: name for name in (*OUTPUTS, "desired")}}},
        "budget": {"labels": max(AFTER)},
        "workers": {"lookahead": 0},
    }
    if name != "baybe":
        known = "theoros" if name == "desired_column" else name
        return replace(methods(spec_from_dict(spec), table.parent, [known], slots=1)[0], name=name)
    from benchmarks.peer_baybe_front import BayBEChooser

    return replace(methods(spec_from_dict(spec), table.parent, ["random"], slots=1)[0], name=name, start=BayBEChooser)


def measure(data: Path, question: str, name: str, seed: int) -> dict[str, Any]:
    """One simulation, in this process and in one thread."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        table, values = written(data, Path(folder))
        plan = with_seed((method := competitor(table, question, name)).plan, seed)
        steps = simulate(plan, cheap_oracle(plan), method.start(plan), duration=pretended(plan, seed))
    found = _volumes(steps, values) if question == "front" else _desirabilities(steps, name, values)
    seconds = float(np.median([step.decision_seconds for step in steps]))
    return {**{f"after_{n}": round(found[n - 1], 5) for n in AFTER}, "seconds_per_decision": f"{seconds:.3g}"}


def _volumes(steps: Sequence[Step], values: Array) -> list[float]:
    """The share of the table's hypervolume after each step."""
    utilities = np.column_stack([goal.utility(values[:, i]) for i, goal in enumerate(GOALS)])
    worst = utilities.min(0)
    whole = volumes([(row, True) for row in utilities.tolist()], worst)[-1]
    judged = [[float(g.utility(v)) for g, v in zip(GOALS, step.values, strict=True)] for step in steps]
    return [volume / whole for volume in volumes([(row, True) for row in judged], worst)]


def _desirabilities(steps: Sequence[Step], name: str, values: Array) -> list[float]:
    """The share of the table's largest desirability after each step."""
    told = np.array([step.values for step in steps])
    found = told[:, 0] if name == "desired_column" else _desired(told)
    shares: list[float] = (np.maximum.accumulate(found) / _desired(values).max()).tolist()
    return shares


def _desired(values: Array) -> Array:
    """The desirability (n) of outputs ``n x 3``."""
    return WISHES.of(dict(zip(OUTPUTS, values.T, strict=True)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with reactions/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--questions", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--methods", nargs="*", help="some of them only")
    options = parser.parse_args(arguments)
    compared = [(q, m) for q in options.questions for m in METHODS[q] if m in (options.methods or METHODS[q])]
    for seed in range(options.seeds):
        for question, name in compared:
            if seed < SLOW_SEEDS.get(name, options.seeds) and not TABLE.has(question=question, method=name, seed=seed):
                figures = apart(measure, options.data, question, name, seed)
                load = round(os.getloadavg()[0], 1)
                packages = ["botorch", *([PACKAGES[name]] if name in PACKAGES else [])]
                TABLE.append(packages, question=question, method=name, seed=seed, **figures, load=load)
    rows = TABLE.rows()
    for question, name in compared:
        where = {"question": question, "method": name}
        told = [f"{n}: {spread(column(rows, f'after_{n}', **where))}" for n in AFTER]
        print(f"{question:12} {name:14} {'  '.join(told)}  {spread(column(rows, 'seconds_per_decision', **where))} s")


if __name__ == "__main__":
    main()
