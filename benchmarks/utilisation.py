"""Busy over available time with an oracle whose times have a heavy tail, while a surrogate is refitted alongside.

    python -m benchmarks.utilisation --slots 4 8 --seeds 3

An evaluation sleeps (log-normal: median 1 s, 99th percentile 20 s) and gives Hartmann's function of six dimensions; 5 %
of the candidates fail. Which take how long is a matter of the candidate and the seed, for every method alike. All
figures are read from what the oracle itself wrote down: `use` from the first beginning to the moment when the last
decision was handed out (no engine can fill slots when there is nothing left to hand out), `use_whole` to the last end,
`use_all_up` from the moment when every slot had begun.

Peers, all with BoTorch's own Gaussian process and qLogEI: synchronous batches as large as the slots; Colmena's thinker
that fits and chooses when a slot is free ("colmena"); and the best that we could make of it ("colmena ahead"): an agent
fits all the time beside one that chooses, and one decision for each slot waits in the executor's queue.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import logbook, probes
from benchmarks.surroundings import apart, database
from benchmarks.table import Table, column, spread

KEYS = ("method", "database", "slots", "scale", "n", "seed")
TABLE = Table("utilisation", keys=KEYS)
DIM, INITIAL = 6, 12


@dataclass(frozen=True)
class Task:
    """One measurement: `n` evaluations on `slots` slots, all sleeps times `scale`."""

    url: str
    n: int
    slots: int
    seed: int
    scale: float
    folder: Path

    @property
    def log(self) -> Path:
        """Where the oracle writes down what it does."""
        return self.folder / "log.csv"

    @property
    def options(self) -> dict[str, object]:
        """The oracle's options."""
        return {"log": str(self.log), "seed": self.seed, "scale": self.scale}

    @property
    def probe(self) -> tuple[str, str]:
        """The oracle, for peers."""
        return "heavy_tailed", json.dumps(self.options)


class Ran(NamedTuple):
    """Seconds of each guided decision, and the best value."""

    seconds: list[float]
    best: float


def by_theoros(task: Task) -> Ran:
    """The engine."""
    import ray

    from theoros.orchestrator.campaign import Campaign

    spec = {
        "campaign": "utilisation",
        "question": {"minimize": "value"},
        "oracle": {"benchmarks.probes:heavy_tailed": task.options},
        "budget": {"labels": task.n},
        "initial": INITIAL,
        "workers": {"slots": task.slots},
        "seed": task.seed,
    }
    campaign = Campaign(spec, task.url, base=Path(__file__).parents[1])
    campaign.run()
    decisions = campaign.store.decisions("utilisation").drop_duplicates("sequence")
    best = float(campaign.top(1)["value"].iloc[0])
    campaign.close()
    ray.shutdown()
    return Ran(decisions.loc[decisions["model_version"].notna(), "seconds"].astype(float).tolist(), best)


def by_batches(task: Task) -> Ran:
    """As many points as there are slots, and wait for all of them."""
    from benchmarks.peer_botorch import BoTorch

    policy, left = BoTorch(DIM, INITIAL, task.seed), task.n

    with ThreadPoolExecutor(task.slots) as pool:
        while left:
            points = policy.choose(min(task.slots, left))
            for x, value in zip(points, pool.map(lambda x: _answer(task, x), points), strict=True):
                policy.learn(x, value)
            left -= len(points)
    return Ran(policy.seconds, policy.best)


def _answer(task: Task, x: tuple[float, ...]) -> float | None:
    from theoros.oracles.failures import NotConverged

    try:
        return probes.ask(*task.probe, x)
    except NotConverged:
        return None


def by_colmena(task: Task) -> Ran:
    """A thinker that fits and chooses whenever a slot is free."""
    return _colmena(task, ahead=False)


def by_colmena_ahead(task: Task) -> Ran:
    """A thinker that fits beside, and has a decision wait for each slot."""
    return _colmena(task, ahead=True)


def _colmena(task: Task, *, ahead: bool) -> Ran:
    from benchmarks import peer_colmena

    policies = []

    def policy() -> peer_colmena.Policy:
        from benchmarks.peer_botorch import BoTorch

        policies.append(BoTorch(DIM, INITIAL, task.seed, beside=ahead))
        return policies[0]

    waiting = task.slots if ahead else 0
    peer_colmena.run(policy, task.n, task.slots, task.probe, task.folder, ahead=waiting, beside=ahead)
    return Ran(policies[0].seconds, policies[0].best)


class Method(NamedTuple):
    """Who does it, where answers are kept, and with which packages."""

    run: Callable[[Task], Ran]
    databases: tuple[str, ...]
    packages: tuple[str, ...]


METHODS = {
    "theoros": Method(by_theoros, ("sqlite", "postgresql"), ("botorch", "ray")),
    "synchronous batches": Method(by_batches, ("none",), ("botorch",)),
    "colmena": Method(by_colmena, ("json lines",), ("botorch", "colmena")),
    "colmena ahead": Method(by_colmena_ahead, ("json lines",), ("botorch", "colmena")),
}


def measure(method: Method, backend: str, n: int, slots: int, seed: int, scale: float) -> dict[str, object]:
    """One row of figures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, database(backend, Path(name)) as url:
        task = Task(url, n, slots, seed, scale, Path(name))
        load, started = os.getloadavg()[0], time.perf_counter()
        ran = apart(method.run, task)
        whole, log = time.perf_counter() - started, logbook.read(task.log)
    gaps, seconds = logbook.gaps(log), (log["ended"] - log["began"]).to_numpy()
    figures = logbook.uses(log, slots) | {
        "evaluation_median_s": float(np.median(seconds)),
        "evaluation_p99_s": float(np.quantile(seconds, 0.99)),
        "gap_median_s": float(np.median(gaps)),
        "gap_p99_s": float(np.quantile(gaps, 0.99)),
        "decision_median_s": float(np.median(ran.seconds)) if ran.seconds else np.nan,
        "best": ran.best,
        "whole_s": whole,
        "load": load,
    }
    failed = int((log["answered"] == 0).sum())
    return {"calls": len(log), "failed": failed, **{name: round(value, 4) for name, value in figures.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--per-slot", type=int, default=50, help="evaluations for each slot, on average")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks all sleeps, for a try")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    options = parser.parse_known_args()[0]
    for seed in range(options.seeds):
        for slots in options.slots:
            for name in options.methods:
                for backend in METHODS[name].databases:
                    add_row(name, backend, options.per_slot * slots, slots, seed, options.scale)
    show()


def add_row(name: str, backend: str, n: int, slots: int, seed: int, scale: float) -> None:
    """Measure what the table lacks."""
    key = {"method": name, "database": backend, "slots": slots, "scale": scale, "n": n, "seed": seed}
    if not TABLE.has(**key):
        TABLE.append(METHODS[name].packages, **key, **measure(METHODS[name], backend, n, slots, seed, scale))


def show() -> None:
    """What the table says, over its seeds."""
    rows = TABLE.rows()
    groups = dict.fromkeys(tuple(row[key] for key in KEYS if key != "seed") for row in rows)
    for group in groups:
        where = dict(zip([key for key in KEYS if key != "seed"], group, strict=True))
        print(
            "  ".join(f"{key} {value}" for key, value in where.items()),
            f": use {spread(column(rows, 'use', **where))}, whole {spread(column(rows, 'use_whole', **where))}; "
            f"{spread(column(rows, 'decision_median_s', **where))} s a decision",
        )


if __name__ == "__main__":
    main()
