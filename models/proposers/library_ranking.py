"""Ranking of a finite library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from theoros.models.contract import Paths, ProposalRequest
from theoros.models.data import Array
from theoros.models.proposers.random_design import RandomDesign
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import FiniteSpace
from theoros.oracles.spaces.held import Rows

#: Draws of an acquisition that draws, of which each names its own best rows.
DRAWS = 64


@dataclass(frozen=True)
class LibraryRanking:
    """The best of a library by acquisition value.

    A library of more than `most` rows is not scored whole for every decision: a random part of that size, another
    for every seed, stands for it. That loses little, as the best of 50,000 random rows are among the best 0.01 %
    with near certainty. Rows of a held table are scored as numbers, and only the best become candidates, so what was
    seen is left out by looking at the best rows and not at all.

    An acquisition that draws functions (``thompson``) names the best rows of many draws in turn: those of one draw
    would be one opinion.
    """

    most: int = 50_000

    name: ClassVar[str] = "library"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})
    needs_model: ClassVar[bool] = False

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The `request.n` best rows, best first; random ones while there is no score.

        Raises ValueError when the space is not a finite library.
        """
        if not request.problem.space.is_finite:
            raise ValueError(
                "The proposer 'library' ranks a finite library, and this space is not one. "
                "Use 'acquisition_optimizer' for parameters or 'genetic' for molecules."
            )
        if request.score is None:
            return RandomDesign().propose(request)
        space = cast(FiniteSpace, request.problem.space)
        candidates = self._part(space, request.seed)
        found = _best_admissible(request, candidates, _values(request, candidates)) if candidates else []
        if len(found) < request.n and space.size > self.most:  # nearly exhausted: take what there is elsewhere
            names = {candidate.hash for candidate in found}
            found += [c for c in RandomDesign().propose(request) if c.hash not in names][: request.n - len(found)]
        return found

    def _part(self, space: FiniteSpace, seed: int) -> Sequence[Candidate]:
        """The rows to be scored: all, or a random part."""
        rows = getattr(space, "rows", None)
        if rows is None:
            return list(chain.from_iterable(space.iterate()))
        size = space.size
        if size <= self.most:
            return cast("Sequence[Candidate]", rows())
        chosen = np.sort(np.random.default_rng(seed).choice(size, self.most, replace=False, shuffle=False))
        return cast("Sequence[Candidate]", rows(chosen))


def _values(request: ProposalRequest, candidates: Sequence[Candidate]) -> Array:
    """Acquisition values, one row for each draw and one alone for an acquisition without draws: ``k x b``."""
    paths: Callable[..., Paths] | None = getattr(request.acquisition, "paths", None)
    if paths is None or request.model is None or request.dataset is None:
        assert request.score is not None  # as propose has made sure
        return request.score(candidates)[None, :]
    draws, seed = min(DRAWS, request.n), derived_seed(request.seed, "draws")
    return paths(request.problem, request.model, request.dataset, draws, seed=seed)(candidates)


def _best_admissible(request: ProposalRequest, candidates: Sequence[Candidate], values: Array) -> list[Candidate]:
    """The best of each row of `values` in turn, then the second best of each, ..., without what can't be proposed."""
    admits = request.admits
    looked_at: set[int] = set()
    found: dict[str, Candidate] = {}
    for index in _in_turn(values, 4 * request.n):
        if len(found) >= request.n:
            break
        if index in looked_at:
            continue
        looked_at.add(index)
        key = candidates.hash_of(index) if isinstance(candidates, Rows) else candidates[index].hash
        if key in request.seen or key in found:
            continue
        candidate = candidates[index]
        if admits is None or admits(candidate):
            found[key] = candidate
    return list(found.values())


def _in_turn(values: Array, first: int) -> Iterator[int]:
    """Columns of `values` (``k x b``) by rank, each rank over all rows; the `first` of each row without sorting all."""
    yield from _ranked(values, first)
    if first < values.shape[1]:
        yield from _ranked(values, values.shape[1])


def _ranked(values: Array, most: int) -> Iterator[int]:
    orders: list[NDArray[np.int64]] = []
    for row in -values:
        top = np.arange(len(row)) if most >= len(row) else np.sort(np.argpartition(row, most)[:most])
        orders.append(top[np.argsort(row[top], kind="stable")])
    yield from np.stack(orders, axis=1).ravel().tolist()
