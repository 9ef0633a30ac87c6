"""A write happens entirely or not at all, and the server's hiccups are not the caller's."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import psycopg
import pytest
from sqlalchemy import insert, text

from theoros.db import engine as engines
from theoros.db.clock import now
from theoros.db.errors import DatabaseBusy, DatabaseFull
from theoros.db.schema import Candidate


def keep(connection, name):
    connection.execute(insert(Candidate).values(hash=name, kind="k", data={}, text=name))


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_the_server_rolled_back_is_repeated_whole(store, sqlstate):
    tries = []

    def work(connection):
        tries.append(1)
        keep(connection, f"try {len(tries)}")
        if len(tries) < 3:
            connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{sqlstate}'; END $$"))
        return len(tries)

    assert store._write(work) == 3
    assert store.query("SELECT hash FROM candidates")["hash"].tolist() == ["try 3"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_connection_that_the_server_closed_is_replaced(store, campaign, url):
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert store.campaign(campaign).name == campaign


def test_a_write_that_raises_leaves_nothing(store):
    def work(connection):
        keep(connection, "half")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        store._write(work)
    assert store.query("SELECT * FROM candidates").empty


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_lock_that_another_process_keeps_is_told(url, monkeypatch):
    from theoros.db import Store

    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    with Store(url) as store:
        other = sqlite3.connect(url, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy, match="Another process is writing"):
            store.create_campaign("one", goal="learn", spec={}, seed=0)
        assert store.campaigns() == [], "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        store.create_campaign("one", goal="learn", spec={}, seed=0)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_server_whose_disk_is_full_is_told_from_one_that_is_away(store):
    def work(connection):
        keep(connection, "half")
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'No space left' USING ERRCODE = '53100'; END $$"))

    with pytest.raises(DatabaseFull, match="Make room there"):
        store._write(work)
    assert store.query("SELECT * FROM candidates").empty


FILL = """
import resource, sys
from theoros.db import Store
from theoros.db.errors import DatabaseFull
store = Store(sys.argv[1])
size = 300_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
told = 0
for number in range(60):
    try:
        store.add_event("reactor", "note", f"{number} " + 10_000 * "x")
    except DatabaseFull:
        told += 1
        size += 200_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        store.add_event("reactor", "note", f"{number} " + 10_000 * "x")
print(told)
"""


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_quota_that_is_used_up_loses_nothing_and_what_is_repeated_happens_once(store, campaign, url):
    done = subprocess.run([sys.executable, "-c", FILL, url], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 1
    assert [int(event.message.split()[0]) for event in store.events(campaign)] == list(range(60))
    assert store.query("PRAGMA integrity_check").iloc[0, 0] == "ok"


def test_the_clock_is_the_databases_in_utc_and_milliseconds(store):
    import datetime as dt

    from sqlalchemy import select

    with store.reading() as connection:
        earlier, later = connection.execute(select(now(-90.5), now(0))).one()
    assert later.tzinfo is not None
    assert later.utcoffset() == dt.timedelta(0)
    assert later.microsecond % 1000 == 0
    assert (later - earlier).total_seconds() == pytest.approx(90.5, abs=0.5)
    assert abs(later - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)
