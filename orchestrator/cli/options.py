"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Database = Annotated[
    str,
    typer.Option("--database", "-d", envvar="THEOROS_DATABASE", help="Path of a SQLite file, or postgresql:// URL."),
]
Name = Annotated[str, typer.Argument(help="The campaign's name.")]
Results = Annotated[
    Path, typer.Option("--results", help="Folder for plots; each campaign gets a folder of its own in it.")
]
Address = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to join, for example 'auto'. Default: a local one.")
]
DEFAULT_DATABASE = "theoros.db"
DEFAULT_RESULTS = Path("results")
