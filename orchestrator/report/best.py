"""The best labels of a campaign, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theoros.db import Store
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

    card = scorecard(store, campaign)
    labels = card.ranked(store.label_records(campaign))[:n]
    predictions = store.predictions(campaign)
    shown = list(dict.fromkeys((card.objective, *(c.output for c in card.constraints))))
    rows = []
    for label in labels:
        predicted = {p.output: p for p in predictions.get(label.evaluation_id, ())}.get(card.objective)
        rows.append(
            {"candidate": label.candidate.text}
            | {card.name_of(output): float(label.values[output]) for output in shown}
            | {
                "predicted": predicted.mean if predicted else float("nan"),
                "±": predicted.std if predicted else float("nan"),
                "label": label.sequence,
                "cached": label.from_cache,
            }
        )
    columns = ["candidate", *(card.name_of(output) for output in shown), "predicted", "±", "label", "cached"]
    table = pd.DataFrame(rows, columns=columns)
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table
