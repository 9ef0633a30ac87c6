"""Printing what a database holds as it is."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def plain_console() -> Console:
    """A console to which data is data: ``[nH]`` in a SMILES is no markup, and ``:o:`` no emoji."""
    return Console(markup=False, emoji=False, highlight=False)


def headed(name: str, rest: str) -> Text:
    """A line that begins with a name in bold."""
    return Text.assemble((name, "bold"), rest)
