"""Learning where the oracle fails, so that candidates are looked for elsewhere."""

from __future__ import annotations

from dataclasses import replace

from theoros.models.data import Dataset, OutcomeConstraint, Problem
from theoros.models.run_time import with_run_time

#: The output that is 1 for a label and 0 for a candidate that failed for good.
SUCCEEDS = "succeeds"
#: Half way between a failure and a label.
EVEN = 0.5


def problem_of(problem: Problem, dataset: Dataset) -> Problem:
    """`problem` as it stands with `dataset`: once candidates have failed, a candidate also has to succeed.

    Success is one more output with a constraint, so that every surrogate learns it and every acquisition weighs it, by
    what they have for constraints: a least-squares classifier (Rasmussen & Williams, Gaussian Processes for Machine
    Learning (2006), section 6.5) in the probability of feasibility of Gardner et al. (ICML 2014). Run times are one
    more output, where they are asked for.
    """
    problem = with_run_time(problem, dataset)
    if SUCCEEDS not in dataset.outputs or SUCCEEDS in problem.outputs:
        return problem
    constraint = OutcomeConstraint(SUCCEEDS, ">=", EVEN)
    return replace(problem, outputs=(*problem.outputs, SUCCEEDS), constraints=(*problem.constraints, constraint))
