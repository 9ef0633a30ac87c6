"""``theoros status | show | top | plot | report``: reading what the database holds. None of them needs the oracle."""

from __future__ import annotations

from typing import Annotated

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, DEFAULT_RESULTS, Database, Name, Results

Names = Annotated[list[str] | None, typer.Argument(help="Campaigns. Default: all of the database.")]
Number = Annotated[int, typer.Option("--number", "-n", min=1, help="How many to show.")]


def status(names: Names = None, database: Database = DEFAULT_DATABASE) -> None:
    """Campaigns: evaluations, cost, failures; who works now, rates, age of the queue, seconds per decision."""
    from theoros.db import Store
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.final import print_rows
    from theoros.orchestrator.report.status import DONE, NOW, status_rows

    with Store(database, read_only=True, create=False) as store:
        rows, console = status_rows(store, names or ()), plain_console()
        print_rows(console, rows, DONE, f"Campaigns in {store.safe_url}")
        print_rows(console, rows, NOW, "How they are doing")


def show(name: Name, database: Database = DEFAULT_DATABASE) -> None:
    """One campaign: its question, progress, pace, failures, model and last events."""
    from theoros.db import Store
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.status import print_campaign

    with Store(database, read_only=True, create=False) as store:
        print_campaign(plain_console(), store, name)


def top(name: Name, number: Number = 10, database: Database = DEFAULT_DATABASE) -> None:
    """The best labels, with what the model had predicted of them."""
    from theoros.db import Store
    from theoros.orchestrator.report.best import best_rows
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.final import print_rows

    with Store(database, read_only=True, create=False) as store:
        columns, rows = best_rows(store, name, number)
        print_rows(plain_console(), rows, columns, f"The best of {name}")


def plot(name: Name, database: Database = DEFAULT_DATABASE, results: Results = DEFAULT_RESULTS) -> None:
    """Draw progress (controls beside it), predictions, calibration and, for molecules, the best ones."""
    from theoros.db import Store
    from theoros.orchestrator.report.plots import plot_campaign

    with Store(database, read_only=True, create=False) as store:
        for path in plot_campaign(store, name, results / name):
            print(path)


def report(name: Name, database: Database = DEFAULT_DATABASE, results: Results = DEFAULT_RESULTS) -> None:
    """Write the page of a campaign over molecules (the best, a map, proposers, lineage), or of one that learns."""
    from theoros.db import Store
    from theoros.orchestrator.report.page import PAGE, write_page

    with Store(database, read_only=True, create=False) as store:
        print(write_page(store, name, results / name / PAGE))
