"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _writable(path: Path | None) -> Path | None:
    """Find out before a campaign begins, and not when it has been stored, that its log can't be written."""
    from theoros.orchestrator.journal import open_private

    if path is not None:
        try:
            open_private(path).close()
        except OSError as error:
            raise typer.BadParameter(
                f"{path} cannot be written: {error.strerror}. Name a file in a folder that exists."
            ) from None
    return path


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
Log = Annotated[
    Path | None,
    typer.Option("--log", envvar="THEOROS_LOG", callback=_writable, help="Append a journal, one JSON object a line."),
]
DEFAULT_DATABASE = "theoros.db"
DEFAULT_RESULTS = Path("results")
