"""Virtual screening: the share of a library's best molecules that is found by docking six per cent of it.

    python -m benchmarks.screening --data FOLDER --seeds 5

The protocol of Graff, Shakhnovich & Coley, Chem. Sci. 12, 7866 (2021), doi:10.1039/D0SC06805E, on the 10,560 molecules
of Enamine's diversity set docked into 4UNN: one per cent at random, then five batches of one per cent, a new model for
each. `found` is the percentage of the 100 best scores among the scores that were seen (as a multiset, since the
hundredth is tied). A molecule that failed to dock costs as much as any and teaches nothing. FOLDER holds
`Enamine10k.csv.gz` (smiles) and `Enamine10k_scores.csv.gz` (smiles, score), which come from the MolPAL repository.

Every method is a surrogate, an acquisition and, for Gaussian processes, the blocks of the fingerprint; what is measured
is `theoros.models.decide`, as campaigns use it. Peers in the same run are random choice and the authors' random forest
(scikit-learn, 100 trees of depth 8, atom pairs in 2,048 bits, greedy). With `--batch 0.1` five per cent are asked in
batches of a tenth of a per cent, or of whatever is said.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from sklearn.ensemble import RandomForestRegressor

from benchmarks.table import Table, column, spread
from theoros.models import decide, registry
from theoros.models.acquisition.ucb import UpperConfidenceBound
from theoros.models.contract import Acquisition, FittedSurrogate, Surrogate
from theoros.models.data import Dataset, Point, Problem
from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.gaussian_process import TanimotoGaussianProcess
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Library

FILES = ("Enamine10k.csv.gz", "Enamine10k_scores.csv.gz")
BEST = 100
BATCHES = 5
TABLE = Table("screening", keys=("method", "seed", "batch"))


@dataclass(frozen=True)
class Pool:
    """The library and its scores, larger being better, NaN where docking failed."""

    library: Library
    candidates: tuple[Candidate, ...]
    scores: dict[str, float]
    best: NDArray[np.float64] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Pool:
        """Read both files; raises SystemExit with advice when one is missing."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise SystemExit(
                f"--data: {folder} has no {' and no '.join(missing)}. They come from the folder data of the MolPAL "
                "repository (coleygroup/molpal); name the folder that holds them."
            )
        library = Library(str(folder / FILES[0]), smiles="smiles")
        with gzip.open(folder / FILES[1], "rt", newline="") as file:
            known = {library.candidate(row["smiles"]).hash: -float(row["score"]) for row in csv.DictReader(file)}
        candidates = tuple({c.hash: c for block in library.iterate() for c in block}.values())
        return cls(
            library,
            candidates,
            {c.hash: known.get(c.hash, float("nan")) for c in candidates},
            np.sort(np.array(list(known.values())))[::-1][:BEST],
        )

    def found(self, asked: Sequence[Candidate]) -> float:
        """Per cent of the best scores among those of the molecules that were asked."""
        seen = np.array([self.scores[candidate.hash] for candidate in asked])
        last = self.best[-1]
        ties = min(int((seen == last).sum()), int((self.best == last).sum()))
        return 100 * (int((seen > last).sum()) + ties) / len(self.best)

    def dataset(self, asked: Sequence[Candidate]) -> Dataset:
        """What has been answered."""
        known = [candidate for candidate in asked if np.isfinite(self.scores[candidate.hash])]
        values = np.array([[self.scores[candidate.hash]] for candidate in known]).reshape(-1, 1)
        return Dataset(tuple(Point(candidate, "dock") for candidate in known), ("affinity",), values)

    def problem(self) -> Problem:
        """Find the molecule that binds best."""
        objectives = (Objective("affinity", "maximize"),)
        return Problem("optimize", self.library, ("affinity",), objectives, ("dock",), (1.0,))


#: Chooses the next batch: (pool, asked so far, how many, seed) to candidates.
Chooser = Callable[[Pool, Sequence[Candidate], int, int], Sequence[Candidate]]


@dataclass
class Theoros:
    """A surrogate and an acquisition as the engine runs them, each model going on from the last."""

    surrogate: Surrogate
    acquisition: Acquisition
    model: FittedSurrogate | None = None

    def __call__(self, pool: Pool, asked: Sequence[Candidate], n: int, seed: int) -> Sequence[Candidate]:
        """Fit, propose, select."""
        problem, dataset = pool.problem(), pool.dataset(asked)
        seen = {candidate.hash for candidate in asked}
        self.model = self.surrogate.fit(problem, dataset, seed=derived_seed(seed, "fit"), previous=self.model)
        proposals = decide.propose(
            problem,
            [registry.proposer("library")],
            dataset,
            self.model,
            self.acquisition,
            pending=(),
            seen=seen,
            n=n,
            seed=derived_seed(seed, "propose"),
        )
        choices = decide.select(
            problem,
            proposals,
            dataset,
            self.model,
            self.acquisition,
            pending=(),
            seen={(key, "dock") for key in seen},
            n=n,
            seed=derived_seed(seed, "select"),
        )
        return [choice.point.candidate for choice in choices]


def at_random(pool: Pool, asked: Sequence[Candidate], n: int, seed: int) -> Sequence[Candidate]:
    """Molecules that were not asked, all alike."""
    left = _left(pool, asked)
    return [left[i] for i in np.random.default_rng(seed).permutation(len(left))[:n]]


def published_forest(pool: Pool, asked: Sequence[Candidate], n: int, seed: int) -> Sequence[Candidate]:
    """The best predictions of the authors' random forest."""
    dataset, left = pool.dataset(asked), _left(pool, asked)
    forest = RandomForestRegressor(n_estimators=100, max_depth=8, random_state=seed)
    forest.fit(_pairs([point.candidate for point in dataset.points]), dataset.values[:, 0])
    return [left[i] for i in np.argsort(-forest.predict(_pairs(left)), kind="stable")[:n]]


def _left(pool: Pool, asked: Sequence[Candidate]) -> list[Candidate]:
    seen = {candidate.hash for candidate in asked}
    return [candidate for candidate in pool.candidates if candidate.hash not in seen]


def _pairs(candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    generator = rdFingerprintGenerator.GetAtomPairGenerator(fpSize=2048, minDistance=1, maxDistance=3)
    found = [generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(str(c.data["smiles"]))) for c in candidates]
    return np.stack(found).astype(np.float32)


def _engine(surrogate: str, acquisition: str) -> Callable[[], Chooser]:
    return lambda: Theoros(registry.surrogate(surrogate), registry.acquisition(acquisition))


def _process(acquisition: Acquisition | str = "ucb", **blocks: int) -> Callable[[], Chooser]:
    chosen = registry.acquisition(acquisition) if isinstance(acquisition, str) else acquisition
    return lambda: Theoros(TanimotoGaussianProcess(encoder=FingerprintEncoder(**blocks)), chosen)


METHODS: dict[str, Callable[[], Chooser]] = {
    "random": lambda: at_random,
    "scikit-learn forest, greedy": lambda: published_forest,
    "tanimoto_gp, ucb": _engine("tanimoto_gp", "ucb"),
    "tanimoto_gp, ucb, no descriptors": _process(levels=0),
    "tanimoto_gp, ucb, no pairs": _process(pairs=0),
    "tanimoto_gp, ucb, no environments": _process(columns=0),
    "tanimoto_gp, ucb, composition and environments": _process(pairs=0, levels=0),
    "tanimoto_gp, ucb, environments only": _process(pairs=0, levels=0, composition=0),
    "tanimoto_gp, ucb 0.5": _process(UpperConfidenceBound(beta=0.5)),
    "tanimoto_gp, log_ei": _engine("tanimoto_gp", "log_ei"),
    "tanimoto_gp, thompson": _engine("tanimoto_gp", "thompson"),
    "tanimoto_gp, greedy": _engine("tanimoto_gp", "greedy"),
    "random_forest, ucb": _engine("random_forest", "ucb"),
    "deep_ensemble, ucb": _engine("deep_ensemble", "ucb"),
    "message_passing, ucb": _engine("message_passing", "ucb"),
    "message_passing, greedy": _engine("message_passing", "greedy"),
}


def measure(pool: Pool, method: str, seed: int, batch: float) -> None:
    """One run of a method: a row of the table."""
    share = len(pool.candidates) / 100
    first, n, in_all = round(share), max(1, round(batch * share)), round((1 + BATCHES) * share)
    started, choose, seconds = time.process_time(), METHODS[method](), []
    asked = list(at_random(pool, [], first, derived_seed(seed, "start")))
    course = [pool.found(asked)]
    while len(asked) < in_all:
        before = time.process_time()
        asked += choose(pool, asked, min(n, in_all - len(asked)), derived_seed(seed, "batch", len(asked)))
        seconds.append(time.process_time() - before)
        course.append(pool.found(asked))
    ends = np.linspace(0, len(course) - 1, BATCHES + 1).round().astype(int)
    TABLE.append(
        ("torch", "botorch", "gpytorch", "rdkit", "scikit-learn"),
        method=method,
        seed=seed,
        batch=batch,
        asked=len(asked),
        found=course[-1],
        course=" ".join(f"{course[end]:g}" for end in ends),
        cpu_seconds_per_batch=round(float(np.mean(seconds)), 2),
        cpu_seconds=round(time.process_time() - started, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with Enamine10k.csv.gz and Enamine10k_scores.csv.gz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=float, default=1.0, help="molecules of a batch, per cent of the library")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    chosen = parser.parse_known_args()[0]
    if chosen.data is None:
        raise SystemExit("--data: name the folder that holds " + " and ".join(FILES) + "; they are not shipped.")
    torch.set_num_threads(1)
    pool = Pool.read(chosen.data)
    for seed in range(chosen.seeds):
        for method in chosen.methods:
            if not TABLE.has(method=method, seed=seed, batch=chosen.batch):
                measure(pool, method, seed, chosen.batch)
    for method in chosen.methods:
        found = column(TABLE.rows(), "found", method=method, batch=chosen.batch)
        seconds = column(TABLE.rows(), "cpu_seconds_per_batch", method=method, batch=chosen.batch)
        print(
            f"{method:40} {np.mean(found):5.1f} ({np.std(found, ddof=min(1, len(found) - 1)):.1f})  {spread(seconds)} s"
        )


if __name__ == "__main__":
    main()
