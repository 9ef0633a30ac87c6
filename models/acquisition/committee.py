"""Query by committee: ask where functions that all agree with the labels disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from theoros.models.acquisition.predicted import CHUNK, at_target, likely
from theoros.models.contract import Array, Dataset, FittedSurrogate, Paths, Pick, Point, Problem, SamplePaths, Score
from theoros.oracles.candidate import Candidate

#: Directions in which candidates differ by less than this share of the largest are rounding.
LEAST = 1e-9


@dataclass(frozen=True)
class QueryByCommittee:
    """The standard deviation over a committee of `members` drawn functions.

    Seung, Opper & Sompolinsky, COLT 1992; for regression Krogh & Vedelsby, NIPS 1994. In a batch each pick takes out of
    the committee's disagreement what its label would settle, by their covariance over the draws, so that the next one
    is not its neighbour: `members` also bound how many picks can differ for a reason. Where there are constraints it is
    weighed by the probability that they hold.
    """

    members: int = 32

    name: ClassVar[str] = "committee"
    needs: ClassVar[frozenset[str]] = frozenset({"samples"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Spreads in the objective's unit, less what pending labels will settle."""
        draw = self._committee(problem, model, seed)
        settled = _Settled.by(draw([point.candidate for point in pending]))

        def score(candidates: Sequence[Candidate]) -> Array:
            values = np.empty(len(candidates))
            for start in range(0, len(candidates), CHUNK):
                chunk = candidates[start : start + CHUNK]
                left = settled.left(draw(chunk))
                chance = likely(problem, at_target(problem, model, chunk)) if problem.constraints else 1.0
                values[start : start + len(chunk)] = left.std(0) * chance
            return np.nan_to_num(values, nan=-np.inf)

        return score

    def batch(
        self,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        pending: Sequence[Point],
        candidates: Sequence[Candidate],
        n: int,
        *,
        seed: int,
    ) -> list[Pick]:
        """One after another, each settled before the next."""
        draw = self._committee(problem, model, seed)
        draws = _Settled.by(draw([point.candidate for point in pending])).left(draw(candidates))
        chance = np.ones(len(candidates))
        if problem.constraints:
            chance = likely(problem, at_target(problem, model, candidates))
        picks: list[Pick] = []
        taken = np.zeros(len(candidates), dtype=bool)
        while len(picks) < min(n, len(candidates)):
            values = np.where(taken, -np.inf, draws.std(0) * chance)
            best = int(np.argmax(values))
            picks.append(Pick(best, float(values[best])))
            taken[best] = True
            draws = _Settled.by(draws[:, [best]]).left(draws)
        return picks

    def _committee(self, problem: Problem, model: FittedSurrogate, seed: int) -> Paths:
        """The members' values ``k x b`` of candidates (b), less their mean."""
        paths = cast(SamplePaths, model).paths(problem.objective.output, problem.target, self.members, seed=seed)

        def centred(candidates: Sequence[Candidate]) -> Array:
            values = paths(candidates)
            return np.asarray(values - values.mean(0), dtype=np.float64)

        return centred


@dataclass(frozen=True)
class _Settled:
    """An orthonormal basis ``k x p`` of what labels at some candidates tell about which member is right."""

    basis: Array

    @classmethod
    def by(cls, draws: Array) -> _Settled:
        """What labels at the columns of `draws` (``k x p``, centred) settle."""
        if draws.shape[1] == 0:
            return cls(np.zeros((len(draws), 0)))
        left, sizes, _ = np.linalg.svd(draws, full_matrices=False)
        return cls(left[:, sizes > LEAST * max(float(sizes[0]), 1e-300)])

    def left(self, draws: Array) -> Array:
        """What of `draws` (``k x b``) is still open."""
        return np.asarray(draws - self.basis @ (self.basis.T @ draws), dtype=np.float64)
