"""What is known at the target fidelity: which labels count, which keep the constraints, and which are the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theoros.models.contract import Array, Dataset, Problem
from theoros.oracles.candidate import Candidate

#: The best labelled candidates that proposers are told of; more would only cost time.
MOST_LABELLED = 1_000


def labelled_values(problem: Problem, dataset: Dataset) -> tuple[NDArray[np.int64], Array, NDArray[np.bool_]]:
    """Rows of `dataset` whose objective was observed at the target, these values, and whether each is feasible."""
    at_target = [point.fidelity == problem.target for point in dataset.points]
    values = np.asarray(dataset.values, dtype=np.float64)
    objective = values[:, dataset.outputs.index(problem.objective)]
    rows = np.flatnonzero(np.array(at_target, dtype=bool) & np.isfinite(objective))
    feasible = np.ones(len(rows), dtype=bool)
    for constraint in problem.constraints:
        observed = values[rows, dataset.outputs.index(constraint.output)]
        feasible &= observed <= constraint.bound if constraint.op == "<=" else observed >= constraint.bound
    return rows, objective[rows], feasible


def labelled_best_first(problem: Problem, dataset: Dataset, most: int = MOST_LABELLED) -> tuple[Candidate, ...]:
    """The distinct candidates labelled at the target fidelity: feasible ones by objective, then the others.

    For ``learn``, where no value is better than another, the latest first. No more than `most`.
    """
    rows, values, feasible = labelled_values(problem, dataset)
    loss = -rows.astype(np.float64) if problem.goal == "learn" else -values if problem.maximize else values
    found: dict[str, Candidate] = {}
    for row in rows[np.lexsort((rows, loss, ~feasible))]:
        candidate = dataset.points[int(row)].candidate
        found.setdefault(candidate.hash, candidate)
        if len(found) >= most:
            break
    return tuple(found.values())
