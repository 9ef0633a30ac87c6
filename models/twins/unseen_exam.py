"""All that labels which a twin had not seen tell of it, when they come: the scores of a model version."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Problem
from theoros.models.sampling import derived_seed
from theoros.models.twins.contract import DrawsArrays
from theoros.models.twins.unseen import Score, Unseen, as_twin
from theoros.models.twins.unseen_arrays import UnseenArrays
from theoros.models.twins.unseen_behaviour import behaviour, speedups
from theoros.models.twins.unseen_events import Events


@dataclass(frozen=True)
class Exam:
    """What a twin drew (`unseen`), and its `scores`.

    `events` are pairs of what came and what was drawn, those of earlier exams among them; None before the first at the
    target fidelity. `arrays` are what it made of the label of evaluation `pictured`: one roll-out where it rolls out,
    and one draw of each member where it draws arrays (`theoros.models.twins.unseen_arrays`).
    """

    unseen: Unseen
    scores: tuple[Score, ...]
    events: Events | None = None
    arrays: Mapping[str, Array] = field(default_factory=dict)
    pictured: int | None = None


def examined(
    model: FittedSurrogate,
    problem: Problem,
    dataset: Dataset,
    labels: Sequence[int],
    known: Set[int],
    *,
    earlier: Events | None,
    seed: int,
    oracle: str = "oracle",
) -> Exam | None:
    """Of the rows of `dataset`, of the evaluations `labels`, that are not of those `known`, which `model` has seen.

    None where there are none, or where the model draws none of the problem's outputs; evaluations that brought no label
    are left out. Laws, events and speed are of the target fidelity. `earlier` are the events of exams before this one;
    `oracle` is the name under which the speed is told.
    """
    twin = as_twin(model)
    columns = [dataset.outputs.index(output) for output in problem.outputs]
    there = np.asarray(np.isfinite(np.asarray(dataset.values, dtype=np.float64)[:, columns]).any(1))
    rows = [row for row, label in enumerate(labels) if label not in known and there[row]]
    numbers = [labels[row] for row in rows]
    unseen = Unseen.of(model, problem.outputs, dataset, rows, numbers, seed=derived_seed(seed, "unseen"))
    if twin is None or unseen is None:
        return None
    true = [i for i, row in enumerate(rows) if dataset.points[row].fidelity == problem.target]
    if not true:
        return Exam(unseen, tuple(unseen.scores()), earlier)
    points = [dataset.points[rows[i]] for i in true]
    events = _events(unseen.only(true), problem, dataset, [rows[i] for i in true]).after(earlier)
    more, arrays = behaviour(twin, unseen.outputs, points, seed=derived_seed(seed, "behaviour"))
    more += speedups(dataset, problem.target, more[0], unseen.seconds, oracle)
    pictured = unseen.labels[true[0]] if arrays else None
    if isinstance(twin, DrawsArrays):
        whole = UnseenArrays.of(twin, dataset, [rows[i] for i in true], seed=derived_seed(seed, "arrays"))
        more += whole.scores
        if whole.row is not None:
            arrays, pictured = whole.drawn, labels[whole.row]
    scores = [*unseen.scores(), *events.scores(derived_seed(seed, "events")), *more]
    kept = tuple(score for score in scores if math.isfinite(score.value))
    return Exam(unseen, kept, events, arrays, pictured)


def remembered(
    problem: Problem, dataset: Dataset, labels: Sequence[int], records: Sequence[Mapping[str, Any]]
) -> Events | None:
    """The events of earlier exams at the target fidelity, from what was recorded of them, in their order (None: none).

    `labels` are the evaluations of the rows of `dataset`; what is recorded of others is left out.
    """
    rows, events = {label: row for row, label in enumerate(labels)}, None
    for unseen in map(Unseen.recorded, records):
        if unseen is None or not set(unseen.outputs) <= set(dataset.outputs):
            continue
        found = [(i, rows[label]) for i, label in enumerate(unseen.labels) if label in rows]
        true = [(i, row) for i, row in found if dataset.points[row].fidelity == problem.target]
        if true:
            some = unseen.only([i for i, _ in true])
            events = _events(some, problem, dataset, [row for _, row in true]).after(events)
    return events


def _events(unseen: Unseen, problem: Problem, dataset: Dataset, rows: Sequence[int]) -> Events:
    columns = [dataset.outputs.index(output) for output in unseen.outputs]
    values = np.asarray(dataset.values, dtype=np.float64)[list(rows)][:, columns]
    return Events.of(unseen, problem.space, [dataset.points[row].candidate for row in rows], values)
