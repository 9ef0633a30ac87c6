"""What is known at the target fidelity: which labels count, which keep the constraints, and which are the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array, Dataset, Problem
from theoros.models.pareto import ranks
from theoros.oracles.candidate import Candidate

#: The best labelled candidates that proposers are told of; more would only cost time.
MOST_LABELLED = 1_000


def labelled_utilities(problem: Problem, dataset: Dataset) -> tuple[NDArray[np.int64], Array, NDArray[np.bool_]]:
    """Rows of `dataset` whose `k` objectives were all observed at the target (n), their utilities ``n x k`` (or their
    desirability ``n x 1``), and whether each is feasible (n).
    """
    at_target = [point.fidelity == problem.target for point in dataset.points]
    values = np.asarray(dataset.values, dtype=np.float64)
    columns = {goal.output: values[:, dataset.outputs.index(goal.output)] for goal in problem.objectives}
    if problem.desirability is not None:
        wanted = [problem.desirability.graded(columns)]
    else:
        wanted = [goal.utility(columns[goal.output]) for goal in problem.objectives]
    utilities = np.stack(wanted, axis=1)
    rows = np.flatnonzero(np.array(at_target, dtype=bool) & np.isfinite(utilities).all(1))
    feasible = np.ones(len(rows), dtype=bool)
    for constraint in problem.constraints:
        observed = values[rows, dataset.outputs.index(constraint.output)]
        feasible &= observed <= constraint.bound if constraint.op == "<=" else observed >= constraint.bound
    return rows, utilities[rows], feasible


def labelled_best_first(problem: Problem, dataset: Dataset, most: int = MOST_LABELLED) -> tuple[Candidate, ...]:
    """The distinct candidates labelled at the target fidelity: feasible ones by objective, then the others.

    With several objectives by front, and in a front by the sum of utilities over their spreads. For ``learn``, where no
    value is better than another, the latest first. No more than `most`.
    """
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    found: dict[str, Candidate] = {}
    for row in rows[np.lexsort((rows, *_losses(problem, rows, utilities, feasible, most), ~feasible))]:
        candidate = dataset.points[int(row)].candidate
        found.setdefault(candidate.hash, candidate)
        if len(found) >= most:
            break
    return tuple(found.values())


def _losses(
    problem: Problem, rows: NDArray[np.int64], utilities: Array, feasible: NDArray[np.bool_], most: int
) -> list[Array]:
    """Keys (n) to sort labels by, the last one first."""
    if problem.goal == "learn":
        return [-rows.astype(np.float64)]
    if utilities.shape[1] == 1:
        return [-utilities[:, 0]]
    spread = utilities.std(0) if len(utilities) else np.ones(utilities.shape[1])
    total = (utilities / np.where(spread > 0, spread, 1.0)).sum(1)
    front = np.zeros(len(rows))
    front[feasible] = ranks(utilities[feasible], most)
    return [-total, front]
