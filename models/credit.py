"""What proposers and acquisitions have earned by the labels of what they chose, and the shares that they get for it.

Everything follows from the labels and from who chose them, so a campaign that is resumed goes on with the same shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.stats import beta

from theoros.models.contract import Array, Dataset, Problem
from theoros.models.labelled import labelled_utilities
from theoros.models.sampling import unit_quasirandom

#: A label earns the chance that it is better than all of so many labels drawn from those before it.
DRAWN = 5
#: What a label counts beside the next one: some fifty of them are remembered.
MEMORY = 0.98
#: Labels that are judged at all: what lies further back counts less than a thousandth.
JUDGED = 400
#: Labels that the belief about an arm begins with, all worth what the arms earn on average.
PRIOR = 2.0
#: The least share of every arm, so that one which was unlucky, or whose time comes late, is not lost.
FLOOR = 0.08
#: Draws from which the chance is found that an arm is the best.
DRAWS = 512

Kind = Literal["proposer", "acquisition"]


def shares(problem: Problem, dataset: Dataset, kind: Kind, arms: Sequence[str]) -> dict[str, float]:
    """What part each of `arms` gets, which are names of proposers or of acquisitions; sums up to one.

    The chance that the arm is the best one, by what is known of their mean earnings: Beta beliefs from labels of which
    older ones count less and less. It is the share of choices that discounted Thompson sampling gives an arm (Raj &
    Kalyani, arXiv:1707.09727), found without chance, and at least `FLOOR`. Equal as long as nothing was earned.
    """
    if not arms:
        return {}
    won, lost = _counts(problem, dataset, kind, arms)
    if (won + lost).sum() == 0 or len(arms) == 1:
        return dict.fromkeys(arms, 1 / len(arms))
    average = float(np.clip(won.sum() / (won + lost).sum(), 0.01, 0.99))
    quantiles = unit_quasirandom(DRAWS, len(arms), seed=0)
    drawn = np.asarray(beta.ppf(quantiles, PRIOR * average + won, PRIOR * (1 - average) + lost))
    best = np.bincount(drawn.argmax(1), minlength=len(arms)) / DRAWS
    floor = min(FLOOR, 1 / len(arms))
    return dict(zip(arms, (floor + (1 - floor * len(arms)) * best).tolist(), strict=True))


def earnings(problem: Problem, dataset: Dataset) -> dict[int, float]:
    """What each label at the target earned (0 to 1), by its row, in the order of decisions.

    A label at the target earns the chance that it is better than all of `DRAWN` labels from before it, with what is
    infeasible below what is feasible: by ranks, as units and outliers say nothing of a chooser's worth (Fialho et al.,
    GECCO 2010, doi:10.1145/1830483.1830619). One that breaks a constraint earns nothing; a candidate that failed is not
    judged. Where no value is better than another, or many make a front, none is; nor is any before the last `JUDGED`.
    """
    if problem.goal != "optimize" or problem.aim == "pareto":
        return {}
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    worth = np.where(feasible, utilities[:, 0], -np.inf)
    first = max(0, len(rows) - JUDGED)
    return {int(row): _earned(worth, i) for i, row in enumerate(rows[first:], first)}


def told(shares: Mapping[str, float]) -> str:
    """Shares in words."""
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def _earned(worth: Array, i: int) -> float:
    if i == 0 or not np.isfinite(worth[i]):
        return 0.0
    return float((worth[:i] < worth[i]).mean() ** DRAWN)


def _counts(problem: Problem, dataset: Dataset, kind: Kind, arms: Sequence[str]) -> tuple[Array, Array]:
    """What each arm has won and lost, in labels, old ones counting less."""
    won, lost = np.zeros(len(arms)), np.zeros(len(arms))
    if not dataset.origins:
        return won, lost
    places = {arm: place for place, arm in enumerate(arms)}
    for row, value in earnings(problem, dataset).items():
        origin = dataset.origins[row]
        place = None if origin is None else places.get(getattr(origin, kind))
        if place is not None:
            won, lost = MEMORY * won, MEMORY * lost
            won[place] += value
            lost[place] += 1 - value
    return won, lost
