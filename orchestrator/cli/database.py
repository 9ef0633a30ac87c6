"""``theoros query | export | db upgrade | db check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, Database, Name

app = typer.Typer(help="The database itself.", no_args_is_help=True)


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT statement; docs/database.md lists tables and views.")],
    database: Database = DEFAULT_DATABASE,
    to: Annotated[Literal["table", "csv", "json"], typer.Option("--to", help="How to print the rows.")] = "table",
) -> None:
    """Run SQL on a connection that can only read."""
    from rich.console import Console

    from theoros.db import Store
    from theoros.orchestrator.report.final import print_table

    with Store(database, read_only=True, create=False) as store:
        frame = store.query(sql)
    if to == "csv":
        print(frame.to_csv(index=False), end="")
    elif to == "json":
        print(frame.to_json(orient="records", date_format="iso"))
    else:
        print_table(Console(), frame, f"{len(frame)} rows")


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
