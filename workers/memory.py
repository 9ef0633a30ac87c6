"""What a model worker remembers between calls, so that each is told only what is new.

Both memories are logs that the orchestrator holds whole and sends in pieces: a worker that was replaced gets all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from theoros.models.data import Dataset, Origin, Point, Structure
from theoros.models.feasibility import SUCCEEDS

T = TypeVar("T")

#: Candidates that slow gates turned away of which a model learns, as failures that cost no label.
MOST_UNFIT = 500

#: What happened to a candidate at a fidelity: ("asked" | "closed" | "withdrawn", hash, fidelity).
Ask = tuple[str, str, str]


def asked(candidate: str, fidelity: str) -> Ask:
    """A candidate (its hash) was decided at a fidelity."""
    return ("asked", candidate, fidelity)


def closed(candidate: str, fidelity: str) -> Ask:
    """It failed there for good, and is not proposed again at any."""
    return ("closed", candidate, fidelity)


def withdrawn(candidate: str, fidelity: str) -> Ask:
    """It was not evaluated after all, and may be asked again."""
    return ("withdrawn", candidate, fidelity)


@dataclass(frozen=True)
class Labelled:
    """A label as the trainer is told of it: the number of its evaluation, what was asked, and the modelled outputs.

    `values` are empty for an evaluation that failed for good, for reasons that may lie in its candidate. `origin` says
    who chose it, where that is known. `structures` say where its arrays are, and not what they hold. What was not
    `evaluated`, since a slow gate turned it away when decision number `sequence` was made, counts as failed.
    """

    sequence: int
    point: Point
    values: tuple[float, ...]
    origin: Origin | None = None
    structures: Mapping[str, Structure] = field(default_factory=dict)
    evaluated: bool = True

    @property
    def failed(self) -> bool:
        """Whether there is no label."""
        return not self.values


@dataclass(frozen=True)
class News(Generic[T]):
    """Entries of a log from number `start` on."""

    start: int
    entries: Sequence[T]


@dataclass
class Asked:
    """What was asked: candidates that are not proposed again, and pairs of candidate and fidelity."""

    target: str
    candidates: set[str] = field(default_factory=set)
    points: set[tuple[str, str]] = field(default_factory=set)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _known: int = 0

    def learn(self, news: News[Ask]) -> None:
        """Take in what is new; a piece that comes twice changes nothing."""
        for kind, candidate, fidelity in news.entries[max(0, self._known - news.start) :]:
            pair = (candidate, fidelity)
            if kind == "asked":
                self._counts[pair] += 1
                self.points.add(pair)
                if fidelity == self.target:
                    self.candidates.add(candidate)
            elif kind == "closed":
                self.candidates.add(candidate)
            else:
                self._counts[pair] -= 1
                if self._counts[pair] <= 0:
                    self.points.discard(pair)
                    if fidelity == self.target:
                        self.candidates.discard(candidate)
        self._known = max(self._known, news.start + len(news.entries))


@dataclass
class Labels:
    """The labels that have come."""

    outputs: tuple[str, ...]
    _entries: list[Labelled] = field(default_factory=list)

    def learn(self, news: News[Labelled]) -> None:
        """Take in what is new; a piece that comes twice changes nothing."""
        self._entries.extend(news.entries[max(0, len(self._entries) - news.start) :])

    def dataset(self, last: int | None) -> tuple[Dataset, list[int]]:
        """The labels of evaluations up to number `last` in the order of their decisions, and their numbers.

        Where some have failed, they stand among the labels without values, and one more output tells them apart
        (`theoros.models.feasibility.SUCCEEDS`). What failed and was answered after all counts as answered. After them
        comes what slow gates have turned away, without a number: the latest `MOST_UNFIT`.
        """
        known: dict[int, Labelled] = {}
        unfit: dict[str, Labelled] = {}
        for entry in self._entries:
            if last is not None and entry.sequence > last:
                continue
            if not entry.evaluated:
                unfit.setdefault(entry.point.candidate.hash, entry)
            elif not (entry.failed and entry.sequence in known):
                known[entry.sequence] = entry
        kept = [known[sequence] for sequence in sorted(known)]
        judged = {entry.point.candidate.hash for entry in kept}
        turned_away = [entry for key, entry in unfit.items() if key not in judged][-MOST_UNFIT:]
        kept += turned_away
        width, nothing = len(self.outputs), (np.nan,) * len(self.outputs)
        values = np.array([e.values or nothing for e in kept], dtype=np.float64).reshape(len(kept), width)
        outputs, failed = self.outputs, np.array([e.failed for e in kept], dtype=bool)
        if failed.any() and not failed.all() and SUCCEEDS not in outputs:
            outputs, values = (*outputs, SUCCEEDS), np.column_stack([values, ~failed])
        origins = tuple(e.origin for e in kept) if any(e.origin for e in kept) else ()
        names = sorted({name for e in kept for name in e.structures})
        structures = {name: tuple(e.structures.get(name) for e in kept) for name in names}
        points = tuple(e.point for e in kept)
        return Dataset(points, outputs, values, origins, structures, len(turned_away)), sorted(known)
