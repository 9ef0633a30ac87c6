"""Opening a database: safe defaults, and refusals that say what to do."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from theoros.db import Store, StoreError, filesystem
from theoros.db.engine import open_engine, parse_url, safe_url
from theoros.db.errors import DatabaseNotFound, DatabaseUnreachable, NetworkFileSystem


def pretend_mounts(monkeypatch, tmp_path, *lines):
    mounts = tmp_path / "mounts"
    mounts.write_text("\n".join(("/dev/sda1 / ext4 rw 0 0", *lines)) + "\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "lustre", "gpfs", "fuse.sshfs"])
def test_sqlite_on_a_network_file_system_is_refused_with_advice(monkeypatch, tmp_path, kind):
    pretend_mounts(monkeypatch, tmp_path, f"server:/home {tmp_path} {kind} rw 0 0")
    with pytest.raises(NetworkFileSystem, match=rf"\({kind}\).*local disk, or use PostgreSQL"):
        Store(tmp_path / "campaigns.db")
    assert not (tmp_path / "campaigns.db").exists()


def test_a_local_disk_mounted_inside_a_network_one_is_welcome(monkeypatch, tmp_path):
    local = tmp_path / "local disk"
    local.mkdir()
    escaped = str(local).replace(" ", "\\040")
    pretend_mounts(monkeypatch, tmp_path, f"server:/home {tmp_path} nfs rw 0 0", f"/dev/sdb1 {escaped} ext4 rw 0 0")
    Store(local / "campaigns.db").close()


def test_a_link_to_a_network_file_system_is_seen_through(monkeypatch, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    pretend_mounts(monkeypatch, tmp_path, f"server:/far {tmp_path / 'far'} nfs rw 0 0")
    with pytest.raises(NetworkFileSystem):
        Store(tmp_path / "near" / "campaigns.db")


def test_a_new_database_is_its_owners_alone(tmp_path):
    path = tmp_path / "campaigns.db"
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_committed_label_survives_a_loss_of_power(tmp_path):
    engine = open_engine(tmp_path / "campaigns.db")
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@db.example/theoros",
        "postgresql+psycopg://ann:hunter2@db.example/theoros?sslpassword=hunter2",
        "postgresql://db.example/theoros?user=ann&password=hunter2",
    ],
)
def test_secrets_of_a_url_are_hidden(url):
    assert "hunter2" not in safe_url(url)
    assert "db.example/theoros" in safe_url(url)
    assert parse_url(url).drivername == "postgresql+psycopg"


def test_an_unreachable_server_is_told_without_its_password():
    with pytest.raises(DatabaseUnreachable) as caught:
        Store("postgresql://ann:hunter2@127.0.0.1:1/theoros?password=hunter2")
    seen = [caught.value, caught.value.__cause__]
    assert "hunter2" not in "".join(str(error) for error in seen)
    assert "Check the address" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (":memory:", "file or a server"),
        ("sqlite://", "file or a server"),
        ("mysql://ann:hunter2@host/name", "SQLite or PostgreSQL"),
        ("postgresql://ann:hunter2@host:port/name", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_one_that_can(url, words):
    with pytest.raises(StoreError, match=words) as caught:
        Store(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "notes.db").write_text("my notes, and not a database at all" * 100)
    with pytest.raises(DatabaseUnreachable, match="not a database"):
        Store(tmp_path / "notes.db")
    assert (tmp_path / "notes.db").read_text().startswith("my notes")


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(DatabaseNotFound, match="mkdir -p"):
        Store(tmp_path / "nowhere" / "campaigns.db")


def test_a_path_with_odd_characters_is_a_path(tmp_path):
    path = tmp_path / "50% of a?b#c.db"
    with Store(path) as store:
        store.create_campaign("one", goal="learn", spec={}, seed=0)
        assert store.query("SELECT name FROM campaigns")["name"].tolist() == ["one"]
    assert path.exists()
    with Store(path, read_only=True) as store:
        assert store.campaign("one").goal == "learn"


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, theoros.db; "
        "print([m for m in ('sqlalchemy', 'pandas', 'pyarrow', 'ase', 'alembic', 'fsspec') if m in sys.modules]); "
        "import theoros.db.store; print([m for m in ('pandas', 'pyarrow', 'ase', 'alembic') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert shown.stdout.splitlines() == ["[]", "[]"]
