"""When a place has been searched to the end, and what an improvement has to be worth from then on."""

from __future__ import annotations

import numpy as np

from theoros.models.acquisition.base import GaussianBelief
from theoros.models.data import Dataset, Problem
from theoros.models.labelled import labelled_utilities

#: When so many candidates so near the incumbent (in every coordinate of the unit cube) have gained less than
#: `NEGLIGIBLE`, the place is exhausted, and an improvement has to be `WORTHWHILE`: both in units of the labels'
#: standard deviation.
PATIENCE, NEAR, NEGLIGIBLE, WORTHWHILE = 3, 0.1, 1e-5, 0.05


def demanded(problem: Problem, belief: GaussianBelief, dataset: Dataset) -> float:
    """How much better than the incumbent a candidate has to be, in the process's units; 0 while its place yields.

    A Gaussian process that has found a minimum is sure of it and of little else; expected improvement goes on there,
    for gains far below what anyone asks for, as long as their expectation is larger than that of a better minimum
    elsewhere.
    """
    if problem.aim != "optimize" or not problem.deterministic:
        return 0.0
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    if len(rows) <= PATIENCE or not feasible.any():
        return 0.0
    goal = problem.objective
    sign = 1.0 if goal.sense == "minimize" else -1.0
    # In the process's units: where it sees orders of magnitude, a gain is small beside what is left, not beside all.
    losses = sign * belief.output(goal.output).standardised(-sign * utilities[:, 0], -1)
    loss = np.where(feasible, losses, np.inf)
    reached = np.minimum.accumulate(loss) <= loss.min() + NEGLIGIBLE
    since = int(np.argmax(reached))  # the label from which on nothing has been gained
    features = belief.encode([dataset.points[int(row)].candidate for row in rows[since:]])
    incumbent = features[int(np.argmin(loss[since:]))]
    near = int(((features - incumbent).abs().amax(1) < NEAR).sum()) - 1
    return WORTHWHILE if near >= PATIENCE else 0.0
