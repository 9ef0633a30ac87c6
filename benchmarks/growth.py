"""Processor seconds of one decision as labels and libraries grow, and the memory that it takes.

    python -m benchmarks.growth --seeds 1
    python -m benchmarks.growth --plot

Labels are of Hartmann's function of six parameters at Sobol points. `cold_fit` is a fit that begins from nothing,
`fit` one after one more label, as a mean over the four labels that follow (the default process climbs anew at every
fourth; beyond 1,000 labels, one), and `decide` proposing and choosing one candidate.
``theoros`` is the campaign's own default, in which surrogates are rivals; the others are named surrogates and peers,
whose fit is part of their asking. Molecules are ZINC-250k's with their score on perindopril's task
(`benchmarks.pmo_oracles`), and more of them are to be made. Libraries are parquet files with six numeric columns, from
which the default chooses beside 200 labels; `open` counts its rows, and `decide` is the first decision, which reads it.

Seconds are those of the process, which other work on the machine changes little. Every point is a process of its own
with one thread, and ends when it has used ``--limit`` seconds of the processor; the next larger one is then left out.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.table import FOLDER, Table, column
from theoros.oracles.candidate import Candidate

TABLE = Table("growth", keys=("kind", "method", "size", "seed"))
DIM = 6
LABELS = (50, 200, 1_000, 5_000, 50_000)
MOLECULES = (200, 1_000, 2_000, 5_000, 10_000)
ROWS = (10_000, 1_000_000, 10_000_000)
#: Labels beside which a library is ranked.
BESIDE = 200
#: Fits over which a mean is taken, and the most labels beside which it is.
FITS, MANY = 4, 1_000
#: Labels beside which a peer decides once before it is timed.
WARM = 20
#: Rows of a library that are written at a time.
BLOCK = 500_000
METHODS = ("theoros", "gp", "variational_gp", "random_forest", "deep_ensemble", "optuna_gp", "botorch")
#: Peers, which are asked up to so many labels, and the packages whose versions a row names.
PEERS: dict[str, tuple[str, ...]] = {"optuna_gp": ("optuna", "torch"), "botorch": ("botorch", "torch")}
MOST_OF_PEERS = 1_000


def data(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sobol points of the unit cube (n x 6), and their values (n,)."""
    import torch
    from botorch.test_functions.synthetic import Hartmann

    from theoros.models.sampling import unit_quasirandom

    X = unit_quasirandom(n, DIM, seed)
    return X, np.asarray(Hartmann(dim=DIM).evaluate_true(torch.from_numpy(X)).numpy())


def by_labels(method: str, n: int, seed: int, limit: int) -> dict[str, float]:
    """One decision beside `n` labels, in this process."""
    _bounded(limit)
    if method in PEERS:
        return _peer(method, *data(n, seed), seed)
    X, y = data(_labels(n), seed)
    from theoros.oracles.spaces import Parameters, Real

    space = Parameters({f"x{i}": Real(0, 1) for i in range(DIM)})
    return _own(space, method, n, _candidates(space, X), y, seed)


def by_molecules(method: str, n: int, seed: int, limit: int) -> dict[str, float]:
    """One decision beside `n` labelled molecules, in this process."""
    _bounded(limit)
    from benchmarks.pmo import SPACE
    from benchmarks.pmo_oracles import score

    molecules = SPACE.sample(_labels(n), np.random.default_rng(seed))
    y = np.array([-score("perindopril_mpo", molecule.text) for molecule in molecules])
    return _own(SPACE, method, n, molecules, y, seed)


def by_rows(method: str, file: Path, seed: int, limit: int) -> dict[str, float]:
    """One decision over the library in `file`, in this process."""
    _bounded(limit)
    from theoros.oracles.spaces import Library

    X, y = data(BESIDE + FITS, seed)
    before, started = _memory(), time.process_time()
    space = Library(str(file))
    space.size  # noqa: B018 (opens the file)
    opened = time.process_time() - started
    return {"open": opened} | _own(space, method, BESIDE, _candidates(space, X), y, seed) | {"memory_before": before}


def _labels(n: int) -> int:
    """Labels for a cold fit to `n` and for those that follow."""
    return n + (FITS if n <= MANY else 1)


def _candidates(space: Any, X: np.ndarray) -> list[Candidate]:
    return [space.candidate({f"x{i}": value for i, value in enumerate(x)}) for x in X.tolist()]


def _own(
    space: Any, method: str, n: int, candidates: Sequence[Candidate], y: np.ndarray, seed: int
) -> dict[str, float]:
    """A cold fit to the first `n` labels, one after each of the others, and a decision."""
    from theoros.models import registry
    from theoros.models.data import Dataset, Point, Problem
    from theoros.models.objective import Objective
    from theoros.workers import modelling

    problem = Problem("optimize", space, ("value",), (Objective("value", "minimize"),), ("full",), (1.0,))
    free = method == "theoros"
    surrogate = registry.default_surrogate(problem) if free else method
    acquisition = registry.default_acquisition(problem, surrogate)
    plan = modelling.ModelPlan(
        problem,
        surrogate,
        acquisition,
        registry.default_proposers(problem),
        registry.initial_proposer(problem),
        registry.rivals(problem, acquisition) if free else (),
    )
    points = tuple(Point(candidate, "full") for candidate in candidates)
    belief: Any = None
    fits = []
    for known in range(n, len(points) + 1):
        dataset = Dataset(points[:known], ("value",), y[:known, None])
        started = time.process_time()
        belief, _ = modelling.train(plan, dataset, range(1, known + 1), seed=seed, previous=belief)
        fits.append(time.process_time() - started)
    started = time.process_time()
    asked = frozenset(point.candidate.hash for point in points)
    found = modelling.propose(plan, belief, [], asked, n=1, seed=seed)
    seen = frozenset((name, "full") for name in asked)
    chosen = modelling.select(plan, belief, found, [], seen, ("full",), n=1, seed=seed).choices
    if len(chosen) != 1:
        raise RuntimeError(f"{method} decided {len(chosen)} candidates beside {len(points)} labels, not one")
    decide = time.process_time() - started
    return {"cold_fit": fits[0], "fit": float(np.mean(fits[1:])), "decide": decide, "memory": _memory()}


def _peer(method: str, X: np.ndarray, y: np.ndarray, seed: int) -> dict[str, float]:
    """One decision; fitting is part of it, what a first call of a library costs is not."""
    from benchmarks.synthetic_methods import build
    from benchmarks.synthetic_problems import TestProblem

    labels = [(tuple(x), float(value), ()) for x, value in zip(X.tolist(), y, strict=True)]
    problem = TestProblem("growth", DIM, len(labels) + 1, 0.0, lambda u: (0.0, ()))
    for known in (labels[:WARM], labels):
        peer = build(method, problem, seed)
        peer.tell(known)
        started = time.process_time()
        peer.ask(1)
        seconds = time.process_time() - started
    return {"decide": seconds, "memory": _memory()}


def _library(folder: Path, n: int, seed: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, file = np.random.default_rng([seed, n]), folder / "library.parquet"
    schema = pa.schema([(f"x{i}", pa.float64()) for i in range(DIM)])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, n, BLOCK):
            block = rng.random((min(BLOCK, n - start), DIM))
            writer.write_table(pa.table({f"x{i}": block[:, i] for i in range(DIM)}, schema=schema))
    return file


def _bounded(limit: int) -> None:
    """Let this process end when it has used `limit` seconds of the processor, and work in one thread."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))


def _memory() -> float:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(kind: str, methods: Sequence[str], sizes: Sequence[int], seed: int, limit: int) -> None:
    """All sizes of each method, the smallest first, until one takes longer than `limit`."""
    for method in methods:
        for size in sizes:
            key = {"kind": kind, "method": method, "size": size, "seed": seed}
            if not TABLE.has(**key) and not (method in PEERS and size > MOST_OF_PEERS):
                _measured(key, limit)
            if not column(TABLE.rows(), "decide", **key):
                break


def _measured(key: dict[str, Any], limit: int) -> None:
    """One row, which has no figures where the process used more than `limit` seconds."""
    method, size, seed = key["method"], key["size"], key["seed"]
    found, note = dict[str, float](), ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            if key["kind"] == "rows":
                found = apart(by_rows, method, _library(Path(folder), size, seed), seed, limit)
            else:
                beside = by_labels if key["kind"] == "labels" else by_molecules
                found = apart(beside, method, size, seed, limit)
        except BrokenProcessPool:
            note = f"ended after {limit} processor seconds"
    _row(key, found, note)


def _row(key: dict[str, Any], found: dict[str, float], note: str) -> None:
    measured = ("open", "cold_fit", "fit", "decide", "memory_before", "memory")
    figures = {name: round(found[name], 4) if name in found else "" for name in measured}
    TABLE.append(PEERS.get(str(key["method"]), ("botorch", "torch")), **key, **figures, note=note)


def plot() -> None:
    """Draw the table: seconds against labels, and against rows with the memory."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = TABLE.rows()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for method in METHODS:
        sizes = [n for n in LABELS if column(rows, "decide", kind="labels", method=method, size=n)]
        if not sizes:
            continue
        where: list[dict[str, Any]] = [{"kind": "labels", "method": method, "size": n} for n in sizes]
        decide = [float(np.median(column(rows, "decide", **w))) for w in where]
        fit = [float(np.median(column(rows, "fit", **w) or [0.0])) for w in where]
        left.loglog(sizes, np.add(decide, fit), "o-", label=method)
    left.set(xlabel="labels", ylabel="processor seconds: fit and decide")
    left.legend()
    sizes = [n for n in ROWS if column(rows, "decide", kind="rows", size=n)]
    shown = {"open": "open, s", "decide": "decide, s", "memory": "peak memory, MiB"}
    for name, label in shown.items():
        right.loglog(sizes, [np.median(column(rows, name, kind="rows", size=n)) for n in sizes], "o-", label=label)
    right.set(xlabel="rows of the library")
    right.legend()
    figure.savefig(FOLDER / "growth.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--limit", type=int, default=300, help="processor seconds of one point")
    parser.add_argument("--most-labels", type=int, default=max(LABELS))
    parser.add_argument("--most-rows", type=int, default=max(ROWS))
    parser.add_argument("--plot", action="store_true", help="only draw what has been measured")
    options = parser.parse_known_args()[0]
    for seed in range(0 if options.plot else options.seeds):
        labels = [n for n in LABELS if n <= options.most_labels]
        measure("labels", options.methods.split(","), labels, seed, options.limit)
        measure("molecules", ["theoros"], [n for n in MOLECULES if n <= options.most_labels], seed, options.limit)
        measure("rows", ["theoros"], [n for n in ROWS if n <= options.most_rows], seed, options.limit)
    plot()


if __name__ == "__main__":
    main()
