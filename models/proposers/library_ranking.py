"""Ranking of a finite library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from theoros.models.contract import ProposalRequest
from theoros.models.proposers.random_design import RandomDesign
from theoros.models.proposers.screening import admissible, best_first
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import FiniteSpace

BATCH = 2_000


@dataclass(frozen=True)
class LibraryRanking:
    """The best of a library by acquisition value; the file is streamed and never held whole.

    A library of more than `most` rows is not scored whole for every decision: a random part of that size, another
    for every seed, stands for it. That loses little, as the best of 50,000 random rows are among the best 0.01 %
    with near certainty.
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
        best: list[Candidate] = []
        scores = np.zeros(0)
        for batch in self._batches(cast(FiniteSpace, request.problem.space), request.seed):
            kept = {candidate.hash for candidate in best}
            new = [candidate for candidate in admissible(request, batch) if candidate.hash not in kept]
            if not new:
                continue
            scores = np.concatenate([scores, request.score(new)])
            best = best + new
            best, scores = best_first(best, scores)[: request.n], np.sort(-scores, kind="stable")[: request.n] * -1
        return best

    def _batches(self, space: FiniteSpace, seed: int) -> Iterator[Sequence[Candidate]]:
        size = space.size
        take = getattr(space, "take", None)
        if size <= self.most or take is None:
            yield from space.iterate(BATCH)
            return
        rows = np.sort(np.random.default_rng(seed).choice(size, self.most, replace=False))
        for start in range(0, len(rows), BATCH):
            yield take(rows[start : start + BATCH])
