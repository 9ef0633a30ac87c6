"""``theoros query | export | db upgrade | check | backup | restore | migrate | grant | views``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, Database, Name

if TYPE_CHECKING:
    from theoros.db.transfer import CopyReport

Artifacts = Annotated[bool, typer.Option("--artifacts/--no-artifacts", help="Copy large arrays too.")]
app = typer.Typer(help="The database itself.", no_args_is_help=True)


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT statement; docs/database.md lists tables and views.")],
    database: Database = DEFAULT_DATABASE,
    to: Annotated[Literal["table", "csv", "json"], typer.Option("--to", help="How to print the rows.")] = "table",
) -> None:
    """Run SQL on a connection that can only read."""
    from theoros.db import Store
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.final import print_table

    with Store(database, read_only=True, create=False) as store:
        frame = store.query(sql)
    if to == "csv":
        print(frame.to_csv(index=False), end="")
    elif to == "json":
        print(frame.to_json(orient="records", date_format="iso"))
    else:
        print_table(plain_console(), frame, f"{len(frame)} rows")


def export(
    name: Name,
    to: Annotated[Literal["csv", "parquet", "extxyz", "ase-db"], typer.Option("--to", help="Format.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; default NAME with a fitting suffix.")
    ] = None,
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Write a campaign's labels to a file."""
    from theoros.db import Store
    from theoros.db.export import export as write

    suffix = {"csv": ".csv", "parquet": ".parquet", "extxyz": ".xyz", "ase-db": ".ase.db"}[to]
    path = output or Path(name + suffix)
    with Store(database, read_only=True, create=False) as store:
        n = write(store, name, path, to)
    print(f"{n} labels written to {path}")


@app.command("upgrade")
def upgrade(database: Database = DEFAULT_DATABASE) -> None:
    """Bring a database that an older Theoros made up to date."""
    from theoros.db import upgrade_database

    before, after = upgrade_database(database)
    print(f"The database is at revision {after} already." if before == after else f"Upgraded from {before} to {after}.")


@app.command("check")
def check(database: Database = DEFAULT_DATABASE) -> None:
    """Say whether the database can be opened and is up to date."""
    from theoros.db import Store

    with Store(database, read_only=True, create=False) as store:
        n = len(store.campaigns())
        print(f"{store.safe_url}: reachable, up to date, {n} campaign{'s' if n != 1 else ''}")


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="A new file; its manifest and its artifacts go beside it.")],
    database: Database = DEFAULT_DATABASE,
    artifacts: Artifacts = True,
) -> None:
    """Copy the database, which may be in use, into one SQLite file, and verify the copy."""
    from theoros.db.backup import backup as copy

    _report(copy(database, file, artifacts=artifacts))


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `theoros db backup` made.")],
    database: Database = DEFAULT_DATABASE,
    artifacts: Artifacts = True,
) -> None:
    """Verify a backup and copy it into a new file or an empty PostgreSQL database."""
    from theoros.db.backup import manifest_of
    from theoros.db.backup import restore as copy

    report = copy(file, database, artifacts=artifacts)
    if not manifest_of(file).is_file():
        print(f"{manifest_of(file).name} is not there: the backup was checked for damage, not for changes.")
    _report(report)


@app.command("migrate")
def migrate(
    source: Annotated[str, typer.Argument(metavar="URL_FROM", help="Path of a SQLite file, or postgresql:// URL.")],
    target: Annotated[str, typer.Argument(metavar="URL_TO", help="A new file, or an empty PostgreSQL database.")],
    artifacts: Artifacts = True,
) -> None:
    """Copy everything from one database to another, SQLite or PostgreSQL, and verify the copy."""
    from theoros.db.transfer import migrate_database

    _report(migrate_database(source, target, artifacts=artifacts))


@app.command("grant")
def grant(
    name: Annotated[str, typer.Argument(help="An existing PostgreSQL role.")],
    role: Annotated[Literal["owner", "worker", "reader"], typer.Option("--role", help="What it is to do.")],
    database: Database = DEFAULT_DATABASE,
) -> None:
    """Give a PostgreSQL role the rights that its work needs, and no others."""
    from theoros.db.roles import grant as give

    for statement in give(database, role, name):
        print(statement)


@app.command("views")
def views(database: Database = DEFAULT_DATABASE) -> None:
    """Make the labels_wide_... views anew, for campaigns run by roles that may not make views."""
    from theoros.db.migrate import remake_views

    for view in remake_views(database):
        print(view)


def _report(report: CopyReport) -> None:
    """What was copied, table by table; exit code 1 when artifacts are missing."""
    width = max(len(table.table) for table in report.tables)
    for table in report.tables:
        print(f"{table.table:<{width}}  {table.rows:>9} rows  sha256 {table.digest[:16]}")
    print(
        f"{report.rows} rows and {report.artifacts} artifacts copied from {report.source} to {report.target}; ", end=""
    )
    print("every digest is equal on both sides.")
    for name in report.running:
        print(f"Campaign '{name}' is at work: what it has done since is not in the copy.")
    if report.missing:
        print(f"{len(report.missing)} artifacts are missing at the source, {report.missing[0]} among them.")
        raise typer.Exit(1)
