"""Query by committee: ask where functions that all agree with the labels disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from theoros.models.acquisition.predicted import CHUNK, at_target, likely
from theoros.models.acquisition.several import units
from theoros.models.contract import FittedSurrogate, Paths, SamplePaths, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.oracles.candidate import Candidate

#: Directions in which candidates differ by less than this share of the largest are rounding.
LEAST = 1e-9


@dataclass(frozen=True)
class QueryByCommittee:
    """The standard deviation over a committee of `members` drawn functions.

    Seung, Opper & Sompolinsky, COLT 1992; for regression Krogh & Vedelsby, NIPS 1994. In a batch each pick takes out of
    the committee's disagreement what its label would settle, by their covariance over the draws, so that the next one
    is not its neighbour: `members` also bound how many picks can differ for a reason. Of several outputs that are
    learned it is the root of the sum of their squares, each in units of its labels' spread. Where there are constraints
    it is weighed by the probability that they hold.
    """

    members: int = 32

    name: ClassVar[str] = "committee"
    needs: ClassVar[frozenset[str]] = frozenset({"samples"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Spreads, of a single output in its unit, less what pending labels will settle."""
        committees = self._committees(problem, model, dataset, seed)
        waiting = [point.candidate for point in pending]
        settled = [_Settled.by(draw(waiting)) for draw in committees]

        def score(candidates: Sequence[Candidate]) -> Array:
            values = np.empty(len(candidates))
            for start in range(0, len(candidates), CHUNK):
                chunk = candidates[start : start + CHUNK]
                left = [known.left(draw(chunk)) for known, draw in zip(settled, committees, strict=True)]
                chance = likely(problem, at_target(problem, model, chunk)) if problem.constraints else 1.0
                values[start : start + len(chunk)] = _spread(left) * chance
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
        waiting = [point.candidate for point in pending]
        committees = self._committees(problem, model, dataset, seed)
        left = [_Settled.by(draw(waiting)).left(draw(candidates)) for draw in committees]
        chance = np.ones(len(candidates))
        if problem.constraints:
            chance = likely(problem, at_target(problem, model, candidates))
        picks: list[Pick] = []
        taken = np.zeros(len(candidates), dtype=bool)
        while len(picks) < min(n, len(candidates)):
            values = np.where(taken, -np.inf, _spread(left) * chance)
            best = int(np.argmax(values))
            picks.append(Pick(best, float(values[best])))
            taken[best] = True
            left = [_Settled.by(draws[:, [best]]).left(draws) for draws in left]
        return picks

    def _committees(self, problem: Problem, model: FittedSurrogate, dataset: Dataset, seed: int) -> list[Paths]:
        """For each output the members' values ``k x b`` of candidates (b), less their mean."""

        def centred(paths: Paths, unit: float) -> Paths:
            def at(candidates: Sequence[Candidate]) -> Array:
                values = paths(candidates)
                return np.asarray((values - values.mean(0)) / unit, dtype=np.float64)

            return at

        source = cast(SamplePaths, model)
        return [
            centred(source.paths(output, problem.target, self.members, seed=seed), unit)
            for output, unit in units(problem, dataset).items()
        ]


def _spread(draws: Sequence[Array]) -> Array:
    """The deviation (b) over members of each output's draws ``k x b``, all outputs together."""
    parts = [own.std(0) for own in draws]
    return np.asarray(parts[0] if len(parts) == 1 else np.linalg.norm(parts, axis=0), dtype=np.float64)


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
