"""Ask where a twin breaks the laws that it was taught: there it has not understood its process yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import numpy as np

from theoros.models.acquisition.member_patterns import less_settled, one_after_another, patterns_of
from theoros.models.acquisition.predicted import at_target, likely
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.sampling import derived_seed
from theoros.models.twins.contract import FittedTwin
from theoros.oracles.candidate import Candidate


class Lawful(Protocol):
    """A twin that can say how far the laws it was taught are from holding (`theoros.models.twins.physics`)."""

    def violations(self, candidates: Sequence[Candidate], *, seed: int) -> Mapping[str, Array]:
        """For each law ``members x n``, zero where it holds."""
        ...


@dataclass(frozen=True)
class Violation:
    """By how much a twin breaks the laws that it was taught at x, each in units of how it breaks it over the space.

    For each law the root mean square over the members, divided by that over `references` candidates drawn from the
    space (the labelled ones, where a space can't sample itself); the laws' squares add up. A residual needs no label,
    so it tells of mistakes where nothing was ever asked; refinement where it is large is as old as adaptive collocation
    (for networks Wu, Zhu, Tan, Kartha & Lu, Comput. Methods Appl. Mech. Eng. 403, 115671 (2023), arXiv:2207.10289).

    In a batch, and beside pending points, a candidate counts for less the more its members differ as they do at one
    that is asked already (`theoros.models.acquisition.member_patterns`, from `draws` draws). Where there are
    constraints it is weighed by the probability that they hold.
    """

    references: int = 256
    draws: int = 16

    name: ClassVar[str] = "violation"
    needs: ClassVar[frozenset[str]] = frozenset({"generative"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Violations, about one in the mean over the space; raises ValueError for a model that was taught no law."""
        units = self._units(problem, model, dataset, seed)
        asked = self._patterns(problem, model, dataset, [point.candidate for point in pending], seed)

        def score(candidates: Sequence[Candidate]) -> Array:
            values = _broken(problem, model, candidates, units, seed)
            if not pending:
                return values
            return less_settled(values, self._patterns(problem, model, dataset, candidates, seed), asked)

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
        values = self.scorer(problem, model, dataset, pending, seed=seed)(candidates)
        return one_after_another(values, self._patterns(problem, model, dataset, candidates, seed), n)

    def _units(self, problem: Problem, model: FittedSurrogate, dataset: Dataset, seed: int) -> dict[str, float]:
        """The root mean square of each law's violation over the space, one where it holds everywhere."""
        place = problem.space.sample(self.references, np.random.default_rng(derived_seed(seed, "references")))
        found = _violations(model, place or [point.candidate for point in dataset.points], seed)
        if not found:
            raise ValueError(
                f"The acquisition 'violation' asks where laws are broken, and the surrogate {model.name!r} was taught "
                "none. Give it residuals, or use 'distribution_distance'."
            )
        sizes = {name: float(np.sqrt(np.mean(values**2))) if values.size else 0.0 for name, values in found.items()}
        return {name: size if size > 0 else 1.0 for name, size in sizes.items()}

    def _patterns(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, candidates: Sequence[Candidate], seed: int
    ) -> Array:
        return patterns_of(problem, cast(FittedTwin, model), dataset, candidates, self.draws, seed)


def _violations(model: FittedSurrogate, candidates: Sequence[Candidate], seed: int) -> Mapping[str, Array]:
    if not hasattr(model, "violations"):
        return {}
    return cast(Lawful, model).violations(candidates, seed=derived_seed(seed, "violations"))


def _broken(
    problem: Problem, model: FittedSurrogate, candidates: Sequence[Candidate], units: Mapping[str, float], seed: int
) -> Array:
    """Violations (n) of all laws together, weighed by the constraints."""
    if not candidates:
        return np.zeros(0)
    squares = np.zeros(len(candidates))
    for name, values in _violations(model, candidates, seed).items():
        squares += np.mean(values**2, axis=0) / units[name] ** 2
    chance = likely(problem, at_target(problem, model, candidates)) if problem.constraints else 1.0
    return np.asarray(np.nan_to_num(np.sqrt(squares) * chance, nan=-np.inf), dtype=np.float64)
