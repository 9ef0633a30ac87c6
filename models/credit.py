"""What proposers and acquisitions have earned, and the shares that they get for it.

Everything follows from what the database holds of decisions and labels, so a campaign that is resumed goes on with the
same shares. Processor time counts only where a campaign asks for it: no two runs take the same time, and a campaign
that counts it does not repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.special import betaincinv

from theoros.models.data import Array, Dataset, Offer, Origin, Problem
from theoros.models.labelled import labelled_utilities
from theoros.models.sampling import unit_quasirandom

#: A label earns the chance that it is better than all of so many labels drawn from those before it, and a proposal
#: promises the chance that it is better than all of so many proposals drawn from its pool.
DRAWN = 5
#: What a label, or a pool, counts beside the next one: some fifty of them are remembered.
MEMORY = 0.98
#: Labels that are judged at all: what lies further back counts less than a thousandth.
JUDGED = 400
#: Labels that the belief about an arm begins with, all worth what the arms earn on average.
PRIOR = 2.0
#: The least share of every arm, so that one which was unlucky, or whose time comes late, is not lost.
FLOOR = 0.08
#: Draws from which the chance is found that an arm is the best.
DRAWS = 512
#: The least seconds that a decision is taken to cost, so that credit per second is finite.
LEAST_SECONDS = 1e-3

Kind = Literal["proposer", "acquisition"]


def shares(
    problem: Problem, dataset: Dataset, kind: Kind, arms: Sequence[str], *, per_second: bool = False
) -> dict[str, float]:
    """What part each of `arms` gets, which are names of proposers or of acquisitions; sums up to one.

    The chance that the arm has the largest credit: what its labels earn on average, and of a proposer also what its
    proposals promise, by Beta beliefs from labels and pools of which older ones count less and less. It is the share of
    choices that discounted Thompson sampling gives an arm (Raj & Kalyani, arXiv:1707.09727), found without chance, and
    at least `FLOOR`. Equal as long as there is nothing to go by.

    With `per_second` the credit of a proposer is divided by what a decision from its proposals costs: its own processor
    seconds and those that a label takes, both on average. So a slow proposer is a burden beside an oracle that answers
    in a second, and none beside one that takes ten minutes.
    """
    if not arms:
        return {}
    labels = _earned(problem, dataset, kind, arms)
    pools = _promised(dataset, arms) if kind == "proposer" else np.zeros_like(labels)
    if labels.sum() + pools.sum() == 0 or len(arms) == 1:
        return dict.fromkeys(arms, 1 / len(arms))
    drawn = _drawn(labels, seed=0) + _drawn(pools, seed=1)
    if per_second and kind == "proposer":
        drawn = drawn / _seconds(dataset, arms)
    best = np.bincount(drawn.argmax(1), minlength=len(arms)) / DRAWS
    floor = min(FLOOR, 1 / len(arms))
    return dict(zip(arms, (floor + (1 - floor * len(arms)) * best).tolist(), strict=True))


def earnings(problem: Problem, dataset: Dataset) -> dict[int, float]:
    """What each label at the target earned (0 to 1), by its row, in the order of decisions.

    A label at the target earns the chance that it is better than all of `DRAWN` labels from before it, or in search of
    a front that none of them is as good in every objective, with what is infeasible below what is feasible: by ranks,
    as units and outliers say nothing of a chooser's worth (Fialho et al., GECCO 2010, doi:10.1145/1830483.1830619). One
    that breaks a constraint earns nothing; a candidate that failed is not judged. Where a campaign learns, no value is
    better than another and none is judged; nor is any before the last `JUDGED`.
    """
    if problem.goal != "optimize":
        return {}
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    worth = np.where(feasible[:, None], utilities, -np.inf)
    first = max(0, len(rows) - JUDGED)
    return {int(row): _chance(worth, i) for i, row in enumerate(rows[first:], first)}


def promises(proposers: Sequence[str], values: Array) -> dict[str, float]:
    """What the proposals of each proposer promise (0 to 1), by who made each of a pool (n) and its acquisition value.

    A proposal promises the chance that it is better than all of `DRAWN` proposals, each drawn from a proposer that was
    itself drawn at random: so it counts nothing how many proposals anybody made. A proposer's promise is the mean of
    its proposals. By ranks, as for `earnings`; a value that is no number is below all others. Empty where one proposer
    made all.
    """
    worth = np.where(np.isnan(values), -np.inf, values)
    who = np.asarray(proposers)
    names = list(dict.fromkeys(proposers))
    if len(names) < 2:
        return {}
    below = np.zeros(len(worth))
    for name in names:
        theirs = np.sort(worth[who == name])
        below += np.searchsorted(theirs, worth, side="left") / (len(theirs) * len(names))
    return {name: float((below[who == name] ** DRAWN).mean()) for name in names}


def offers(
    made: Mapping[str, int], seconds: Mapping[str, float], shares: Mapping[str, float], promises: Mapping[str, float]
) -> tuple[Offer, ...]:
    """What the proposers brought to one pool: how many proposals each `made`, and in how many processor `seconds`."""
    return tuple(
        Offer(name, made.get(name, 0), seconds.get(name, 0.0), shares.get(name), promises.get(name))
        for name in dict.fromkeys((*seconds, *made))
    )


def merged(pools: Sequence[Sequence[Offer]]) -> tuple[Offer, ...]:
    """The offers of several pools that were made for one decision, as of one pool; each pool counts once."""
    found: dict[str, Offer] = {}
    for offer in (offer for pool in dict.fromkeys(map(tuple, pools)) for offer in pool):
        old = found.get(offer.proposer)
        if old is not None:
            told = [one.promise for one in (old, offer) if one.promise is not None]
            offer = offer._replace(
                proposals=old.proposals + offer.proposals,
                seconds=old.seconds + offer.seconds,
                promise=float(np.mean(told)) if told else None,
            )
        found[offer.proposer] = offer
    return tuple(found.values())


def told(shares: Mapping[str, float]) -> str:
    """Shares in words."""
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def _chance(worth: Array, i: int) -> float:
    if i == 0 or not np.isfinite(worth[i]).all():
        return 0.0
    as_good = (worth[:i] >= worth[i]).all(1)
    return float((~as_good).mean() ** DRAWN)


def _earned(problem: Problem, dataset: Dataset, kind: Kind, arms: Sequence[str]) -> Array:
    """What each arm has won and lost (2 x arms), in labels, old ones counting less."""
    counts = np.zeros((2, len(arms)))
    if not dataset.origins:
        return counts
    places = {arm: place for place, arm in enumerate(arms)}
    for row, value in earnings(problem, dataset).items():
        origin = dataset.origins[row]
        place = None if origin is None else places.get(getattr(origin, kind))
        if place is not None:
            counts *= MEMORY
            counts[:, place] += value, 1 - value
    return counts


def _promised(dataset: Dataset, arms: Sequence[str]) -> Array:
    """What the proposals of each arm have promised and what they lacked (2 x arms), in pools, old ones counting less.

    Pools are known by the decisions that have labels, at any fidelity.
    """
    counts = np.zeros((2, len(arms)))
    places = {arm: place for place, arm in enumerate(arms)}
    for origin in _recent(dataset):
        promised = [(places[o.proposer], o.promise) for o in origin.offers if o.proposer in places]
        known = [(place, promise) for place, promise in promised if promise is not None]
        counts *= MEMORY if known else 1.0
        for place, promise in known:
            counts[:, place] += promise, 1 - promise
    return counts


def _drawn(counts: Array, *, seed: int) -> Array:
    """Draws of what each arm is worth on average (DRAWS x arms), by Beta beliefs; 0 where nothing was counted."""
    n = counts.shape[1]
    if counts.sum() == 0:
        return np.zeros((DRAWS, n))
    average = float(np.clip(counts[0].sum() / counts.sum(), 0.01, 0.99))
    quantiles = unit_quasirandom(DRAWS, n, seed=seed)
    return np.asarray(betaincinv(PRIOR * average + counts[0], PRIOR * (1 - average) + counts[1], quantiles))


def _seconds(dataset: Dataset, arms: Sequence[str]) -> Array:
    """What a decision from each arm's proposals costs (arms), in seconds: its own and those of a label, on average.

    Several decisions that are made from one pool share its time. An arm that was never timed is taken to be as fast as
    the others are on average; a label whose time nobody measured does not count.
    """
    recent = _recent(dataset)
    pools = [place for place, origin in enumerate(recent) if origin.offers]
    own: dict[str, list[float]] = {arm: [] for arm in arms}
    for offer in (offer for place in pools for offer in recent[place].offers):
        if offer.proposer in own:
            own[offer.proposer].append(offer.seconds)
    means = np.array([np.mean(times) if times else np.nan for times in own.values()])
    usual = float(np.nanmean(means)) if np.isfinite(means).any() else 0.0
    decisions = (len(recent) - pools[0]) / len(pools) if pools else 1.0
    asked = [origin.seconds for origin in recent if origin.seconds is not None]
    label = float(np.mean(asked)) if asked else 0.0
    return np.asarray(np.maximum(label + np.where(np.isnan(means), usual, means) / decisions, LEAST_SECONDS))


def _recent(dataset: Dataset) -> list[Origin]:
    """The origins of the last `JUDGED` decisions, as far as they are known, in their order."""
    return [origin for origin in dataset.origins[: dataset.decided][-JUDGED:] if origin is not None]
