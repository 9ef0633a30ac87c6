"""A query can read anything and write nothing."""

from __future__ import annotations

import pytest

from theoros.db import FailureRecord, Store, StoreError
from theoros.db.errors import QueryFailed, StoreReadOnly

WRITES = [
    "DELETE FROM campaigns",
    "INSERT INTO events (campaign_id, kind, message) VALUES (1, 'a', 'b')",
    "UPDATE campaigns SET state = 'failed'",
    "DROP TABLE labels",
    "CREATE TABLE t (a int)",
]
SQLITE_WRITES = [
    "CREATE TEMPORARY TABLE t (a int)",  # PostgreSQL allows these even to readers; they die with the connection
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "ATTACH 'other.db' AS other",
    "VACUUM INTO 'copy.db'",
]
POSTGRES_WRITES = [
    "SELECT 1; COMMIT; DROP TABLE labels",
    "COMMIT; DROP TABLE labels",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM events",
    "WITH gone AS (DELETE FROM campaigns RETURNING *) SELECT * FROM gone",
    "SELECT set_config('transaction_read_only', 'off', false), nextval('campaigns_id_seq')",
]


@pytest.mark.parametrize("sql", WRITES)
def test_a_query_cannot_write(store, campaign, sql):
    with pytest.raises(StoreReadOnly, match="may only read"):
        store.query(sql)
    assert store.campaign(campaign).state == "created"
    assert store.query("SELECT count(*) AS n FROM labels")["n"].tolist() == [0]


@pytest.mark.parametrize("sql", SQLITE_WRITES)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_query_cannot_unlock_sqlite(store, campaign, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError):
        store.query(sql)
    assert not (tmp_path / "other.db").exists()
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("sql", POSTGRES_WRITES)
@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_query_cannot_unlock_postgresql(store, campaign, sql):
    with pytest.raises(StoreError):
        store.query(sql)
    assert store.query("SELECT count(*) AS n FROM labels")["n"].tolist() == [0]
    assert store.campaign(campaign).name == campaign


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_a_query_sets_does_not_outlive_it(store, campaign):
    store.query("SET default_transaction_read_only = off")
    with pytest.raises(StoreReadOnly):
        store.query("DELETE FROM campaigns")


def test_a_query_takes_parameters_and_never_builds_sql_from_them(store, campaign):
    rows = store.query("SELECT name FROM campaigns WHERE name = :name OR name LIKE '%react%'", {"name": "x' OR 1=1 --"})
    assert rows["name"].tolist() == ["reactor"]
    assert store.query("SELECT name FROM campaigns WHERE name = :name", {"name": "x' OR '1'='1"}).empty
    assert list(store.query("SELECT name FROM campaigns WHERE 1 = 0").columns) == ["name"]


def test_a_wrong_query_is_answered_in_the_databases_words(store):
    with pytest.raises(QueryFailed, match="nowhere"):
        store.query("SELECT * FROM nowhere")
    with pytest.raises(QueryFailed, match="parameter without a value"):
        store.query("SELECT * FROM campaigns WHERE name = :name")


def test_a_query_that_takes_too_long_is_stopped(store):
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT count(*) FROM n"
    with pytest.raises(QueryFailed, match=r"longer than 0.2 s"):
        store.query(slow, timeout_seconds=0.2)


def test_a_read_only_store_reads_and_refuses_to_write(store, work, make, url):
    work.ask(1, 2)
    store.complete(work.claim().token, make.answer(2.0))
    token = work.claim().token
    with Store(url, read_only=True, artifacts=store.artifacts.url) as reader:
        assert [record.state for record in reader.evaluations(work.name)] == ["done", "running"]
        assert reader.progress(work.name, {"high": 1.0}).total("done") == 1
        assert reader.labels(work.name)["y"].tolist() == [2.0]
        assert reader.query("SELECT value FROM best")["value"].tolist() == [2.0]
        for write in (
            lambda: reader.set_state(work.name, "failed"),
            lambda: reader.complete(token, make.answer()),
            lambda: reader.fail(token, FailureRecord("a", "b", None)),
            lambda: reader.create_campaign("b", goal="learn", spec={}, seed=0),
        ):
            with pytest.raises(StoreReadOnly, match="opened for reading"):
                write()
