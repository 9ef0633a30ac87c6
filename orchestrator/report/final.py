"""What a run ends with: the best labels, what the control would have got, plots, and the next command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from theoros.db import Store
from theoros.orchestrator.report.best import best_labels, scorecard
from theoros.orchestrator.report.plots import controls_of, plot_campaign

if TYPE_CHECKING:
    import pandas as pd

    from theoros.orchestrator.campaign import Campaign


def print_report(campaign: Campaign, console: Console, results: Path) -> None:
    """Print a campaign's ending; plots go to ``results/NAME``."""
    store, name = campaign.store, campaign.name
    card = scorecard(store, name)
    if card.goal == "optimize":
        print_table(console, best_labels(store, name), f"The best of {name}")
        for control in controls_of(store, name):
            console.print(compare(store, name, control), highlight=False, soft_wrap=True)
    print_model(console, store, name)
    if store.label_records(name):
        for path in plot_campaign(store, name, results / name):
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    database = "" if store.url.endswith("/theoros.db") else f" --database {store.safe_url.removeprefix('sqlite:///')}"
    state = store.campaign(name).state
    following = f"theoros top {name}" if state == "finished" else f"theoros resume {name}"
    console.print(f"next: {following}{database}", highlight=False, soft_wrap=True)


def print_table(console: Console, frame: pd.DataFrame, title: str) -> None:
    """A data frame with its index as a table."""
    table = Table(title=title, title_justify="left")
    table.add_column(str(frame.index.name or ""))
    for column in frame.columns:
        number = frame[column].dtype.kind in "iuf"
        table.add_column(str(column), justify="right" if number else "left", overflow="fold")
    for index, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        table.add_row(str(index), *(_cell(value) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.5g}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def compare(store: Store, campaign: str, control: str) -> str:
    """One sentence: what the control found at the same cost, and when the campaign had found as good."""
    card = scorecard(store, campaign)
    own, other = (card.best_so_far(store.label_records(name)) for name in (campaign, control))
    own, other = [x for x in own if x == x], [x for x in other if x == x]
    if not own or not other:
        return f"{control} found nothing feasible."
    unit = card.units.get(card.objective, "")
    reached = next(
        (i for i, x in enumerate(own, start=1) if (x >= other[-1] if card.maximize else x <= other[-1])), None
    )
    text = (
        f"{control}: best {other[-1]:.5g} {unit} in {len(other)} labels; {campaign}: {own[-1]:.5g} {unit} in {len(own)}"
    )
    return text + (f", and as good as the control's best after {reached}." if reached else ".")


def print_model(console: Console, store: Store, campaign: str) -> None:
    """The last model version's error and calibration on labels that it had not seen."""
    versions = store.model_versions(campaign)
    card = scorecard(store, campaign)
    scores = {s.metric: s for s in versions[-1].scores if s.output == card.objective} if versions else {}
    if "rmse" in scores:
        n, unit = scores["rmse"].n, card.units.get(card.objective, "")
        console.print(
            f"model: error {scores['rmse'].value:.3g} {unit} on {n} labels before it saw them; "
            f"{scores['coverage_90'].value:.0%} of them within its 90 % intervals",
            highlight=False,
            soft_wrap=True,
        )
