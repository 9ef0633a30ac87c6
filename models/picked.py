"""The picks of one decision: which of a pool are taken, and which may be next under a quota."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np

from theoros.models.contract import Acquisition, BatchAcquisition, FittedSurrogate, Score
from theoros.models.data import Dataset, Pick, Point, Problem
from theoros.models.diversity import Company
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate


@dataclass
class Picked:
    """The `places` of candidates that have been picked, beside a company with a quota; None where there is no quota.

    Where nobody has room the `limit` rises above the quota as far as it has to. `told` is what a reason says of it.
    """

    company: Company | None
    candidates: Sequence[Candidate]
    places: list[int] = field(default_factory=list)
    limit: int = 0
    told: str = ""

    def open(self) -> list[int]:
        """The places left that have room; where none has, those whose fullest circle would hold the fewest."""
        picked = set(self.places)
        left = [place for place in range(len(self.candidates)) if place not in picked]
        if self.company is None or not left:
            return left
        sizes = [self.company.fullest(self.candidates[place]) for place in left]
        self.limit = max(self.company.quota.at_most, min(sizes))
        found = [place for place, size in zip(left, sizes, strict=True) if size <= self.limit]
        self.told = self._told(len(left) - len(found))
        return found

    def take(self, place: int) -> bool:
        """Pick one that `open` has told, unless what was picked since has filled its circle; whether it was picked."""
        candidate = self.candidates[place]
        if self.company is not None:
            if self.company.fullest(candidate) > self.limit:
                return False
            self.company.add(candidate)
        self.places.append(place)
        return True

    def _told(self, shut_out: int) -> str:
        """What a reason says of the quota."""
        assert self.company is not None
        if self.limit > self.company.quota.at_most:
            return f"up to {self.limit} in one circle, as no proposal keeps to {self.company.quota.at_most}"
        return f"{shut_out} more lie in full circles" if shut_out else ""


class Next(NamedTuple):
    """A pick, of how many it is the best, and how many were chosen together with it (0: it was chosen alone)."""

    pick: Pick
    rivals: int
    together: int


def picks(
    problem: Problem,
    model: FittedSurrogate,
    dataset: Dataset,
    acquisition: Acquisition,
    taken: Picked,
    now: Sequence[Point],
    n: int,
    seed: int,
) -> Iterator[Next]:
    """Picks of `n` of the candidates, which are `taken` when they are told; the caller adds each to what is pending
    `now`.

    Of a batch that was planned as if there were no quota those picks stand that have room, and what the others leave
    open is planned again beside them.
    """
    whole = True
    while (missing := n - len(taken.places)) > 0 and (places := taken.open()):
        among = [taken.candidates[place] for place in places]
        own = derived_seed(seed, "batch", *([len(taken.places)] if taken.places else []))
        plan = _planned(problem, model, dataset, acquisition, now, among, missing, own) if whole else None
        whole = bool(plan)
        if not plan:
            score = acquisition.scorer(problem, model, dataset, now, seed=derived_seed(seed, "pick", len(taken.places)))
            plan = [_best(score, among)]
        stand = [pick._replace(place=places[pick.place]) for pick in plan if taken.take(places[pick.place])]
        for pick in stand:
            yield Next(pick, len(among), len(stand) if whole else 0)


def _planned(
    problem: Problem,
    model: FittedSurrogate,
    dataset: Dataset,
    acquisition: Acquisition,
    pending: Sequence[Point],
    candidates: Sequence[Candidate],
    n: int,
    seed: int,
) -> list[Pick] | None:
    """All picks at once, where the acquisition can; for a single one its scorer is as good."""
    batch = getattr(acquisition, "batch", None)
    if batch is None or n < 2 or len(candidates) < 2:
        return None
    return cast(BatchAcquisition, acquisition).batch(
        problem, model, dataset, pending, candidates, min(n, len(candidates)), seed=seed
    )


def _best(score: Score, candidates: Sequence[Candidate]) -> Pick:
    values = score(candidates)
    best = int(np.argmax(values))
    return Pick(best, float(values[best]))
