"""``theoros status | show | top | plot``: reading what the database holds. None of them needs the oracle."""

from __future__ import annotations

from typing import Annotated

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, DEFAULT_RESULTS, Database, Name, Results

Number = Annotated[int, typer.Option("--number", "-n", min=1, help="How many to show.")]


def status(database: Database = DEFAULT_DATABASE) -> None:
    """All campaigns of the database: state, labels, cost, worker use, seconds per decision."""
    from rich.console import Console

    from theoros.db import Store
    from theoros.orchestrator.report.final import print_table
    from theoros.orchestrator.report.status import status_table

    with Store(database, read_only=True, create=False) as store:
        print_table(Console(), status_table(store), f"Campaigns in {store.safe_url}")


def show(name: Name, database: Database = DEFAULT_DATABASE) -> None:
    """One campaign: its question, progress, failures, model and last events."""
    from rich.console import Console

    from theoros.db import Store
    from theoros.orchestrator.report.status import print_campaign

    with Store(database, read_only=True, create=False) as store:
        print_campaign(Console(), store, name)


def top(name: Name, number: Number = 10, database: Database = DEFAULT_DATABASE) -> None:
    """The best labels, with what the model had predicted of them."""
    from rich.console import Console

    from theoros.db import Store
    from theoros.orchestrator.report.best import best_labels
    from theoros.orchestrator.report.final import print_table

    with Store(database, read_only=True, create=False) as store:
        print_table(Console(), best_labels(store, name, number), f"The best of {name}")


def plot(name: Name, database: Database = DEFAULT_DATABASE, results: Results = DEFAULT_RESULTS) -> None:
    """Draw progress (controls beside it), predictions, calibration and, for molecules, the best ones."""
    from theoros.db import Store
    from theoros.orchestrator.report.plots import plot_campaign

    with Store(database, read_only=True, create=False) as store:
        for path in plot_campaign(store, name, results / name):
            print(path)
