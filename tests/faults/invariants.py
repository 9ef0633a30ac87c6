"""What must hold of every campaign that has come to its end, whatever was done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from theoros.db import Store

#: How attempts may end; "running" is no end.
ENDS = {"done", "failed", "lost", "cancelled"}


def violations(
    store: Store,
    campaign: str,
    *,
    budget: int,
    spool: Path,
    truth: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None,
) -> list[str]:
    """Everything that is wrong with a finished campaign, in words; empty when nothing is.

    `budget` is its number of evaluations, `truth` what the oracle answers to a candidate's data.
    """
    return [
        *_states(store, campaign, budget),
        *_labels(store, campaign, truth),
        *_stories(store, campaign),
        *(f"an answer was left on the disk: {path.name}" for path in sorted(spool.glob("*.json"))),
    ]


def _states(store: Store, campaign: str, budget: int) -> list[str]:
    evaluations = store.evaluations(campaign)
    wrong = []
    if (state := store.campaign(campaign).state) != "finished":
        wrong.append(f"the campaign is {state}: {store.campaign(campaign).stop_reason}")
    open_ones = [e.sequence for e in evaluations if e.state in {"queued", "running", "failed"}]
    if open_ones:
        wrong.append(f"evaluations {open_ones} have no end")
    asked = [e for e in evaluations if e.state != "cancelled"]
    if len(asked) != budget:
        wrong.append(f"{len(asked)} evaluations were made, {budget} are the budget")
    if [e.sequence for e in evaluations] != list(range(1, len(evaluations) + 1)):
        wrong.append("evaluations are not numbered one by one: a decision was lost")
    twice = [key for key, n in Counter((e.candidate.hash, e.fidelity) for e in asked).items() if n > 1]
    if twice:
        wrong.append(f"{len(twice)} candidates were evaluated twice")
    return wrong


def _labels(store: Store, campaign: str, truth: Callable[[Mapping[str, Any]], Mapping[str, float]] | None) -> list[str]:
    labels = store.label_records(campaign)
    done = {e.sequence for e in store.evaluations(campaign, ["done"])}
    wrong = []
    counts = Counter(label.sequence for label in labels)
    if twice := [sequence for sequence, n in counts.items() if n > 1]:
        wrong.append(f"evaluations {twice} have several labels")
    if set(counts) != done:
        wrong.append(f"labels and evaluations that are done differ: {sorted(set(counts) ^ done)}")
    for label in labels if truth is not None else ():
        assert truth is not None
        expected, given = truth(label.candidate.data), {name: float(v) for name, v in label.values.items()}
        if given != dict(expected):
            wrong.append(f"evaluation {label.sequence} has the answer {given}, the oracle's is {expected}")
    return wrong


def _stories(store: Store, campaign: str) -> list[str]:
    attempts = store.attempts(campaign)
    wrong = []
    for evaluation in store.evaluations(campaign):
        own = attempts[attempts["sequence"] == evaluation.sequence]
        name = f"evaluation {evaluation.sequence}"
        if own["attempt"].tolist() != list(range(1, evaluation.attempts + 1)):
            wrong.append(f"{name} has attempts {own['attempt'].tolist()} and says {evaluation.attempts}")
        if not set(own["state"]) <= ENDS:
            wrong.append(f"{name} has an attempt without an end: {own['state'].tolist()}")
        answered = int((own["state"] == "done").sum())
        if answered != (evaluation.state == "done") and not (answered == 0 and own.empty):
            wrong.append(f"{name} is {evaluation.state} and {answered} of its attempts were counted")
        for attempt in own[own["state"].isin(["failed", "lost"])].itertuples():
            if not attempt.exit_class or not attempt.message:
                wrong.append(f"{name}, attempt {attempt.attempt}: it does not say how it ended")
        if evaluation.state == "abandoned" and not (evaluation.failure_class and evaluation.message):
            wrong.append(f"{name} was abandoned and does not say why")
    return wrong
