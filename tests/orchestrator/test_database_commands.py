"""The commands that look after a database, and what `theoros doctor` finds in every bad state."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from theoros.db import AnswerRecord, CandidateRecord, DecisionRecord, OutputValue, Store, clock, filesystem, health
from theoros.db.errors import StoreError, TargetNotEmpty
from theoros.orchestrator.answers import spool_folder
from theoros.orchestrator.cli import doctor as doctors
from theoros.orchestrator.cli.app import app
from theoros.workers import spool
from theoros.workers.messages import Outcome


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("THEOROS_DATABASE", "THEOROS_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path):
    """A finished campaign with one large label, in the database that commands take by default."""
    with Store(tmp_path / "theoros.db") as opened:
        opened.create_campaign("reactor", goal="optimize", spec={}, seed=7)
        candidates = [CandidateRecord(f"hash{n}", "parameters", {"x": n}, f"x={n}") for n in range(3)]
        decisions = [DecisionRecord(c, "high", c.hash, "sobol") for c in candidates]
        opened.enqueue("reactor", decisions, required_outputs=["y"])
        (claim,) = opened.claim("reactor", worker="slot-0")
        opened.complete(claim.token, AnswerRecord("oracle", "1", {"y": OutputValue(np.arange(100.0))}, 1.0))
        opened.set_state("reactor", "finished")
        yield opened


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, StoreError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def doctor(name, status, *words, code=None):
    """The check of that name and status that says so; doctor's exit code is 1 exactly when something fails."""
    output = run("doctor", code=(1 if status == "fail" else 0) if code is None else code)
    lines = output.splitlines()
    found = [n for n, line in enumerate(lines) if line.startswith(f"{status:<4}  {name}: ")]
    assert found, output
    text = "\n".join(lines[found[0] : found[0] + 2])
    for word in words:
        assert word in text, output
    return text


# -- copies --


def test_a_backup_is_restored_with_its_labels(store, tmp_path):
    output = run("db", "backup", "monday.db")
    assert "label_outputs" in output
    assert "1 artifacts copied" in output
    assert "every digest is equal on both sides" in output
    assert "equal on both sides" in run("db", "restore", "monday.db", "-d", "again.db")
    with Store("again.db", read_only=True) as again:
        np.testing.assert_array_equal(again.label_records("reactor")[0].values["y"], np.arange(100.0))
    with pytest.raises(TargetNotEmpty):
        run("db", "backup", "monday.db")


def test_a_backup_that_lost_its_manifest_says_what_was_not_checked(store):
    run("db", "backup", "b.db")
    Path("b.db.manifest.json").unlink()
    assert "checked for damage, not for changes" in run("db", "restore", "b.db", "-d", "r.db")


def test_a_backup_with_missing_artifacts_is_made_and_is_an_error(store, tmp_path):
    (path,) = (tmp_path / "theoros.artifacts").rglob("*/*")
    path.unlink()
    assert "1 artifacts are missing" in run("db", "backup", "b.db", code=1)
    run("db", "backup", "c.db", "--no-artifacts")


def test_a_database_moves_to_postgresql_while_its_campaign_runs(store, postgres_url):
    store.acquire("reactor", host="laptop", pid=1)
    assert "Campaign 'reactor' is at work" in run("db", "migrate", "theoros.db", postgres_url)
    with Store(postgres_url) as there:
        assert there.count("reactor", ["done"]) == 1


def test_a_role_is_granted_what_its_work_needs(postgres_url):
    Store(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        try:
            output = run("db", "grant", "--role", "reader", "guest", "-d", postgres_url)
            assert 'GRANT SELECT ON ALL TABLES IN SCHEMA "public" TO "guest"' in output
            assert run("db", "views", "-d", postgres_url) == ""
        finally:
            connection.execute("DROP OWNED BY guest")
            connection.execute("DROP ROLE guest")


# -- doctor --


def test_where_nothing_is_wrong_every_check_is_ok(store):
    output = run("doctor")
    assert {line[:4] for line in output.splitlines()} == {"ok  "}
    installed = ("theoros", "ray", "torch", "pyscf")
    ours = ("database", "schema", "integrity", "clock", "campaigns", "attempts", "spool", "artifacts", "file system")
    for name in (*installed, *ours, "disk of the database", "disk of the spool"):
        assert f"ok    {name}: " in output


def test_a_database_that_is_not_there_yet_is_no_failure():
    doctor("database", "warn", "made by the first `theoros run`")


def test_a_server_that_does_not_answer_fails():
    result = CliRunner().invoke(app, ["doctor", "-d", "postgresql://me:secret@127.0.0.1:1/x"])
    assert result.exit_code == 1
    assert "fail  database: " in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(("revision", "mend"), [("0000", "theoros db upgrade"), ("9999", "pip install --upgrade")])
def test_a_database_of_another_version_fails(store, revision, mend):
    connection = sqlite3.connect("theoros.db")
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()
    doctor("schema", "fail", mend)


def test_sqlite_on_a_network_file_system_fails(store, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/home {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    doctor("file system", "fail", "nfs4", "postgresql://user@host/name")


@pytest.mark.parametrize("damage", [2, 45], ids=["what opening reads", "what it does not"])
def test_a_damaged_file_fails(store, tmp_path, damage):
    store.close()
    with (tmp_path / "theoros.db").open("r+b") as file:
        file.seek(damage * 4096)
        file.write(b"\xff" * 10 * 4096)
    doctor("integrity", "fail", "theoros db restore FILE")


@pytest.mark.parametrize(("offset", "words"), [(-5.0, "ahead of"), (5.0, "behind")])
def test_a_clock_that_differs_from_the_databases_is_a_warning(store, monkeypatch, offset, words):
    with monkeypatch.context() as patch, store.reading() as connection:
        patch.setattr(health, "now", lambda: clock.now(offset))
        assert health.clock_skew(connection) == pytest.approx(-offset, abs=0.5)
    monkeypatch.setattr(health, "clock_skew", lambda connection: -offset)
    doctor("clock", "warn", f"5.00 s {words} the database", "NTP")


@pytest.mark.parametrize("released", [False, True])
def test_a_campaign_marked_running_that_nobody_runs_fails(store, released):
    token = store.acquire("reactor", host="node7", pid=4242, lease_seconds=0.0)
    store.set_state("reactor", "running")
    if released:
        store.release("reactor", token)
    doctor("campaigns", "fail", "'reactor' is marked as running", "node7 (process 4242)", "theoros resume reactor")


def test_a_campaign_whose_owner_lives_is_ok(store):
    store.acquire("reactor", host="node7", pid=1)
    store.set_state("reactor", "running")
    doctor("campaigns", "ok", "1 at work")


def test_an_attempt_whose_lease_ran_out_is_a_warning(store):
    store.claim("reactor", worker="slot-3", lease_seconds=0.0)
    doctor("attempts", "warn", "number 2 of 'reactor' (slot-3", "theoros resume reactor")


def test_answers_that_were_not_taken_in_are_a_warning(store):
    (claim,) = store.claim("reactor", worker="slot-0")
    spool.write(spool_folder(store, "reactor"), Outcome(claim.token, "high", values={"y": [1.0]}))
    doctor("spool", "warn", "1 answers of 'reactor'", "theoros resume reactor")
    store.acquire("reactor", host="laptop", pid=1)
    doctor("spool", "ok")  # its owner is about to store it
    (file,) = spool_folder(store, "reactor").glob("*.json")
    os.utime(file, (time.time() - 3600,) * 2)
    doctor("spool", "warn", "1 answers of 'reactor'")


def test_an_artifact_that_is_missing_fails(store, tmp_path):
    (path,) = (tmp_path / "theoros.artifacts").rglob("*/*")
    path.unlink()
    doctor("artifacts", "fail", "1 of 1", path.name, "THEOROS_ARTIFACTS")


@pytest.mark.parametrize(("free", "status"), [(2**29, "warn"), (2**20, "fail")])
def test_a_disk_that_fills_up_is_told_in_time(store, monkeypatch, free, status):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctors.shutil, "disk_usage", lambda _: usage(2**40, 2**40 - free, free))
    doctor("disk of the database", status, "Make room")
    doctor("disk of the spool", status, "Make room")


def test_a_package_that_is_missing_fails(monkeypatch):
    monkeypatch.setattr(doctors, "REQUIRED", ("numpy", "no-such-package"))
    doctor("no-such-package", "fail", "pip install no-such-package")
