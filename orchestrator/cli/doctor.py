"""``theoros doctor``: what is wrong here, and how to mend it. It reads, and changes nothing."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, Database

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError

    from theoros.db import Store

Status = Literal["ok", "warn", "fail"]

#: Seconds by which this machine's clock may differ from the database's.
MOST_SKEW = 2.0
#: A running campaign stores an answer within seconds; a file that is older than this was left behind.
SPOOL_PATIENCE = 600.0
#: How many artifacts are looked for.
SAMPLE = 100
#: Free bytes below which a disk is worth a warning, and below which work cannot go on.
LOW_DISK, FULL_DISK = 2**30, 100 * 2**20

REQUIRED = ("ray", "torch", "gpytorch", "botorch", "pyscf", "rdkit", "ase", "sqlalchemy", "alembic", "psycopg", "numpy")
_RESTORE = "Restore a backup: theoros db restore FILE"
OPTIONAL = ("tblite", "pyscf-dispersion", "gpu4pyscf-cuda12x")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, how it is, and what to do about it."""

    name: str
    status: Status
    detail: str
    mend: str = ""


def doctor(database: Database = DEFAULT_DATABASE) -> None:
    """Look for what is wrong with the database, its campaigns and this installation. Exit code 1 if anything is."""
    checks = list(diagnose(database))
    for check in checks:
        print(f"{check.status:<4}  {check.name}: {check.detail}")
        if check.mend:
            print(f"      {check.mend}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


def diagnose(database: str) -> Iterator[Check]:
    """All checks that can be made: those of the campaigns need a database that opens."""
    yield from packages()
    yield from _of_database(database)


def packages() -> Iterator[Check]:
    """What is installed, in which versions, without importing any of it."""
    yield Check("theoros", "ok", f"{version('theoros')}, Python {platform.python_version()}, {platform.system()}")
    for name in REQUIRED:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "fail", "not installed, and Theoros needs it", f"pip install {name}")
    for name in OPTIONAL:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "ok", "not installed; optional")


def _of_database(database: str) -> Iterator[Check]:
    from sqlalchemy.exc import DBAPIError

    from theoros.db import Store
    from theoros.db.engine import parse_url, safe_url
    from theoros.db.errors import DatabaseNotFound, NetworkFileSystem, SchemaTooNew, SchemaTooOld, StoreError
    from theoros.db.filesystem import file_system_of

    try:
        parsed = parse_url(database)
        if parsed.get_backend_name() == "sqlite":
            folder = Path(parsed.database or "").parent
            yield from _disk("disk of the database", folder)
        store = Store(database, read_only=True, create=False)
    except NetworkFileSystem as error:
        yield Check("file system", "fail", *_told(error))
        return
    except DatabaseNotFound as error:
        yield Check("database", "warn", *_told(error))
        return
    except (SchemaTooOld, SchemaTooNew) as error:
        yield Check("schema", "fail", *_told(error))
        return
    except StoreError as error:
        yield Check("database", "fail", *_told(error))
        return
    except DBAPIError as error:
        yield _unreadable(error)
        return
    with store:
        yield Check("database", "ok", f"{safe_url(parsed)} is reachable")
        if parsed.get_backend_name() == "sqlite":
            yield Check("file system", "ok", file_system_of(Path(parsed.database or "")) or "unknown")
        yield Check("schema", "ok", "up to date")
        yield from _of_contents(store)


def _of_contents(store: Store) -> Iterator[Check]:
    from sqlalchemy.exc import DBAPIError

    from theoros.db.errors import StoreError

    try:
        with store.reading() as connection:
            yield from _damage(connection)
            yield from _clock(connection)
            yield from _leaked(connection)
            yield from _stale(connection)
            yield from _spool(store, connection)
            yield from _artifacts(store, connection)
    except StoreError as error:
        yield Check("database", "fail", *_told(error))
    except DBAPIError as error:
        yield _unreadable(error)


def _damage(connection: Connection) -> Iterator[Check]:
    from theoros.db.health import damage

    found = damage(connection)
    if found is None:
        yield Check("integrity", "ok", "no damage found")
    else:
        yield Check("integrity", "fail", f"the file is damaged: {found}", _RESTORE)


def _clock(connection: Connection) -> Iterator[Check]:
    from theoros.db.health import clock_skew

    skew = clock_skew(connection)
    detail = f"this machine is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} the database"
    if abs(skew) > MOST_SKEW:
        yield Check(
            "clock", "warn", detail, "Leases go by the database's clock; logs do not. Synchronise both with NTP."
        )
    else:
        yield Check("clock", "ok", detail)


def _leaked(connection: Connection) -> Iterator[Check]:
    from theoros.db.health import campaigns_at_work, leaked_campaigns

    leaked = leaked_campaigns(connection)
    for campaign in leaked:
        age = campaign.seconds_since_heartbeat
        last = (
            "nobody has run it"
            if age is None
            else f"{campaign.host} (process {campaign.pid}) fell silent {age:.0f} s ago"
        )
        yield Check(
            "campaigns",
            "fail",
            f"'{campaign.name}' is marked as running, and {last}",
            f"theoros resume {campaign.name}",
        )
    if not leaked:
        yield Check("campaigns", "ok", f"{len(campaigns_at_work(connection))} at work, none without its owner")


def _stale(connection: Connection) -> Iterator[Check]:
    from theoros.db.health import stale_attempts

    stale = stale_attempts(connection)
    if not stale:
        yield Check("attempts", "ok", "every running attempt holds its lease")
        return
    first, names = stale[0], sorted({attempt.campaign for attempt in stale})
    detail = (
        f"{len(stale)} are marked as running and lost their lease, such as number {first.sequence} of "
        f"'{first.campaign}' ({first.worker}, {first.seconds_since_lease:.0f} s ago)"
    )
    mend = ", ".join(f"theoros resume {name}" for name in names)
    yield Check("attempts", "warn", detail, f"They are queued again when their campaign is resumed: {mend}")


def _spool(store: Store, connection: Connection) -> Iterator[Check]:
    from theoros.db.health import campaigns_at_work
    from theoros.orchestrator.answers import spool_folder

    at_work = campaigns_at_work(connection)
    names = [campaign.name for campaign in store.campaigns()]
    left = 0
    for name in names:
        newest = time.time() - (SPOOL_PATIENCE if name in at_work else 0.0)
        waiting = [path for path in spool_folder(store, name).glob("*.json") if path.stat().st_mtime <= newest]
        left += len(waiting)
        if waiting:
            yield Check(
                "spool",
                "warn",
                f"{len(waiting)} answers of '{name}' are computed and not in the database, in {waiting[0].parent}",
                f"They are taken in by: theoros resume {name}",
            )
    if not left:
        yield Check("spool", "ok", "no answer waits to be taken in")
    home = spool_folder(store, "any").parent.parent
    yield from _disk("disk of the spool", home)


def _artifacts(store: Store, connection: Connection) -> Iterator[Check]:
    from theoros.db.health import sample_artifacts

    sample = sample_artifacts(connection, SAMPLE)
    missing = [digest for digest in sample if not store.artifacts.has(digest)]
    if missing:
        yield Check(
            "artifacts",
            "fail",
            f"{len(missing)} of {len(sample)} looked for are not in {store.artifacts.safe_url}, such as {missing[0]}",
            "Copy the artifact folder beside the database, or set THEOROS_ARTIFACTS to where it is.",
        )
    else:
        yield Check("artifacts", "ok", f"{len(sample)} looked for in {store.artifacts.safe_url}, none missing")


def _disk(name: str, folder: Path) -> Iterator[Check]:
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    status: Status = "fail" if free < FULL_DISK else "warn" if free < LOW_DISK else "ok"
    mend = "" if status == "ok" else f"Make room on the disk of {folder}."
    yield Check(name, status, f"{free / 2**30:.1f} GiB free", mend)


def _unreadable(error: DBAPIError) -> Check:
    return Check("integrity", "fail", f"the database cannot be read: {error.orig}", _RESTORE)


def _told(error: Exception) -> tuple[str, str]:
    """An error's text as what is wrong and how to mend it: its last sentence says so."""
    what, _, mend = str(error).rpartition(". ")
    return (what + ".", mend) if what else (str(error), "")
