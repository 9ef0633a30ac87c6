"""The command line. Commands import what they need when they run, so that ``theoros --help`` answers at once."""

from __future__ import annotations

import sys


def main() -> None:
    """The console script: run a command; turn the errors that people can mend into one message and an exit code."""
    from theoros.orchestrator.cli.app import app
    from theoros.orchestrator.cli.errors import report

    try:
        app()
    except Exception as error:
        sys.exit(report(error))
