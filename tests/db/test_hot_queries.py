"""What a campaign asks all the time does not grow with its history: the databases' own plans say so."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from theoros.db import Store, campaigns, overview, pulse, tallies
from theoros.db.ranking import Ranking

RANKING = Ranking("y", "maximize", "high", (("y", "<=", 9000.0),))

MANY, CAMPAIGNS, FEW, WAITING = 20_000, 100, 10, 50
ALL = MANY + CAMPAIGNS * FEW
TABLES = (
    "evaluations|attempts|labels|label_outputs|label_values|candidates|decisions|decision_predictions|decision_offers"
)
AT = "'2026-01-01 00:00:00.000000'"
BULK = {  # row number i of each table, the same on both back ends
    "candidates (id, hash, kind, data, text)": "i, 'h' || i, 'parameters', '{}', 'x'",
    "labels (id, candidate_id, fidelity, cache_key, oracle, oracle_version, cost, details, created_at)": (
        f"i, i, 'high', 'k' || i, 'o', '1', 1.0, '{{}}', {AT}"
    ),
    "label_outputs (label_id, output, unit, shape)": "i, 'y', 'eV', '[]'",
    "label_values (label_id, output, position, value)": "i, 'y', 0, (i * 7919) % 10007",
    "evaluations (id, candidate_id, fidelity, replicate, cache_key, state, priority, attempts, enqueued_at, ended_at, "
    "label_id, from_cache, campaign_id, sequence)": (
        f"i, i, 'high', 0, 'k' || i, 'done', 0, 1, {AT}, {AT}, i, i < 0, "
        f"CASE WHEN i <= {MANY} THEN 1 ELSE 2 + (i - {MANY} - 1) / {FEW} END, "
        f"CASE WHEN i <= {MANY} THEN i ELSE (i - {MANY} - 1) % {FEW} + 1 END"
    ),
    "attempts (id, evaluation_id, number, token, worker, host, state, claimed_at, lease_expires_at, cost, stdout, "
    "stderr, label_id)": f"i, i, 1, 't' || i, 'w', 'node1', 'done', {AT}, {AT}, 1.0, '', '', i",
    "decisions (id, evaluation_id, proposer, acquisition, seconds, reason, decided_at)": (
        f"i, i, 'sobol', '', 0.0, '', {AT}"
    ),
    "decision_predictions (decision_id, output, mean, std)": "i, 'y', 1.0, 0.5",
    "decision_offers (decision_id, proposer, proposals, seconds)": "i, 'sobol', 8, 0.01",
}
SEQUENCES = ("candidates", "labels", "evaluations", "attempts", "decisions")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request, tmp_path_factory, new_postgres_database) -> Iterator[Store]:
    """20,000 labels in one campaign, a few in each of a hundred others, and evaluations that wait in two."""
    from tests.db.conftest import Make

    folder: Path = tmp_path_factory.mktemp("full")
    url = str(folder / "full.db") if request.param == "sqlite" else new_postgres_database()
    with Store(url, artifacts=folder / "artifacts") as store:
        for name in ("big", "small", *(f"other {number}" for number in range(CAMPAIGNS - 1))):
            store.create_campaign(name, goal="optimize", spec={}, seed=7)

        def fill(connection) -> None:
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ALL})"
            for columns, row in BULK.items():
                statement = f"{numbers} INSERT INTO {columns} SELECT {row} FROM n"
                connection.execute(text(statement.replace(":", r"\:")))
            if request.param == "postgresql":
                for table in SEQUENCES:
                    connection.execute(text(f"SELECT setval('{table}_id_seq', {ALL})"))

        store._write(fill)
        for name in ("big", "small"):
            decisions = [Make.decision(number) for number in range(WAITING)]
            store.enqueue(name, decisions, required_outputs=["y"])
        for name in ("big", "small"):
            store._write(lambda c, name=name: tallies.keep(c, campaigns.identify(c, name, lock=True), RANKING, every=1))
        store._write(lambda connection: connection.execute(text("ANALYZE")))
        yield store


def statements(store: Store, call: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements that `call` sends, with their parameters; not those that only insert."""
    sent: list[tuple[str, Any]] = []

    def record(connection, cursor, statement, parameters, context, many):
        if not many and re.match(r"\s*(SELECT|UPDATE)", statement):
            sent.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", record)
    try:
        call()
    finally:
        event.remove(store._engine, "before_cursor_execute", record)
    assert sent
    return sent


def plans(store: Store, call: Callable[[], object]) -> list[str]:
    """How the database would answer each statement that `call` sends, as it says itself."""
    sent = statements(store, call)
    explain = "EXPLAIN QUERY PLAN " if store._engine.dialect.name == "sqlite" else "EXPLAIN "
    with store._engine.connect() as connection:
        return [
            "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
            for statement, parameters in sent
        ]


def scans(plan: str) -> list[str]:
    """The lines of a plan that read a whole large table."""
    aliases = {"e": "evaluations", "l": "labels", "k": "candidates", "v": "label_values", "o": "label_outputs"}
    lines = []
    for line in plan.splitlines():
        found = re.search(rf"Seq Scan on ({TABLES})\b|^SCAN (\w+)$", line)
        if found and (found[1] or re.fullmatch(TABLES, aliases.get(found[2], found[2]))):
            lines.append(line)
    return lines


def claim_and_answer(store: Store) -> None:
    from tests.db.conftest import Make

    (claim,) = store.claim("big", worker="w")
    assert store.claims_of("big", "w")
    assert store.started(claim.token, "node1", 1)
    assert store.complete(claim.token, Make.answer(1.0))
    (other,) = store.claim("big", worker="w")
    assert store.fail(other.token, Make.failure(retry_after=None))


QUERIES = {
    "claim, start, answer, fail": claim_and_answer,
    "count": lambda store: store.count("big", ["queued"]),
    "progress": lambda store: store.progress("big", {"high": 1.0}),
    "the best": lambda store: overview.best(store, "big", RANKING, 10),
    "pulse": lambda store: overview.pulse(store, "big"),
    "last model": lambda store: overview.last_model(store, "big"),
    "last events": lambda store: store.events("big", limit=5),
    "heartbeat": lambda store: store.heartbeat(
        "small", store.acquire("small", host="h", pid=1, lease_seconds=0.0), attempt_tokens=["t1"]
    ),
}


@pytest.mark.parametrize("what", QUERIES)
def test_what_is_asked_all_the_time_reads_no_table_whole(full, what, monkeypatch):
    monkeypatch.setattr(pulse, "RECENT", 50)  # against a history of 20,000, as 1,000 are against a long one
    for plan in plans(full, lambda: QUERIES[what](full)):
        assert scans(plan) == [], plan


def test_the_queue_is_read_in_its_order_from_an_index_of_what_waits(full):
    chosen = [plan for plan in plans(full, lambda: full.claim("big", worker="w")) if "ix_evaluations_claimable" in plan]
    assert len(chosen) == 1
    assert "Sort" not in chosen[0]
    assert "TEMP B-TREE" not in chosen[0]


def test_the_labels_of_the_last_hour_are_read_from_an_index_of_what_was_done_when(full):
    chosen = [plan for plan in plans(full, lambda: overview.pulse(full, "big")) if "ix_evaluations_done" in plan]
    assert len(chosen) == 1


def test_the_best_of_many_are_those_of_all(full):
    with full.reading() as connection:
        assert tallies.latest(connection, campaigns.identify(connection, "big")).sequence >= MANY
    kept = [float(label.values["y"]) for label in full.label_records("big") if label.values["y"] <= 9000.0]
    best = [float(label.values["y"]) for label, _ in overview.best(full, "big", RANKING, 10)]
    assert best == sorted(kept, reverse=True)[:10]


@pytest.mark.parametrize("full", ["postgresql"], indirect=True)
def test_a_plan_that_is_kept_for_all_parameters_finds_what_waits_by_the_same_index(full):
    sent = statements(full, lambda: full.claim("big", worker="w"))
    (claim,) = (statement for statement, _ in sent if "SKIP LOCKED" in statement)
    numbers = itertools.count(1)
    claim = re.sub(r"%\(\w+\)s", lambda _: f"${next(numbers)}", claim)
    with full._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        plan = "\n".join(row[0] for row in raw.execute(f"EXPLAIN (GENERIC_PLAN) {claim}"))
    assert "ix_evaluations_claimable" in plan, plan


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT candidate, value FROM best WHERE campaign = 'small' AND output = 'y' AND rank_ascending <= 5",
        "SELECT * FROM labels_long WHERE campaign = 'small' ORDER BY sequence",
        "SELECT * FROM decisions_explained WHERE campaign = 'small' ORDER BY sequence",
    ],
)
def test_what_one_campaign_found_is_read_without_the_history_of_the_others(full, sql):
    def ask() -> None:
        with full.reading() as connection:
            assert connection.execute(text(sql)).all()

    (plan,) = plans(full, ask)
    assert scans(plan) == [], plan


def test_the_counts_are_right(full, make):
    assert full.count("small", ["queued"]) == WAITING
    assert full.count("small", ["queued", "done"]) == WAITING + FEW
    assert full.count("small", []) == 0


def test_a_scan_is_recognised(full):
    """The measure of this page can fail."""
    with full.reading() as connection:
        (plan,) = plans(full, lambda: connection.execute(text("SELECT count(*) FROM attempts WHERE host = 'nowhere'")))
    assert len(scans(plan)) == 1
