"""Ask where a twin's members foresee different answers, and not where they all foresee scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from theoros.models.acquisition.member_patterns import drawn, one_after_another, patterns, unsettled, width
from theoros.models.acquisition.predicted import at_target, likely
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.sampling import derived_seed
from theoros.models.twins.contract import FittedTwin
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class DistributionDistance:
    """The mean energy distance between the answers that two members of a twin would give at x.

    ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` (Székely & Rizzo, J. Stat. Plan. Inference 143, 1249 (2013),
    doi:10.1016/j.jspi.2013.03.018), over all pairs of members, without bias: noise that all members agree on adds
    nothing, whatever its size and shape, so it is disagreement net of noise, and that of whole distributions: members
    with the same means but different tails, or other correlations between the outputs, differ too. The objectives'
    draws, in units of their labels' spread, are looked at along `directions` (one output needs one), over which the
    mean is the distance of vectors but for a factor. What is below zero by chance counts as zero. An array that the
    twin learned beside them counts as one more output (`theoros.models.twins.contract.DrawsArrays`).

    In a batch, and beside pending points, a candidate counts for less the more its members differ as they do at one
    that is asked already: by one less the squared correlation of their mean answers. Where there are constraints it is
    weighed by the probability that they hold. Scores carry the error of `draws` draws from each member.
    """

    draws: int = 64
    directions: int = 16

    name: ClassVar[str] = "distribution_distance"
    needs: ClassVar[frozenset[str]] = frozenset({"generative"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Distances in units of the outputs' spread, less what pending labels will settle."""
        asked = self._looked_at(problem, model, dataset, [point.candidate for point in pending], seed)[1]

        def score(candidates: Sequence[Candidate]) -> Array:
            values, own = self._looked_at(problem, model, dataset, candidates, seed)
            return np.asarray(values * unsettled(own, asked), dtype=np.float64)

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
        asked = self._looked_at(problem, model, dataset, [point.candidate for point in pending], seed)[1]
        values, own = self._looked_at(problem, model, dataset, candidates, seed)
        return one_after_another(values * unsettled(own, asked), own, n)

    def _looked_at(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, candidates: Sequence[Candidate], seed: int
    ) -> tuple[Array, Array]:
        """Distances (b), weighed by the constraints, and patterns ``b x f``."""
        twin = cast(FittedTwin, model)
        m = width(problem, twin)
        directions = _directions(m, self.directions, derived_seed(seed, "directions"))
        values, own = [np.zeros(0)], [np.zeros((0, twin.members * m))]
        for chunk, samples in drawn(problem, twin, dataset, candidates, self.draws, seed):
            distances = np.maximum(sliced_energy_distance(samples, directions), 0.0)
            chance = likely(problem, at_target(problem, twin, chunk)) if problem.constraints else 1.0
            values.append(np.nan_to_num(distances * chance))
            own.append(patterns(samples))
        return np.concatenate(values), np.concatenate(own)


def sliced_energy_distance(draws: Array, directions: Array) -> Array:
    """The mean energy distance (p) over pairs of members of ``members x n x p x m`` draws along ``l x m`` directions.

    Unbiased, so that members which are alike have a distance of zero in the mean, and some a little less. In one
    dimension the sum of all differences follows from the ranks, without a loop over pairs.
    """
    members, n = draws.shape[:2]
    if members < 2:
        return np.zeros(draws.shape[2])
    total = np.zeros(draws.shape[2])
    for direction in directions:
        along = draws @ direction
        own = _differences(along, 1) / (n * (n - 1))
        everywhere = _differences(along.reshape(members * n, -1), 0)
        between = (everywhere - n * (n - 1) * own.sum(0)) / (n**2 * members * (members - 1))
        total += 2 * (between - own.mean(0))
    return np.asarray(total / len(directions), dtype=np.float64)


def _differences(values: Array, axis: int) -> Array:
    """The sum of ``|a - b|`` over all ordered pairs along `axis`."""
    k = values.shape[axis]
    weights = 2.0 * (2 * np.arange(1, k + 1) - k - 1)
    return np.asarray(np.tensordot(weights, np.sort(values, axis=axis), axes=(0, axis)), dtype=np.float64)


def _directions(m: int, n: int, seed: int) -> Array:
    """Random directions ``n x m`` of squared length `m`, or the only one."""
    if m == 1:
        return np.ones((1, 1))
    chosen = np.random.default_rng(seed).normal(size=(n, m))
    return np.asarray(math.sqrt(m) * chosen / np.linalg.norm(chosen, axis=1, keepdims=True), dtype=np.float64)
