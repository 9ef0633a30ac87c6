"""The table behind `gaps.csv`: orbital gaps of small molecules at two levels of theory, by the engine's own oracle.

    python -m benchmarks.gap_table --molecules 250

Molecules are drawn from the shipped list among those of four and five heavy atoms. Both levels start from the same
geometry (GFN2-xTB's). `seconds` are those of this machine. What is there is skipped, so the table can grow.
"""

from __future__ import annotations

import argparse
import csv
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
from rdkit import Chem

from theoros.oracles.chemistry.oracle import PySCFOracle
from theoros.oracles.failures import OracleFailure

PATH = Path(__file__).with_name("gaps.csv")
LEVELS = [
    {"name": "xtb", "method": "gfn2"},
    {"name": "dft", "method": "b3lyp", "basis": "def2-svp", "density_fit": True, "grid_level": 0, "conv_tol": 1e-6},
]
SIZES = (4, 5)


def drawn(n: int) -> list[str]:
    """`n` molecules of the shipped list, in a random order that more molecules continue."""
    text = files("theoros.oracles").joinpath("data/small_molecules.smi").read_text(encoding="utf-8")
    of_size = [line for line in text.split() if Chem.MolFromSmiles(line).GetNumHeavyAtoms() in SIZES]
    order = np.random.default_rng(0).permutation(len(of_size))[:n]
    return [of_size[i] for i in order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=250)
    oracle = PySCFOracle(outputs=["gap"], fidelities=LEVELS)
    done = set()
    if PATH.exists():
        with PATH.open(newline="") as file:
            done = {row["smiles"] for row in csv.DictReader(file)}
    for smiles in drawn(parser.parse_args().molecules):
        if smiles in done:
            continue
        candidate = oracle.space.candidate({"smiles": smiles})
        row: dict[str, object] = {"smiles": smiles}
        for level in ("xtb", "dft"):
            started = time.perf_counter()
            try:
                row[level] = f"{float(oracle.evaluate(candidate, level).values['gap']):.6g}"
            except OracleFailure as failure:
                print(f"{smiles} at {level}: {failure}", flush=True)
                row[level] = ""
            row[f"{level}_seconds"] = f"{time.perf_counter() - started:.3g}"
        new = not PATH.exists()
        with PATH.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == "__main__":
    main()
