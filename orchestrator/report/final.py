"""What a run ends with: the best labels, what the control would have got, plots, and the next command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from theoros.db import Store
from theoros.orchestrator.report.best import best_labels, scorecard
from theoros.orchestrator.report.has_page import has_page
from theoros.orchestrator.report.plots import controls_of, plot_campaign
from theoros.orchestrator.report.sentences import compare, model_sentence

if TYPE_CHECKING:
    import pandas as pd

    from theoros.orchestrator.campaign import Campaign


def print_report(campaign: Campaign, console: Console, results: Path) -> None:
    """Print a campaign's ending; plots, and the page of a campaign over molecules, go to ``results/NAME``."""
    store, name = campaign.store, campaign.name
    card = scorecard(store, name)
    if card.goal == "optimize":
        print_table(console, best_labels(store, name), f"The best of {name}")
        for control in controls_of(store, name):
            console.print(compare(store, name, control), highlight=False, soft_wrap=True)
    print_model(console, store, name)
    if store.progress(name, card.cost_table).total("done"):
        for path in plot_campaign(store, name, results / name):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
        if has_page(store, name):
            from theoros.orchestrator.report.page import PAGE, write_page  # seconds, which other campaigns need not pay

            path = write_page(store, name, results / name / PAGE)
            console.print(f"report: {path}", highlight=False, soft_wrap=True)
    database = "" if store.url.endswith("/theoros.db") else f" --database {store.safe_url.removeprefix('sqlite:///')}"
    state = store.campaign(name).state
    following = f"theoros top {name}" if state == "finished" else f"theoros resume {name}"
    console.print(f"next: {following}{database}", highlight=False, soft_wrap=True)


def print_table(console: Console, frame: pd.DataFrame, title: str) -> None:
    """A data frame with its index as a table."""
    columns = [str(column) for column in frame.columns]
    rows = [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False)]
    numeric = {str(column) for column in frame.columns if frame[column].dtype.kind in "iuf"}
    _print(console, title, str(frame.index.name or ""), [str(index) for index in frame.index], columns, rows, numeric)


def print_rows(console: Console, rows: Sequence[Mapping[str, object]], columns: Sequence[str], title: str) -> None:
    """Rows as a numbered table: `print_table` without the third of a second that pandas takes to load."""
    numeric = {
        column
        for column in columns
        if all(isinstance(row[column], int | float) and not isinstance(row[column], bool) for row in rows)
    }
    _print(console, title, "", [str(number) for number in range(1, len(rows) + 1)], columns, rows, numeric)


def _print(
    console: Console,
    title: str,
    corner: str,
    index: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    numeric: Collection[str],
) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column(corner)
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for name, row in zip(index, rows, strict=True):
        table.add_row(name, *(_cell(row[column]) for column in columns))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.5g}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def print_model(console: Console, store: Store, campaign: str) -> None:
    """The last model version's error and calibration on labels that it had not seen."""
    if told := model_sentence(store, campaign):
        console.print(told, highlight=False, soft_wrap=True)
