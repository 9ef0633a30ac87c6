"""The best labels of a campaign, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from theoros.db import Store, overview
from theoros.db.records import LabelRecord, PredictionRecord
from theoros.models.pareto import ranks
from theoros.orchestrator.scorecard import Scorecard

if TYPE_CHECKING:
    import pandas as pd


def scorecard(store: Store, campaign: str) -> Scorecard:
    """How the labels of a stored campaign are judged."""
    return Scorecard.from_dict(store.campaign(campaign).spec["scorecard"])


def best_labels(store: Store, campaign: str, n: int = 10) -> pd.DataFrame:
    """The `n` best feasible labels at the target fidelity, the best first.

    Columns: ``candidate``; the objectives and the constrained outputs with their units; ``predicted`` and ``±``, the
    first objective's mean and standard deviation as the model saw it when the candidate was chosen (NaN where there was
    no model); ``label``, the sequence number; ``cached``. With several objectives one more, ``front``: 1 for labels
    that no other one is better than in everything, 2 for those that only these are, and so on. With a desirability it
    stands first, and there are no columns of predictions, which are made of its outputs.
    """
    import pandas as pd

    columns, rows = best_rows(store, campaign, n)
    table = pd.DataFrame(rows, columns=columns)
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def best_rows(store: Store, campaign: str, n: int = 10) -> tuple[list[str], list[dict[str, object]]]:
    """The columns and rows of `best_labels`."""
    card = scorecard(store, campaign)
    outputs = (*(goal.output for goal in card.objectives), *(c.output for c in card.constraints))
    shown = list(dict.fromkeys(outputs))
    composed = card.desirability is not None
    first = ["front"] if card.several else [card.objective.output] if composed else []
    believed = [] if composed else ["predicted", "±"]
    rows: list[dict[str, object]] = []
    read = card.several or composed  # the database ranks by one output
    best = _ranked(store, campaign, card, n) if read else overview.best(store, campaign, card.ranking, n)
    levels = ranks(np.array([card.utilities(label) for label, _ in best])) if card.several and best else [0] * len(best)
    for (label, beliefs), level in zip(best, levels, strict=True):
        predicted = {belief.output: belief for belief in beliefs}.get(card.objective.output)
        row: dict[str, object] = {"front": int(level) + 1, "candidate": label.candidate.text}
        row |= {card.objective.output: card.value(label)} if composed else {}
        row |= {card.name_of(output): float(label.values[output]) for output in shown}
        row |= {"predicted": predicted.mean if predicted else math.nan, "±": predicted.std if predicted else math.nan}
        rows.append(row | {"label": label.sequence, "cached": label.from_cache})
    return [*first, "candidate", *(card.name_of(output) for output in shown), *believed, "label", "cached"], rows


def _ranked(
    store: Store, campaign: str, card: Scorecard, n: int
) -> list[tuple[LabelRecord, Sequence[PredictionRecord]]]:
    """The first `n` labels by front or desirability, with what was believed of them; reads all of the campaign."""
    believed = store.predictions(campaign)
    ranked = card.ranked(store.label_records(campaign))[:n]
    return [(label, believed.get(label.evaluation_id, ())) for label in ranked]
