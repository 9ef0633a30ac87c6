"""Thompson sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from theoros.models.acquisition.predicted import VIOLATION_WEIGHT, one_of_each, units_of
from theoros.models.contract import FittedSurrogate, Paths, SamplePaths, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.labelled import labelled_utilities
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate

#: Paths that are evaluated at once: bounds the memory of a matrix of paths by candidates.
TOGETHER = 64
#: What the sum of several utilities counts beside the least of them.
SUM_SHARE = 0.05


@dataclass(frozen=True)
class Thompson:
    """One draw of the objective: a candidate is chosen as often as it is believed to be the best.

    Thompson, Biometrika 25, 285 (1933); Kandasamy et al., AISTATS 2018, arXiv:1705.09236, for asynchronous workers,
    whose pending points need no other care than a fresh draw for each decision; Hernández-Lobato et al., ICML 2017,
    arXiv:1706.01825, for batches of hundreds, where every pick has a draw of its own. Serves every surrogate that can
    draw functions (`theoros.models.contract.SamplePaths`). Constraints are drawn too.
    """

    name: ClassVar[str] = "thompson"
    needs: ClassVar[frozenset[str]] = frozenset({"samples"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize", "match", "pareto", "desirability"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Values of the drawn path in the objective's unit, larger being better, less a penalty for violations."""
        paths = self.paths(problem, model, dataset, 1, seed=seed)
        return lambda candidates: paths(candidates)[0]

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
        """For each of `n` paths its best candidate that no earlier path has taken."""

        def rows() -> Iterator[Array]:
            for start in range(0, n, TOGETHER):
                group = derived_seed(seed, "group", start)
                paths = self.paths(problem, model, dataset, min(TOGETHER, n - start), seed=group)
                yield from paths(candidates)

        return one_of_each(rows(), n)

    def paths(self, problem: Problem, model: FittedSurrogate, dataset: Dataset, n: int, *, seed: int) -> Paths:
        """`n` draws of the value of a candidate: its utility less a penalty where a drawn constraint is violated.

        Of several objectives each draw takes another compromise (`_compromise`), unless it is said what is desirable.

        Raises TypeError when the model can't draw functions.
        """
        if not hasattr(model, "paths"):
            raise TypeError(
                f"The surrogate {model.name!r} can't draw functions, which 'thompson' needs. "
                f"Use 'ei', 'ucb' or 'greedy' with it, or a Gaussian process or random forest."
            )
        units = units_of(problem, dataset)
        sampler = cast(SamplePaths, model)
        worth = _compromise(problem, dataset, n, derived_seed(seed, "compromise"))
        unit = units[problem.objective.output] if problem.aim in ("optimize", "match") else 1.0
        drawn = {name: sampler.paths(name, problem.target, n, seed=derived_seed(seed, name)) for name in units}

        def values(candidates: Sequence[Candidate]) -> Array:
            found = {name: paths(candidates) for name, paths in drawn.items()}
            if problem.desirability is not None:
                total = problem.desirability.graded(found)
            else:
                total = worth({goal.output: goal.utility(found[goal.output]) for goal in problem.objectives})
            for constraint in problem.constraints:
                sign = 1.0 if constraint.op == "<=" else -1.0
                violation = sign * (found[constraint.output] - constraint.bound) / units[constraint.output]
                total = total - VIOLATION_WEIGHT * unit * np.maximum(violation, 0.0)
            return np.asarray(np.nan_to_num(total, nan=-np.inf), dtype=np.float64)

        return values


def _compromise(problem: Problem, dataset: Dataset, n: int, seed: int) -> Callable[[dict[str, Array]], Array]:
    """How much `n` draws of all utilities (each ``n x b``) are worth together: ``n x b``.

    The utility itself where there is one objective. Else each draw has weights of its own, uniform on the simplex, and
    its worth is the least weighted utility, with utilities between 0 and 1 over the labels, plus a small part of their
    sum: the augmented Chebyshev function of ParEGO (Knowles, IEEE Trans. Evol. Comput. 10, 50 (2006),
    doi:10.1109/TEVC.2005.851274).
    """
    if len(problem.objectives) == 1:
        return lambda utilities: utilities[problem.objective.output]
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(problem.objectives)), size=n)
    _, known, feasible = labelled_utilities(problem, dataset)
    known = known[feasible] if feasible.any() else known
    low = known.min(0) if len(known) else np.zeros(len(problem.objectives))
    width = np.ptp(known, axis=0) if len(known) else np.ones(len(problem.objectives))
    width = np.where(width > 0, width, 1.0)

    def worth(utilities: dict[str, Array]) -> Array:
        parts = np.stack(
            [
                weights[:, i, None] * (utilities[goal.output] - low[i]) / width[i]
                for i, goal in enumerate(problem.objectives)
            ]
        )
        return np.asarray(parts.min(0) + SUM_SHARE * parts.sum(0), dtype=np.float64)

    return worth
