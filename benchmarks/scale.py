"""A thousand slots and a hundred thousand labels: does a decision, a claim or an answer cost more as history grows?

    python -m benchmarks.scale --labels 100000 --slots 1000

The slots are simulated: their evaluations sleep (log-normal, median `--median` seconds, sigma 1) in a few Ray processes
that hold hundreds of slots each. Everything else is the engine: the store, decisions by a model (a random forest
refitted as labels come, Thompson sampling over a library of 200,000 rows), claims, leases, stop rules. One row of the
table for every twentieth of the run; `scale.png` draws them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray

from benchmarks.probes import hartmann
from benchmarks.table import FOLDER, Table, column
from theoros.db import Store
from theoros.orchestrator.agents.bus import Agent
from theoros.orchestrator.agents.messages import EvaluationEnded, ModelUpdated
from theoros.orchestrator.campaign import Campaign
from theoros.workers import cluster
from theoros.workers.messages import EvaluationRequest, Outcome

ROWS, HOSTS, BINS = 200_000, 4, 20
TABLE = Table("scale", keys=("database", "surrogate", "slots", "labels", "upto"))


class Host:
    """Some hundred simulated slots in one process: every evaluation is a nap."""

    def __init__(self, median: float) -> None:
        self._median = median

    async def where(self) -> tuple[str, str, int]:
        """As `OracleSlot.place`."""
        return ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid()

    async def evaluate(self, requests: list[EvaluationRequest]) -> list[Outcome]:
        """As `OracleSlot.evaluate`, with a nap for the calculation."""
        return [await self._evaluate(request) for request in requests]

    async def _evaluate(self, request: EvaluationRequest) -> Outcome:
        seconds = self._median * math.exp(random.Random(str(request.data)).gauss(0, 1))
        await asyncio.sleep(seconds)
        x = np.array([request.data[f"x{i}"] for i in range(1, 7)])
        value = hartmann(x)
        return Outcome(
            request.token,
            request.fidelity,
            values={"value": value},
            wall_seconds=seconds,
            host=socket.gethostname(),
            pid=os.getpid(),
        )


class SimulatedSlot:
    """A slot in a `Host`; see `theoros.workers.slot.SlotActor`."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def place(self) -> Any:
        """Where the host is."""
        return asyncio.wrap_future(self._host.where.remote().future())

    def evaluate(self, requests: list[EvaluationRequest], forget: list[str]) -> Any:
        """Sleep and answer."""
        return asyncio.wrap_future(self._host.evaluate.remote(requests).future())

    async def start(self) -> None:
        """Nothing has to be built."""

    async def orphans(self) -> list[Outcome]:
        """Nothing is kept on a disk."""
        return []

    async def discard(self, tokens: list[str]) -> None:
        """Nothing is kept on a disk."""

    def cancel(self, tokens: list[str]) -> None:
        """A nap is not worth the trouble."""

    def kill(self) -> None:
        """The host is shared."""


class TimedStore(Store):
    """A store that notes what claims, answers and decisions cost, and how many labels there were then."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.labels = 0
        self.seconds: dict[str, list[tuple[int, int, float]]] = defaultdict(list)

    def _timed(self, what: str, call: Any, n: int) -> Any:
        started = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds[what].append((self.labels, n, time.perf_counter() - started))

    def claim_for(self, name: str, workers: Any, **options: Any) -> Any:
        """Timed."""
        return self._timed("claim", lambda: super(TimedStore, self).claim_for(name, workers, **options), len(workers))

    def complete_many(self, answers: Any) -> Any:
        """Timed."""
        return self._timed("answer", lambda: super(TimedStore, self).complete_many(answers), len(answers))

    def enqueue(self, name: str, decisions: Any, **options: Any) -> Any:
        """Timed."""
        return self._timed(
            "enqueue", lambda: super(TimedStore, self).enqueue(name, decisions, **options), len(decisions)
        )


class Watcher(Agent):
    """Counts labels for the clock of the store, and looks at the orchestrator's memory."""

    handles = (EvaluationEnded, ModelUpdated)

    def __init__(self, bus: Any, store: TimedStore, total: int) -> None:
        super().__init__(bus)
        self._store, self._step = store, max(1, total // BINS)
        self.marks: list[tuple[int, float, float]] = [(0, time.monotonic(), _rss())]
        self.fits: list[tuple[int, float]] = []

    async def on(self, message: Any) -> None:
        """Take note."""
        if isinstance(message, ModelUpdated):
            self.fits.append((self._store.labels, message.seconds))
            return
        self._store.labels += 1
        if self._store.labels % self._step == 0:
            self.marks.append((self._store.labels, time.monotonic(), _rss()))
            print(f"{self._store.labels} labels, {_rss():.0f} MiB", flush=True)


def _rss() -> float:
    return psutil.Process().memory_info().rss / 2**20


def measure(args: argparse.Namespace, folder: Path, database: str) -> None:
    points = np.random.default_rng(0).random((ROWS, 6)).round(6)
    header = ",".join(f"x{i}" for i in range(1, 7))
    np.savetxt(folder / "library.csv", points, delimiter=",", header=header, comments="", fmt="%.6f")
    guided = args.surrogate != "random"
    spec = {
        "campaign": f"scale-{args.surrogate}-{args.slots}-{args.labels}",
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": "Hartmann", "dim": 6, "resources": {"num_cpus": 0}}},
        "space": {"library": {"file": "library.csv"}},
        "budget": {"labels": args.labels},
        "initial": min(args.slots, args.labels // 4),
        "workers": {"slots": args.slots},
        "seed": 1,
    }
    spec |= {"surrogate": args.surrogate, "acquisition": "thompson"} if guided else {"acquisition": "random"}
    cluster.connect(None, num_cpus=2)
    options = {"num_cpus": 0, "max_concurrency": args.slots}
    hosts = [ray.remote(Host).options(**options).remote(args.median) for _ in range(HOSTS)]
    store = TimedStore(database)
    campaign = Campaign(spec, store, base=folder)
    watchers: list[Watcher] = []
    turn = iter(range(10**9))

    def watch(bus: Any, gateway: Any, plan: Any) -> Agent:
        watchers.append(Watcher(bus, store, args.labels))
        return watchers[0]

    campaign.run(companions=(watch,), start_slot=lambda resources: SimulatedSlot(hosts[next(turn) % HOSTS]))
    marks, fits = watchers[0].marks, watchers[0].fits
    decided = store.query(
        "SELECT e.sequence, d.seconds FROM decisions d JOIN evaluations e ON e.id = d.evaluation_id "
        "JOIN campaigns c ON c.id = e.campaign_id WHERE c.name = :name",
        {"name": campaign.name},
    )
    backend = "postgresql" if "postgresql" in database else "sqlite"
    for (before, began, _), (upto, ended, rss) in itertools.pairwise(marks):
        own = decided[(decided["sequence"] > before) & (decided["sequence"] <= upto)]["seconds"]
        TABLE.append(
            ("ray", "sqlalchemy"),
            database=backend,
            surrogate=args.surrogate,
            slots=args.slots,
            labels=args.labels,
            upto=upto,
            labels_per_second=round((upto - before) / (ended - began), 1),
            claim_ms=_each(store.seconds["claim"], before, upto),
            answer_ms=_each(store.seconds["answer"], before, upto),
            enqueue_ms=_each(store.seconds["enqueue"], before, upto),
            decision_ms=round(1e3 * float(own.median()), 3),
            fit_s=round(max((s for n, s in fits if before <= n <= upto), default=math.nan), 2),
            rss_mib=round(rss, 0),
        )
    store.close()
    cluster.disconnect()


def _each(calls: list[tuple[int, int, float]], before: int, upto: int) -> float:
    """Milliseconds for each evaluation of a bin, over all calls."""
    own = [(n, seconds) for labels, n, seconds in calls if before <= labels < upto]
    return round(1e3 * sum(seconds for _, seconds in own) / max(sum(n for n, _ in own), 1), 3)


def read(database: str, name: str) -> None:
    """How long the reading commands take on that database."""
    theoros = Path(sys.executable).with_name("theoros")
    for command in (["status"], ["top", name], ["show", name]):
        started = time.perf_counter()
        done = subprocess.run([theoros, *command, "--database", database], capture_output=True, text=True)
        print(f"theoros {' '.join(command)}: {time.perf_counter() - started:.2f} s, exit code {done.returncode}")


def draw() -> None:
    """All runs of the table in one figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = TABLE.rows()
    runs = sorted({(r["database"], r["surrogate"], r["slots"], r["labels"]) for r in rows})
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    for run in runs:
        where = dict(zip(("database", "surrogate", "slots", "labels"), run, strict=True))
        x = column(rows, "upto", **where)
        for axis, names in zip(
            axes, (("claim_ms", "answer_ms", "enqueue_ms"), ("decision_ms",), ("rss_mib",)), strict=True
        ):
            for name in names:
                axis.plot(x, column(rows, name, **where), label=f"{name.split('_')[0]}, {', '.join(run[:2])}")
    for axis, title in zip(axes, ("store, ms an evaluation", "ms a decision", "orchestrator, MiB"), strict=True):
        axis.set(xlabel="labels", ylabel=title, ylim=(0, None))
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(FOLDER / "scale.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--median", type=float, default=3.0, help="seconds that half of the evaluations take at most")
    parser.add_argument("--surrogate", default="random_forest", help="or 'random' for choice by chance")
    parser.add_argument("--database", default="", help="a URL; default: a SQLite file that is removed afterwards")
    args = parser.parse_args()
    backend = "postgresql" if "postgresql" in args.database else "sqlite"
    key = {"database": backend, "surrogate": args.surrogate, "slots": args.slots, "labels": args.labels}
    if not TABLE.has(**key):
        with tempfile.TemporaryDirectory() as folder:
            database = args.database or str(Path(folder) / "scale.db")
            measure(args, Path(folder), database)
            read(database, f"scale-{args.surrogate}-{args.slots}-{args.labels}")
    draw()


if __name__ == "__main__":
    main()
