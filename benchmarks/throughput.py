"""Evaluations per second through the whole path, and how soon a slot has its next evaluation after an answer.

    python -m benchmarks.throughput --n 2000 --slots 2 4 --seeds 3

The whole path is: decide (at random), queue, dispatch, evaluate, keep the answer. The oracle answers at once; a second
one takes 0.1 s, so that no engine can hide the way to the next evaluation by handing out several at once. The rate is
`n` over the time from the first evaluation's beginning to the moment when the last answer was kept; gaps are read from
what the oracle itself wrote down.

Peers: Colmena with its own executor, in threads and in processes, whose answers its user appends to a file of JSON
lines (nothing of it is durable), or flushes to the disk one by one (its queue is lost still); Optuna with a process for
each slot on the same databases, and on its journal file. The column `durable` says what a loss of power leaves.
PostgreSQL runs with its default durability, SQLite flushes every commit, and so does Optuna's journal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import logbook
from benchmarks.surroundings import apart, database
from benchmarks.table import Table, column, spread

KEYS = ("method", "database", "slots", "oracle_s", "n", "seed")
TABLE = Table("throughput", keys=KEYS)
#: Seconds that the slower oracle takes, and evaluations that it is asked for on each slot.
PACED, PACED_LABELS = 0.1, 100


@dataclass(frozen=True)
class Task:
    """One measurement: `n` evaluations on `slots` slots of an oracle that takes `seconds`."""

    url: str
    backend: str
    n: int
    slots: int
    seed: int
    seconds: float
    folder: Path

    @property
    def log(self) -> Path:
        """Where the oracle writes down what it does."""
        return self.folder / "log.csv"

    @property
    def probe(self) -> tuple[str, str]:
        """The oracle, for peers."""
        return "instant", json.dumps({"log": str(self.log), "seconds": self.seconds})


class Kept(NamedTuple):
    """How many answers were kept, and when the last was (s since 1970)."""

    stored: int
    finished: float


class AtRandom:
    """The policy of a thinker that does not think."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self) -> list[tuple[float]]:
        """A point."""
        return [(self._random.random(),)]

    def learn(self, x: object, value: float | None) -> None:
        """There is nothing to learn."""

    def refit(self) -> bool:
        """Nor to fit."""
        return False


def by_theoros(task: Task) -> Kept:
    """The engine: a campaign that chooses at random."""
    import ray

    from theoros.orchestrator.campaign import Campaign

    spec = {
        "campaign": "throughput",
        "question": {"minimize": "value"},
        "oracle": {"benchmarks.probes:instant": {"log": str(task.log), "seconds": task.seconds}},
        "budget": {"labels": task.n},
        "acquisition": "random",
        "workers": {"slots": task.slots},
        "seed": task.seed,
    }
    campaign = Campaign(spec, task.url, base=Path(__file__).parents[1])
    campaign.run()
    attempts = campaign.store.attempts("throughput")
    campaign.close()
    ray.shutdown()
    done = attempts[attempts["state"] == "done"]
    return Kept(len(done), done["ended_at"].max().timestamp())


def by_colmena_threads(task: Task) -> Kept:
    """Colmena's thinker, with its task server's workers in threads."""
    return _colmena(task, threads=True)


def by_colmena_processes(task: Task) -> Kept:
    """The same, with workers in processes."""
    return _colmena(task, threads=False)


def _colmena(task: Task, *, threads: bool) -> Kept:
    from benchmarks import peer_colmena

    thinker = peer_colmena.run(
        lambda: AtRandom(task.seed),
        task.n,
        task.slots,
        task.probe,
        task.folder,
        threads=threads,
        flush=task.backend == FLUSHED,
    )
    return Kept(thinker.stored, thinker.finished)


def by_optuna(task: Task) -> Kept:
    """A process for each slot."""
    from benchmarks import peer_optuna

    return Kept(*peer_optuna.run(task.backend, task.url, task.n, task.slots, task.seed, task.probe))


class Method(NamedTuple):
    """Who does it, where answers are kept and what survives a loss of power there, and with which packages."""

    run: Callable[[Task], Kept]
    durable: dict[str, str]
    packages: tuple[str, ...]


FLUSHED = "json lines, flushed"
FILES = {"json lines": "nothing", FLUSHED: "answers"}
DATABASES = {"sqlite": "queue and answers", "postgresql": "queue and answers"}
METHODS = {
    "theoros": Method(by_theoros, DATABASES, ("ray", "sqlalchemy", "psycopg")),
    "colmena threads": Method(by_colmena_threads, FILES, ("colmena",)),
    "colmena processes": Method(by_colmena_processes, FILES, ("colmena",)),
    "optuna": Method(by_optuna, DATABASES | {"journal": "queue and answers"}, ("optuna", "sqlalchemy", "psycopg")),
}


def measure(method: Method, backend: str, n: int, slots: int, seed: int, seconds: float) -> dict[str, object]:
    """One row of figures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, database(backend, Path(name)) as url:
        task = Task(url, backend, n, slots, seed, seconds, Path(name))
        load, started = os.getloadavg()[0], time.perf_counter()
        kept = apart(method.run, task)
        whole, log = time.perf_counter() - started, logbook.read(task.log)
    if kept.stored != n:
        raise RuntimeError(f"{kept.stored} of {n} answers were kept")
    figures = {"per_second": n / (kept.finished - log["began"].min()), "whole_s": whole}
    figures |= milliseconds("gap", logbook.gaps(log))
    rounded = {key: "" if np.isnan(value) else round(value, 3) for key, value in figures.items()}
    return {"calls": len(log), **rounded, "durable": method.durable[backend], "load": round(load, 1)}


def milliseconds(name: str, gaps: np.ndarray) -> dict[str, float]:
    """Median and 99th percentile; not a number where there are no gaps."""
    median, p99 = 1000 * np.quantile(gaps, [0.5, 0.99]) if len(gaps) else (np.nan, np.nan)
    return {f"{name}_median_ms": float(median), f"{name}_p99_ms": float(p99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000, help="evaluations of the oracle that answers at once")
    parser.add_argument("--slots", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    options = parser.parse_known_args()[0]
    for seed in range(options.seeds):
        for slots in options.slots:
            for seconds, n in ((0.0, options.n), (PACED, min(options.n, PACED_LABELS * slots))):
                for name in options.methods:
                    for backend in METHODS[name].durable:
                        add_row(name, backend, n, slots, seed, seconds)
    show()


def add_row(name: str, backend: str, n: int, slots: int, seed: int, seconds: float) -> None:
    """Measure what the table lacks."""
    key = {"method": name, "database": backend, "slots": slots, "oracle_s": seconds, "n": n, "seed": seed}
    if not TABLE.has(**key):
        figures = measure(METHODS[name], backend, n, slots, seed, seconds)
        TABLE.append(METHODS[name].packages, **key, **figures)


def show() -> None:
    """What the table says, over its seeds."""
    rows = TABLE.rows()
    groups = dict.fromkeys(tuple(row[key] for key in KEYS if key != "seed") for row in rows)
    for group in groups:
        where = dict(zip([key for key in KEYS if key != "seed"], group, strict=True))
        print(
            "  ".join(f"{key} {value}" for key, value in where.items()),
            f": {spread(column(rows, 'per_second', **where))} a second; next after "
            f"{spread(column(rows, 'gap_median_ms', **where))} ms, "
            f"p99 {spread(column(rows, 'gap_p99_ms', **where))} ms",
        )


if __name__ == "__main__":
    main()
