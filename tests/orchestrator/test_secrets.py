"""Secrets of URLs reach nobody, files are for their owner, and what a database or a file holds is data and no more."""

from __future__ import annotations

import io
import logging
import os
import stat
from pathlib import Path

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from tests.db.conftest import Make
from theoros.db import Store, StoreError
from theoros.db import types as column_types
from theoros.db.artifacts import ArtifactStore
from theoros.db.backup import backup, manifest_of
from theoros.db.engine import safe_url
from theoros.db.errors import ArtifactNotFound, DatabaseUnreachable
from theoros.db.patience import Patience
from theoros.db.transfer import migrate_database
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.app import app
from theoros.orchestrator.report.console import headed, plain_console
from theoros.orchestrator.report.final import print_rows
from theoros.orchestrator.spec import load
from theoros.orchestrator.spec.campaign import Retries
from theoros.orchestrator.spec.errors import SpecError
from theoros.workers import spool
from theoros.workers.messages import Outcome

SECRET = "hunter2"
SPEC = {
    "campaign": "bench",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 3},
    "acquisition": "random",
    "seed": 4,
}


@pytest.fixture
def secret_url(postgres_url: str) -> str:
    """A database with a password in its URL, which the server does not ask for."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE postgres PASSWORD '{SECRET}'")
    return postgres_url.replace("postgres:@", f"postgres:{SECRET}@")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_command_prints_a_password_and_none_stores_one(secret_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THEOROS_DATABASE", secret_url)
    said = []

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        said.append(f"{result.output}{result.exception!s}")
        return result.output

    with Store(secret_url, artifacts=tmp_path / "artifacts") as store:
        campaign = Campaign(SPEC, store, base=tmp_path)
        campaign.tell(campaign.ask(), 1.0)
        store.set_state("bench", "running")
        for command in ("status", "show bench", "top bench", "doctor", "db check", "db backup copy.db", "run --help"):
            run(*command.split())
        run("query", "SELECT nothing FROM nowhere")
        run("show", "nobody")
        run("db", "migrate", "copy.db", secret_url)
        assert "--database postgresql://postgres:***@" in run("stop", "bench")
        tables = store.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for table in tables["table_name"]:
            assert SECRET not in store.query(f'SELECT * FROM "{table}"').to_string()
    assert [words for words in said if SECRET in words] == []
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_an_absence_is_told_without_the_password(secret_url, caplog):
    gone = secret_url.replace("/theoros_", "/never_there_")
    seen = []
    with Store(secret_url) as store:
        patiently = Patience(store, away=seen.append)

        def call() -> None:
            patiently.give_up()
            Store(gone)

        with pytest.raises(DatabaseUnreachable) as caught:
            patiently(call)
        logging.getLogger("theoros").warning("%s %r", caught.value, store)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {seen} {caplog.text}"


@pytest.mark.parametrize(
    "url", ["postgresql:ann:hunter2@host/name", "postgres:ann:hunter2@host/name", "postgresql+psycopg:/ann:hunter2@h/n"]
)
def test_a_url_that_lacks_a_slash_is_no_file_name(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="slashes are missing") as caught:
        Store(url)
    assert SECRET not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://ann:hunter2@host/folder", "https://host/folder?token=hunter2"])
def test_a_password_in_the_url_of_artifacts_is_hidden(url):
    store = ArtifactStore(url)
    assert SECRET not in f"{store!r} {store.safe_url}"
    assert "host/folder" in store.safe_url


def test_a_missing_artifact_is_told_without_the_password(monkeypatch, tmp_path):
    store = ArtifactStore(tmp_path / "a")
    monkeypatch.setattr(store, "url", "ftp://ann:hunter2@host/folder")
    store._fs, store._root = ArtifactStore(tmp_path / "a")._open(), str(tmp_path / "a")
    with pytest.raises(ArtifactNotFound, match="ftp://host/folder") as caught:
        store.get("0" * 64)
    assert SECRET not in str(caught.value)


def test_a_password_with_odd_characters_is_hidden_too():
    url = "postgresql://ann:p%40ss%2Fw%3Ard@host/name?sslpassword=p%40ss"
    assert not {"p%40ss", "p@ss"} & set(safe_url(url).replace("/", " ").replace("@", " ").split())
    assert safe_url(url).startswith("postgresql://ann:***@host/name")


# -- files -------------------------------------------------------------------------------------------------------------


def test_what_the_engine_keeps_is_for_its_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        with Store(tmp_path / "t.db") as store:
            name = store.create_campaign("reactor", goal="optimize", spec={}, seed=7).name
            store.enqueue(name, [Make.decision(1)], required_outputs=["y"])
            (claim,) = store.claim(name, worker="w")
            store.complete(claim.token, Make.answer(1.0, forces=np.ones((100, 3))))
            backup(tmp_path / "t.db", tmp_path / "copy.db")
            migrate_database(tmp_path / "t.db", tmp_path / "moved.db")
            spool.write(tmp_path / "spool", Outcome("t", "high", values={"y": 1.0}))
            kept = [*tmp_path.glob("*.db*"), *tmp_path.rglob("*.json")]
            kept += [path for folder in tmp_path.glob("*.artifacts") for path in folder.rglob("*") if path.is_file()]
            assert {path.name for path in kept} >= {"t.db", "t.db-wal", "copy.db", manifest_of(Path("copy.db")).name}
            assert len(list(tmp_path.glob("*.artifacts"))) == 3
            assert {path.name: mode(path) for path in kept if mode(path) & 0o077} == {}
            folders = [tmp_path / "spool", *tmp_path.glob("*.artifacts")]
            assert {mode(folder) for folder in folders} == {0o700}
    finally:
        os.umask(old)


def test_artifacts_are_as_readable_as_the_folder_that_they_lie_in(tmp_path):
    old = os.umask(0)
    try:
        (tmp_path / "shared").mkdir(mode=0o750)
        store = ArtifactStore(tmp_path / "shared")
        digest = store.put(b"for the group")
        (path,) = (tmp_path / "shared").rglob(digest)
        assert (mode(path), mode(path.parent)) == (0o640, 0o750)
    finally:
        os.umask(old)


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_json_that_is_larger_than_theoros_ever_writes_is_refused(backend, tmp_path, request, monkeypatch):
    url = tmp_path / "t.db" if backend == "sqlite" else request.getfixturevalue("postgres_url")
    with Store(url) as store:
        store.create_campaign("reactor", goal="optimize", spec={"note": 300 * "x"}, seed=7)
        assert store.campaign("reactor").spec == {"note": 300 * "x"}
        monkeypatch.setattr(column_types, "LARGEST_JSON", 200)
        with pytest.raises(StoreError, match="Something else has written"):
            store.campaign("reactor")


def test_json_that_is_deeper_than_python_can_go_is_refused():
    with pytest.raises(StoreError, match="cannot be read"):
        column_types.loads("[" * 200_000 + "]" * 200_000)
    with pytest.raises(StoreError, match="NaN is no JSON"):
        column_types.loads("[NaN]")


def test_a_spooled_file_that_is_too_large_to_be_an_answer_is_left_alone(tmp_path, monkeypatch):
    spool.write(tmp_path, Outcome("t", "high", values={"y": 1.0}))
    assert len(spool.read_all(tmp_path)) == 1
    monkeypatch.setattr(spool, "LARGEST_FILE", 10)
    assert spool.read_all(tmp_path) == []
    assert (tmp_path / "t.json").exists()


def test_a_campaign_file_whose_aliases_blow_up_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(10 * [f'*a{n - 1}'])}]" for n in range(1, 12)]
    (tmp_path / "laughs.yaml").write_text("\n".join(lines))
    with pytest.raises(SpecError, match="more than 1000000 values"):
        load.load_spec(tmp_path / "laughs.yaml")
    (tmp_path / "circle.yaml").write_text("campaign: &a [*a]")
    with pytest.raises(SpecError, match="recursive"):
        load.load_spec(tmp_path / "circle.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * load.LARGEST_FILE)
    with pytest.raises(SpecError, match="4 MiB are the most"):
        load.load_spec(tmp_path / "large.yaml")


@pytest.mark.parametrize("name", ["copy", "model_fields", "__class__", "backoff", "bad_answer"])
def test_a_failure_class_is_a_name_and_never_an_attribute(name):
    assert Retries().allowed(name) == 0


def test_data_is_printed_as_it_is():
    console = plain_console()
    console.file = io.StringIO()
    smiles = ["c1cc[nH]c1", "[/b]O", "c:o:c", "[bold red]N"]
    print_rows(console, [{"candidate": one, "gap [eV]": 1.0} for one in smiles], ["candidate", "gap [eV]"], "[nH]")
    console.print(headed("[nH]", ": gap [eV]"))
    printed = console.file.getvalue()
    for text in (*smiles, "gap [eV]", "[nH]: gap [eV]"):
        assert text in printed
