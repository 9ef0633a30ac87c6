"""The best labels of a campaign, as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from theoros.db import Store, overview
from theoros.orchestrator.scorecard import Scorecard

if TYPE_CHECKING:
    import pandas as pd


def scorecard(store: Store, campaign: str) -> Scorecard:
    """How the labels of a stored campaign are judged."""
    return Scorecard.from_dict(store.campaign(campaign).spec["scorecard"])


def best_labels(store: Store, campaign: str, n: int = 10) -> pd.DataFrame:
    """The `n` best feasible labels at the target fidelity, the best first.

    Columns: ``candidate``; the objective and the constrained outputs with their units; ``predicted`` and ``±``, the
    objective's mean and standard deviation as the model saw it when the candidate was chosen (NaN where there was no
    model); ``label``, the sequence number; ``cached``.
    """
    import pandas as pd

    columns, rows = best_rows(store, campaign, n)
    table = pd.DataFrame(rows, columns=columns)
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def best_rows(store: Store, campaign: str, n: int = 10) -> tuple[list[str], list[dict[str, object]]]:
    """The columns and rows of `best_labels`."""
    card = scorecard(store, campaign)
    shown = list(dict.fromkeys((card.objective, *(c.output for c in card.constraints))))
    rows: list[dict[str, object]] = []
    for label, beliefs in overview.best(store, campaign, card.ranking, n):
        predicted = {belief.output: belief for belief in beliefs}.get(card.objective)
        row: dict[str, object] = {"candidate": label.candidate.text}
        row |= {card.name_of(output): float(label.values[output]) for output in shown}
        row |= {"predicted": predicted.mean if predicted else math.nan, "±": predicted.std if predicted else math.nan}
        rows.append(row | {"label": label.sequence, "cached": label.from_cache})
    return ["candidate", *(card.name_of(output) for output in shown), "predicted", "±", "label", "cached"], rows
