"""When a search for molecules has come to its end, and what of its labels the next one begins with."""

from __future__ import annotations

import heapq
import weakref
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from theoros.models.contract import FittedSurrogate, Remembering
from theoros.models.data import Array, Dataset, Problem
from theoros.models.labelled import labelled_utilities
from theoros.oracles.spaces.molecules import Molecules

#: A search ends when the mean of its ten best has gained less than `NEGLIGIBLE` of the distance from its usual labels
#: to its best, by so many labels, or by `PART` of its labels where that is more.
PATIENCE, PART, NEGLIGIBLE = 200, 0.25, 0.01
BEST = 10
#: Labels that a new search draws by chance before a model guides it.
FIRST = 10


class Search(NamedTuple):
    """The labels that a search believes, from row `first` of the dataset on, and how many searches came before it."""

    first: int
    number: int


class Begun(NamedTuple):
    """What a decision believes: labels, and a model of them, None where the search has yet to draw its first ones."""

    dataset: Dataset
    model: FittedSurrogate | None
    told: str = ""


def begun(problem: Problem, dataset: Dataset, model: FittedSurrogate | None) -> Begun:
    """The labels and the model of the search that goes on, by what is known.

    Where molecules are bred for one objective, hundreds of labels can gather about one molecule that no small change
    improves. A model of them all is sure that its surroundings are best, and finds nothing elsewhere. So the next
    search begins with molecules drawn by chance, and with the model's hyperparameters, but forgets the labels before.
    Where it has come to its own end all labels are believed again, so that what the searches found can be joined; where
    nothing comes of that either, another begins, and so on in turn. As restarts of global optimisation do (Hansen,
    GECCO 2009 BBOB workshop, doi:10.1145/1570256.1570333, takes turns of searches likewise), this costs nothing while a
    search still gains. It is a function of the labels alone, and repeats exactly.
    """
    global _last
    if problem.aim != "optimize" or not isinstance(problem.space, Molecules) or not isinstance(model, Remembering):
        return Begun(dataset, model)
    asked = (problem.objectives, problem.constraints, problem.fidelities)
    if _last is None or not _last.holds(dataset, model, asked):
        _last = _Last(weakref.ref(dataset), weakref.ref(model), asked, _begun(problem, dataset, model))
    found = _last.found
    return found if found is not None else Begun(dataset, model)


class _Last(NamedTuple):
    """What was found of a dataset and a model, neither of which ever changes: a search and the choice after it ask for
    the same. None stands for all labels, which it would keep alive.
    """

    dataset: weakref.ref[Dataset]
    model: weakref.ref[FittedSurrogate]
    asked: tuple[Any, ...]
    found: Begun | None

    def holds(self, dataset: Dataset, model: FittedSurrogate, asked: tuple[Any, ...]) -> bool:
        """Whether it is of these."""
        return self.dataset() is dataset and self.model() is model and self.asked == asked


_last: _Last | None = None


def _begun(problem: Problem, dataset: Dataset, model: Remembering) -> Begun | None:
    search = current(problem, dataset)
    if search.first == 0:
        return None
    own = _since(dataset, search.first)
    told = f"search {search.number + 1} began after {search.first} labels, as the one before it gained no more"
    if len(labelled_utilities(problem, own)[0]) < FIRST:
        return Begun(own, None, told)
    from theoros.models.surrogates.fitting import FitFailed  # PyTorch, which the driver has no need of

    try:
        return Begun(own, model.remembering(problem, own), told)
    except FitFailed:
        return None


def current(problem: Problem, dataset: Dataset) -> Search:
    """The search that the labels of a dataset have come to; in every second one after the first all are believed."""
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    values = np.where(feasible, utilities[:, 0], np.minimum.accumulate(utilities[:, 0]))
    first, number = 0, 0
    while (end := _end(values[first:], values[:0] if number % 2 else values[:first])) is not None:
        first, number = first + end, number + 1
    if number % 2 == 0:
        return Search(0, number)
    return Search(int(rows[first]) if first < len(rows) else len(dataset), number)


def _end(values: Array, before: Array) -> int | None:
    """After how many of its `values` a search ended that knew those `before`; None while it goes on."""
    usual = float(np.median(values[:PATIENCE])) if len(values) else 0.0
    best = heapq.nlargest(BEST, before.tolist())
    heapq.heapify(best)
    course: list[float] = []
    for place, value in enumerate(values.tolist()):
        (heapq.heappush if len(best) < BEST else heapq.heappushpop)(best, value)
        course.append(sum(best) / len(best))
        wait = max(PATIENCE, int(PART * place))
        if place >= wait + BEST:
            gained = course[place] - course[place - wait]
            if not gained > NEGLIGIBLE * (max(best) - usual):
                return place + 1
    return None


def _since(dataset: Dataset, first: int) -> Dataset:
    """The rows from `first` on."""
    return replace(
        dataset,
        points=dataset.points[first:],
        values=np.asarray(dataset.values)[first:],
        origins=dataset.origins[first:],
        structures={name: arrays[first:] for name, arrays in dataset.structures.items()},
        unasked=min(dataset.unasked, len(dataset.points) - first),
    )
