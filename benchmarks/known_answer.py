"""Libraries whose answer is known: how many of the best are found by labelling five per cent?

    python -m benchmarks.known_answer --seeds 10 --libraries gfn2
    python -m benchmarks.known_answer --label --libraries hf

A library is a random sample of `oracles/data/small_molecules.smi` that an oracle of this package has labelled whole:
2,000 molecules of six to nine heavy atoms at GFN2-xTB, and 500 of six at HF/STO-3G. The question is for the smallest
gap between the highest occupied and the lowest empty orbital, in eV. The labels are in `known_answer_labels_*.csv`;
``--label`` computes those that are missing. So a run costs no chemistry, and what is measured is the engine alone:
`theoros.models.decide`, as campaigns use it.

A run starts with ten molecules at random and goes on in batches of five, with a new model for each. `top_1` and `top_5`
are the percentages found of the library's best one and five per cent, `rank` is that of the best molecule found.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rdkit import Chem

from benchmarks import screening
from benchmarks.table import FOLDER, Table, column
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry.oracle import PySCFOracle, XTBOracle
from theoros.oracles.contract import Oracle
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.spaces import Library
from theoros.oracles.spaces.starting_molecules import shipped_smiles

START, BATCH, SHARE = 10, 5, 0.05
CUMULATED = Chem.MolFromSmarts("[C,N]=C=[C,N]")
METHODS = (
    "random",
    "tanimoto_gp, log_ei",
    "tanimoto_gp, ucb",
    "random_forest, ucb",
    "deep_ensemble, ucb",
    "message_passing, ucb",
)
TABLE = Table("known_answer", keys=("library", "method", "seed"))


@dataclass(frozen=True)
class Recipe:
    """Which molecules a library has, and who labels them.

    Left out are allenes, ketenimines and carbodiimides: MMFF94 makes some of them flat, with gaps near nothing that
    their relaxed geometries don't have.
    """

    size: int
    heavy_atoms: range
    oracle: Callable[[], Oracle]

    def molecules(self) -> list[str]:
        """The library's SMILES: as many as its size, drawn without replacement with seed 0."""
        fitting = [s for s in shipped_smiles() if Chem.MolFromSmiles(s).GetNumHeavyAtoms() in self.heavy_atoms]
        drawn = [fitting[i] for i in np.random.default_rng(0).permutation(len(fitting))]
        return [s for s in drawn if not Chem.MolFromSmiles(s).HasSubstructMatch(CUMULATED)][: self.size]


RECIPES: Mapping[str, Recipe] = {
    "gfn2": Recipe(2000, range(6, 10), lambda: XTBOracle(outputs=["gap"])),
    "hf": Recipe(
        500,
        range(6, 7),
        lambda: PySCFOracle(outputs=["gap"], fidelities=[{"name": "hf", "method": "hf", "basis": "sto-3g"}]),
    ),
}


def labels_file(name: str) -> Path:
    """Where the labels of a library are: a row of `smiles` and `value` each, the value empty where there is none."""
    return FOLDER / f"known_answer_labels_{name}.csv"


def known(name: str) -> dict[str, float]:
    """The labels of a library that are stored: SMILES to eV, NaN where the oracle gave none."""
    if not labels_file(name).exists():
        return {}
    with labels_file(name).open(newline="") as file:
        return {row["smiles"]: float(row["value"] or "nan") for row in csv.DictReader(file)}


def label(name: str) -> None:
    """Compute the labels that a library lacks, and append each as soon as it is known."""
    oracle, have = RECIPES[name].oracle(), known(name)
    with labels_file(name).open("a") as file:
        if not have:
            file.write("smiles,value\n")
        for smiles in RECIPES[name].molecules():
            if smiles not in have:
                try:
                    answer = oracle.evaluate(Candidate("molecule", {"smiles": smiles}), oracle.fidelities[-1].name)
                    file.write(f"{smiles},{float(answer.values['gap']):.4f}\n")
                except (InvalidCandidate, NotConverged):
                    file.write(f"{smiles},\n")
                file.flush()


def read(name: str) -> screening.Pool:
    """A library with its labels, larger being better; raises SystemExit with advice when labels are missing."""
    values = known(name)
    if len(values) < RECIPES[name].size:
        raise SystemExit(
            f"{labels_file(name).name} has {len(values)} of {RECIPES[name].size} labels. "
            f"Compute the others with: python -m benchmarks.known_answer --label --libraries {name}"
        )
    library = Library(str(labels_file(name)), smiles="smiles")
    scores = {library.candidate(smiles).hash: -value for smiles, value in values.items()}
    candidates = tuple(candidate for block in library.iterate() for candidate in block)
    ranked = np.sort([score for score in scores.values() if not math.isnan(score)])[::-1]
    return screening.Pool(library, candidates, scores, ranked)


def best(pool: screening.Pool, share: float) -> screening.Pool:
    """The library with its best share alone to be found."""
    return replace(pool, best=pool.best[: round(share * len(pool.candidates))])


def measure(name: str, pool: screening.Pool, method: str, seed: int) -> None:
    """One run of a method: a row of the table."""
    started, choose, in_all = time.process_time(), screening.METHODS[method](), round(SHARE * len(pool.candidates))
    asked = list(screening.at_random(pool, [], START, derived_seed(seed, "start")))
    while len(asked) < in_all:
        n = min(BATCH, in_all - len(asked))
        asked += choose(pool, asked, n, derived_seed(seed, "batch", len(asked)))
    found = np.nanmax([pool.scores[candidate.hash] for candidate in asked])
    TABLE.append(
        ("torch", "botorch", "gpytorch", "rdkit", "scikit-learn"),
        library=name,
        method=method,
        seed=seed,
        labels=len(asked),
        top_1=best(pool, 0.01).found(asked),
        top_5=best(pool, 0.05).found(asked),
        rank=1 + int((pool.best > found).sum()),
        cpu_seconds=round(time.process_time() - started, 1),
    )


def report(name: str, methods: tuple[str, ...]) -> None:
    """Print means, standard deviations and how many seeds."""
    rows = [row for row in TABLE.rows() if row["library"] == name]
    for method in methods:
        texts = []
        for measured in ("top_1", "top_5", "rank", "cpu_seconds"):
            values = column(rows, measured, method=method)
            texts.append(f"{measured} {np.mean(values):6.1f} ({np.std(values, ddof=min(1, len(values) - 1)):.1f})")
        print(f"{name:5} {method:22} {'  '.join(texts)}  n = {len(values)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--libraries", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--label", action="store_true", help="compute the labels that are missing, and no more")
    chosen = parser.parse_known_args()[0]
    torch.set_num_threads(1)
    for name in chosen.libraries:
        if chosen.label:
            label(name)
            continue
        pool = read(name)
        for seed in range(chosen.seeds):
            for method in chosen.methods:
                if not TABLE.has(library=name, method=method, seed=seed):
                    measure(name, pool, method, seed)
        report(name, tuple(chosen.methods))


if __name__ == "__main__":
    main()
