"""Pools of laboratory measurements: how soon is what is good in them found, one evaluation after the other?

    python -m benchmarks.pools --data FOLDER --seeds 50

FOLDER has the folders materials/ (Liang et al., npj Comput. Mater. 7, 188 (2021): crossed_barrel.csv, p3ht.csv,
agnp.csv) and reactions/ (of Olympus and EDBO). Their protocol: repeats are averaged, two random designs begin, then
one at a time. Reactions begin as a campaign does by default. Decisions are those of `theoros simulate`, and so of a
campaign.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Table, column, spread
from theoros.orchestrator.simulate import Step, simulate
from theoros.orchestrator.simulate_methods import Method, methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.load import spec_from_dict

TABLE = Table("pools", keys=("problem", "method", "seed"))
#: The share of a pool that counts as good, and the shares of those that are to be found.
GOOD, SHARES = 0.05, (0.2, 0.5, 0.8)
#: Evaluations after which the best is noted, where the question is the best.
AFTER = (20, 50, 100)
#: Liang et al.'s best on crossed barrel: Gaussian process, Matern 5/2, a length scale each, lower confidence bound.
PUBLISHED = {"crossed_barrel": (30.5, 79.0, 164.5)}
METHODS = ("theoros", "molecules", "noisy", "random", "tpe", "forest")


@dataclass(frozen=True)
class Pool:
    """A table: its file below the data folder, the columns that are asked, the one that is measured, and the wish.

    `inputs` is empty where all other columns are; `header` are the columns' names where the file has none. With `find`
    the good designs are looked for, else the best one. `molecules` are columns of SMILES; they replace `named` inputs,
    by which other methods know the same choices.
    """

    file: str
    measured: str
    maximize: bool
    find: bool = False
    inputs: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    molecules: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def by_molecules(self) -> Pool:
        """The same pool whose choices are called by their SMILES."""
        kept = tuple(name for name in self.inputs if name not in self.named)
        return replace(self, inputs=(*self.molecules, *kept) if self.named else self.inputs)


POOLS = {
    "crossed_barrel": Pool("materials/crossed_barrel.csv", "toughness", True, find=True),
    "p3ht": Pool("materials/p3ht.csv", "Conductivity (measured) (S/cm)", True, find=True),
    "agnp": Pool("materials/agnp.csv", "loss", False, find=True),
    "buchwald_a": Pool(
        "reactions/buchwald_a/data.csv", "yield", True,
        header=("aryl_halide", "additive", "base", "ligand", "yield"),
        molecules=("aryl_halide", "additive", "base", "ligand"),
    ),
    "direct_arylation": Pool(
        "reactions/direct_arylation.csv", "yield", True,
        inputs=("Base", "Ligand", "Solvent", "Concentration", "Temp_C"),
        molecules=("Base_SMILES", "Ligand_SMILES", "Solvent_SMILES"), named=("Base", "Ligand", "Solvent"),
    ),
    "photo_pce10": Pool(
        "reactions/photo_pce10/data.csv", "degradation", False,
        header=("mat_1", "mat_2", "mat_3", "mat_4", "degradation"),
    ),
}  # fmt: skip


def averaged(pool: Pool, data: Path, folder: Path) -> tuple[Path, np.ndarray[Any, np.dtype[np.float64]]]:
    """The pool as a table with one row for each design (the mean of its distinct measurements), and these means."""
    source = data / pool.file
    if not source.is_file():
        sys.exit(f"there is no {source}. --data names the folder that has {pool.file}.")
    with source.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, fieldnames=pool.header or None))
    inputs = pool.inputs or tuple(name for name in rows[0] if name != pool.measured)
    designs: dict[tuple[str, ...], set[float]] = {}
    for row in rows:
        designs.setdefault(tuple(row[name] for name in inputs), set()).add(float(row[pool.measured]))
    means = np.array([float(np.mean(sorted(values))) for values in designs.values()])
    target = folder / Path(pool.file).with_suffix(".csv").name
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*inputs, "measured"])
        writer.writerows([*design, repr(mean)] for design, mean in zip(designs, means.tolist(), strict=True))
    return target, means


def competitor(pool: Pool, table: Path, size: int, name: str) -> Method:
    """A method on a pool, with the campaign's own defaults.

    ``molecules`` are those of a campaign whose choices of ligands and solvents say which molecules they are.
    ``noisy`` are those of an oracle that says that its answers scatter, as these measurements do; a lookup table does
    not.
    """
    spec: dict[str, Any] = {
        "campaign": "pool",
        "question": {"maximize" if pool.maximize else "minimize": "measured"},
        "oracle": {"lookup": {"file": str(table), "outputs": {"measured": "measured"}}},
        "budget": {"labels": size if pool.find else max(AFTER)},
        "workers": {"lookahead": 0},
    }
    if pool.find:
        spec["initial"] = 2
    if name == "molecules":
        spec["space"] = {"library": {"file": str(table), "exclude": ["measured"], "molecules": list(pool.molecules)}}
        return replace(methods(spec_from_dict(spec), table.parent, ["theoros"], slots=1)[0], name=name)
    if name == "noisy":
        own = methods(spec_from_dict(spec), table.parent, ["theoros"], slots=1)[0]
        problem = replace(own.plan.problem, deterministic=False)
        return replace(own, name=name, plan=replace(own.plan, problem=problem))
    if name != "forest":
        return methods(spec_from_dict(spec), table.parent, [name], slots=1)[0]
    from benchmarks.peer_forest import ForestChooser

    return replace(methods(spec_from_dict(spec), table.parent, ["random"], slots=1)[0], name=name, start=ForestChooser)


def measure(name: str, pool: Pool, data: Path, method: str, seed: int) -> None:
    """One simulation; ends when enough is found or asked."""
    with tempfile.TemporaryDirectory() as folder:
        pool = pool.by_molecules if method == "molecules" else pool
        table, means = averaged(pool, data, Path(folder))
        sign = 1.0 if pool.maximize else -1.0
        top = round(GOOD * len(means))
        limit = np.sort(sign * means)[-top] - 1e-9 * np.ptp(means)

        def hits(steps: Sequence[Step]) -> int:
            return sum(sign * step.value >= limit for step in steps)

        one = competitor(pool, table, len(means), method)
        plan = with_seed(one.plan, seed)
        steps = simulate(
            plan, cheap_oracle(plan), one.start(plan), duration=pretended(plan, seed),
            enough=(lambda found: hits(found) >= math.ceil(max(SHARES) * top)) if pool.find else None,
        )  # fmt: skip
        row: dict[str, Any] = {"problem": name, "method": method, "seed": seed, "pool": len(means), "top": top}
        found = np.cumsum([sign * step.value >= limit for step in steps])
        for share in SHARES:
            enough = found >= math.ceil(share * top)
            row[f"to_{share:.0%}"] = int(np.argmax(enough)) + 1 if pool.find and enough.any() else ""
        best = sign * np.maximum.accumulate([sign * step.value for step in steps])
        for n in AFTER:
            row[f"best_{n}"] = f"{best[n - 1]:.6g}" if len(best) >= n else ""
        row["seconds_per_decision"] = f"{np.median([step.decision_seconds for step in steps]):.3g}"
    TABLE.append(("botorch", "optuna", "scikit-learn"), **row)


def report(problems: Sequence[str], names: Sequence[str]) -> None:
    """Medians and spreads of all rows there are."""
    rows = TABLE.rows()
    for problem in problems:
        if problem in PUBLISHED:
            known = zip(SHARES, PUBLISHED[problem], strict=True)
            print(f"{problem:17} {'published':9}", *(f"to_{share:.0%} {count:g}" for share, count in known))
        for name in names:
            shown = [f"to_{share:.0%}" for share in SHARES] if POOLS[problem].find else [f"best_{n}" for n in AFTER]
            told = {key: column(rows, key, problem=problem, method=name) for key in shown}
            if any(told.values()):
                print(f"{problem:17} {name:9}", "  ".join(f"{key} {spread(values)}" for key, values in told.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with materials/ and reactions/")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--problems", default=",".join(POOLS))
    parser.add_argument("--methods", default=",".join(METHODS))
    arguments = parser.parse_args()
    problems, names = arguments.problems.split(","), arguments.methods.split(",")
    import torch

    torch.set_num_threads(1)
    for seed in range(arguments.seeds):
        for problem in problems:
            for name in names:
                possible = name != "molecules" or POOLS[problem].molecules
                if possible and not TABLE.has(problem=problem, method=name, seed=seed):
                    measure(problem, POOLS[problem], arguments.data, name, seed)
    report(problems, names)


if __name__ == "__main__":
    main()
