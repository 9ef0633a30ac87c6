"""A database moves between back ends, into a backup and back, and is the same database: every row, every bit."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.db import (
    AnswerRecord,
    CandidateRecord,
    CardRecord,
    CheckRecord,
    DecisionRecord,
    ModelVersionRecord,
    OfferRecord,
    ParentRecord,
    ScoreRecord,
    Store,
    campaigns,
    tallies,
)
from theoros.db.backup import backup, manifest_of, restore
from theoros.db.digest import digests
from theoros.db.engine import open_engine
from theoros.db.errors import CopyDiffers, DatabaseNotFound, TargetNotEmpty
from theoros.db.ranking import Ranking
from theoros.db.schema import Base
from theoros.db.transfer import migrate_database, snapshot

pytestmark = pytest.mark.usefixtures("no_environment")


@pytest.fixture
def no_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("THEOROS_ARTIFACTS", raising=False)
    monkeypatch.chdir(tmp_path)


def fill(store: Store, make) -> None:
    """Something in every table: all states, odd numbers and texts, large arrays, two campaigns."""
    spec = {"z": 1, "a": [1e-300, None, "é\u2028"], "nested": {"b": -0.0, "deep": [True]}}
    store.create_campaign("reactor", goal="optimize", spec=spec, seed=2**60)
    store.create_campaign("random", goal="optimize", spec={}, seed=7, control_of="reactor")
    token = store.acquire("reactor", host="laptop", pid=1)
    beliefs = [make.prediction(0.1, 0.2), make.prediction(float("nan"), 1.0, "z")]
    asked = [
        make.decision(
            number,
            candidate=make.candidate(number, base="K₂CO₃", tiny=5e-324, n=2**53),
            predictions=beliefs,
            acquisition_value=float("inf") if number else 0.3,
            offers=[OfferRecord("sobol", number, 5e-324), OfferRecord("K₂", 2, 0.1, 1 / 3, 0.0)],
            parents=[ParentRecord("é", "x=1"), ParentRecord("é", "")],
        )
        for number in range(8)
    ]
    store.enqueue("reactor", asked, required_outputs=["y"], owner=token)
    claims = store.claim("reactor", worker="slot-0", limit=5)
    for number, claim in enumerate(claims[:3]):
        value = (-0.0, 1 / 3, 1.7976931348623157e308)[number]
        store.complete(claim.token, make.answer(value, forces=np.full((40, 3), number), details={"n": number}))
    store.fail(claims[3].token, make.failure(retry_after=60.0))
    store.cancel("reactor", [store.evaluations("reactor")[7].evaluation_id])
    store.enqueue("random", [make.decision(1)], required_outputs=["y"])  # its answer is known already
    label = store.label_records("reactor")[0].label_id
    checks, scores = [CheckRecord(label, "y", 0.1, 0.2, 0.3)], [ScoreRecord("y", "rmse", float("nan"), 3)]
    hyperparameters = {"length": [0.5, 2]}
    version = ModelVersionRecord(1, "gp", 3, 7, 0.25, hyperparameters=hyperparameters, scores=scores, checks=checks)
    store.add_model_version("reactor", version)
    store.add_event("reactor", "note", "a\x00b", {"k": [1, 2.5]})
    store.add_card("reactor", CardRecord("sensitivities", {"x": [0.1, 2]}, 1))
    ranking = Ranking("y", "maximize", "high")
    store._write(lambda c: tallies.keep(c, campaigns.identify(c, "reactor", lock=True), ranking, every=1))
    store.release("reactor", token)


@pytest.fixture
def filled(tmp_path, make) -> Path:
    path = tmp_path / "source" / "campaigns.db"
    path.parent.mkdir()
    with Store(path) as store:
        fill(store, make)
        store.create_labels_wide("reactor")
    return path


def digests_of(url) -> dict[str, tuple[int, str]]:
    with snapshot(url) as connection:
        return {table.table: (table.rows, table.digest) for table in digests(connection)}


def labels(url, **where):
    with Store(url, read_only=True, **where) as store:
        return store.labels("reactor")


def test_the_database_of_these_tests_has_rows_in_every_table(filled):
    assert all(rows > 0 for rows, _ in digests_of(filled).values())
    assert digests_of(filled).keys() == Base.metadata.tables.keys()


def test_from_sqlite_to_postgresql_and_back_every_digest_is_the_same(filled, new_postgres_database, tmp_path):
    server = new_postgres_database()
    there = migrate_database(filled, server, target_artifacts=tmp_path / "far")
    back = migrate_database(server, tmp_path / "again.db", source_artifacts=tmp_path / "far")
    assert there.tables == back.tables
    assert digests_of(filled) == digests_of(server) == digests_of(tmp_path / "again.db")
    assert (there.artifacts, there.missing, there.rows) == (3, (), sum(rows for rows, _ in digests_of(filled).values()))
    wide = labels(filled)
    assert (
        labels(server, artifacts=tmp_path / "far").to_dict()
        == labels(tmp_path / "again.db").to_dict()
        == wide.to_dict()
    )
    with Store(server) as store:
        assert len(store.query("SELECT * FROM labels_wide_reactor")) == 3, "the views are there too"


@pytest.mark.parametrize("backend", ["postgresql", "sqlite"])
def test_a_copy_can_be_worked_with_at_once(filled, empty_url, make):
    migrate_database(filled, empty_url)
    with Store(empty_url) as store:
        (queued,) = store.claim("reactor", worker="w")
        assert store.complete(queued.token, make.answer(5.0))
        (late,) = (claim for claim in store.claims_of("reactor") if claim.worker == "slot-0")
        assert store.complete(late.token, make.answer(6.0)), "an answer that was under way is still welcome"
        store.enqueue("reactor", [make.decision(99)], required_outputs=["y"])
        store.create_campaign("new", goal="learn", spec={}, seed=1)
        store.add_event("new", "note", "hello")
        assert [e.sequence for e in store.evaluations("reactor")] == list(range(1, 10))


@pytest.mark.parametrize("backend", ["postgresql", "sqlite"])
def test_a_target_that_holds_anything_is_refused_and_stays_as_it_is(filled, url, make):
    with Store(url) as store:
        store.create_campaign("mine", goal="learn", spec={}, seed=1)
    backup(filled, filled.with_name("b.db"))
    for copy in (lambda: migrate_database(filled, url), lambda: restore(filled.with_name("b.db"), url)):
        with pytest.raises(TargetNotEmpty, match="rows in 'campaigns'"):
            copy()
    with Store(url) as store:
        assert [campaign.name for campaign in store.campaigns()] == ["mine"]


def test_a_source_that_holds_nothing_of_theoros_is_told(tmp_path, new_postgres_database):
    with pytest.raises(DatabaseNotFound, match="nothing to copy"):
        migrate_database(new_postgres_database(), tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE label_values SET value = value + 1e-9 WHERE position = 0 AND value < 1 AND value > 0",
        "UPDATE campaigns SET spec = '{}' WHERE name = 'reactor'",
        "DELETE FROM events",
        "INSERT INTO artifacts VALUES ('x', 1, 'y')",
        "UPDATE attempts SET ended_at = claimed_at WHERE ended_at IS NOT NULL",
    ],
)
def test_a_backup_that_was_tampered_with_is_not_restored(filled, tmp_path, tampering):
    backup(filled, tmp_path / "b.db")
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute(tampering).rowcount > 0
    connection.close()
    with pytest.raises(CopyDiffers, match=r"does not hold what it should"):
        restore(tmp_path / "b.db", tmp_path / "r.db")
    assert not (tmp_path / "r.db").exists()


def test_a_backup_with_a_damaged_page_is_not_restored(filled, tmp_path):
    backup(filled, tmp_path / "b.db")
    manifest_of(tmp_path / "b.db").unlink()
    with (tmp_path / "b.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(CopyDiffers, match="damaged"):
        restore(tmp_path / "b.db", tmp_path / "r.db")


def test_a_copy_that_does_not_read_back_as_it_was_written_is_undone(filled, empty_url, monkeypatch):
    from theoros.db import transfer

    copy = transfer._copy_table

    def lossy(source, target, table):
        digest = copy(source, target, table)
        if table.name == "events":
            target.execute(table.update().values(message="something else"))
        return digest

    monkeypatch.setattr(transfer, "_copy_table", lossy)
    with pytest.raises(CopyDiffers, match=r"events \(1 rows expected, 1 found\)"):
        migrate_database(filled, empty_url)
    assert all(rows == 0 for rows, _ in digests_of(empty_url).values())


def test_a_backup_is_one_private_file_and_its_artifacts(filled, tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    report = backup(filled, folder / "monday.db")
    assert (report.artifacts, report.missing) == (3, ())
    assert sorted(path.name for path in folder.iterdir()) == [
        "monday.artifacts",
        "monday.db",
        "monday.db.manifest.json",
    ]
    assert stat.S_IMODE((folder / "monday.db").stat().st_mode) == 0o600
    with pytest.raises(TargetNotEmpty, match="overwrites nothing"):
        backup(filled, folder / "monday.db")


@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
@pytest.mark.parametrize("backend", ["postgresql", "sqlite"])
def test_a_backup_of_either_back_end_restores_into_either(store, make, url, tmp_path, new_postgres_database, to):
    fill(store, make)
    shutil.copytree(tmp_path / "artifacts", store_default(url, tmp_path))
    backup(url, tmp_path / "b.db")
    shutil.rmtree(store_default(url, tmp_path))
    target = tmp_path / "restored.db" if to == "sqlite" else new_postgres_database()
    restored = restore(tmp_path / "b.db", target)
    assert digests_of(target) == digests_of(url)
    assert restored.missing == ()
    assert labels(target).to_dict() == store.labels("reactor").to_dict()


def store_default(url, tmp_path) -> Path:
    return tmp_path / ("theoros-artifacts" if "postgres" in str(url) else "campaigns.artifacts")


def test_artifacts_that_are_missing_are_named_and_the_rest_is_kept(filled, tmp_path):
    shutil.rmtree(filled.with_suffix(".artifacts"))
    report = backup(filled, tmp_path / "b.db")
    assert len(report.missing) == 3
    assert digests_of(tmp_path / "b.db") == digests_of(filled)
    assert backup(filled, tmp_path / "c.db", artifacts=False).missing == ()


@pytest.mark.parametrize("backend", ["postgresql", "sqlite"])
def test_a_backup_of_a_database_at_work_is_one_moment_of_it(store, make, url, tmp_path):
    fill(store, make)
    stop = threading.Event()

    def write() -> None:
        number = 100
        while not stop.is_set():
            store.enqueue("reactor", [make.decision(number)], required_outputs=["y"])
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            report = backup(url, tmp_path / f"{number}.db", artifacts=False)
            rows = {table.table: table.rows for table in report.tables}
            assert rows["evaluations"] == rows["decisions"], "each is committed with its decision"
    finally:
        stop.set()
        writer.join()
    with Store(url) as again:
        assert len(again.evaluations("reactor")) > rows["evaluations"] - 1, "the writer was not kept waiting"


def test_a_campaign_at_work_is_named(filled, tmp_path):
    with Store(filled) as store:
        store.acquire("reactor", host="laptop", pid=1)
    assert backup(filled, tmp_path / "b.db").running == ("reactor",)


def test_the_backup_of_a_database_of_another_version_can_be_made_and_restored(tmp_path):
    old = tmp_path / "old.db"
    connection = sqlite3.connect(old)
    connection.executescript(
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0000');"
        "CREATE TABLE artifacts (digest TEXT PRIMARY KEY, size BIGINT, media_type TEXT);"
        "CREATE TABLE runs (id INTEGER PRIMARY KEY, campaign_id INTEGER, ended_at DATETIME, lease_expires_at DATETIME);"
        "CREATE TABLE campaigns (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO campaigns VALUES (1, 'ancient');"
    )
    connection.close()
    backup(old, tmp_path / "b.db")
    report = restore(tmp_path / "b.db", tmp_path / "r.db")
    assert {table.table: table.rows for table in report.tables}["campaigns"] == 1


@pytest.fixture(scope="module")
def float_tables(tmp_path_factory, new_postgres_database):
    """Databases with one label, to which numbers can be added."""
    engines = []
    for url in (tmp_path_factory.mktemp("floats") / "f.db", new_postgres_database()):
        with Store(url) as store:
            store.create_campaign("reactor", goal="learn", spec={}, seed=0)
            store.enqueue(
                "reactor",
                [DecisionRecord(CandidateRecord("h", "parameters", {}, "h"), "high", "key", "sobol")],
                required_outputs=["z"],
            )
            (claim,) = store.claim("reactor", worker="w")
            store.complete(claim.token, AnswerRecord("oracle", "1", {}, 1.0))
        engines.append(open_engine(url, create=False))
    yield engines
    for engine in engines:
        engine.dispose()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_float_has_the_same_digest_on_both_back_ends(float_tables, numbers):
    results = set()
    for engine in float_tables:
        with engine.connect() as connection, connection.begin() as transaction:
            label = Base.metadata.tables["label_values"]
            rows = [{"label_id": 1, "output": "y", "position": n, "value": x} for n, x in enumerate(numbers)]
            connection.execute(label.insert(), rows)
            (digest,) = (table for table in digests(connection) if table.table == "label_values")
            results.add(digest)
            transaction.rollback()
    assert len(results) == 1
