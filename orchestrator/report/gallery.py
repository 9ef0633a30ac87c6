"""The best molecules, drawn, each with its label and with what was predicted of it before."""

from __future__ import annotations

import math

import numpy as np

from theoros.models.forecast import Forecast
from theoros.models.pareto import ranks
from theoros.orchestrator.report.history import History, Sample
from theoros.orchestrator.report.html import Html, number, table, tag
from theoros.orchestrator.report.structures import structure
from theoros.orchestrator.scorecard import Scorecard


def gallery(history: History, n: int = 12) -> Html:
    """The `n` best samples as cards, the best first."""
    best = history.ranked[:n]
    fronts = [""] * len(best)
    if history.card.several and best:  # of the best alone: those of a front all come before those of the next
        utilities = [history.card.utilities(sample.label) for sample in best if sample.label is not None]
        fronts = [f", front {level + 1}" for level in ranks(np.array(utilities))]
    cards = [_card(history.card, rank, *item) for rank, item in enumerate(zip(best, fronts, strict=True), start=1)]
    return tag("div", *cards, class_="gallery")


def beliefs_table(card: Scorecard, sample: Sample) -> Html:
    """Each judged output: the label, and mean and 90 % interval of the label as they were predicted."""
    rows = []
    for output in _judged(card):
        belief = sample.predictions.get(output)
        label = None if sample.label is None else sample.label.values.get(output)
        rows.append(
            (
                card.name_of(output),
                number(None if label is None else float(label)),
                number(None if belief is None else belief.mean),
                "–" if belief is None else interval(Forecast(belief.mean, belief.std, belief.tail)),
            )
        )
    return table(("output", "label", "predicted", "90 % interval"), rows, numeric=("label", "predicted"))


def interval(told: Forecast) -> str:
    """The central 90 % interval; a dash where it has no finite width."""
    low, high = told.interval(0.9)
    return f"{low:.5g} to {high:.5g}" if math.isfinite(high - low) else "–"


def _card(card: Scorecard, rank: int, sample: Sample, front: str) -> Html:
    desired = None
    if card.desirability is not None and sample.label is not None:
        desired = tag("p", f"desirability {number(card.value(sample.label))}")
    told = (
        f"sample {sample.number}{front}, labelled at {sample.evaluation.fidelity}, "
        f"proposed by {sample.proposer or 'nobody'}"
    )
    named = tag("p", tag("b", f"{rank}. "), tag("code", sample.evaluation.candidate.text))
    caption = tag("figcaption", named, desired, beliefs_table(card, sample), tag("p", told, class_="small"))
    return tag("figure", structure(sample.smiles), caption, id=f"best-{rank}")


def _judged(card: Scorecard) -> list[str]:
    """Objectives (or wishes) and constrained outputs, each once."""
    return list(dict.fromkeys((*(goal.output for goal in card.objectives), *(c.output for c in card.constraints))))
