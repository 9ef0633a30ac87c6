"""Which fidelity to ask of a chosen candidate."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from theoros.models.acquisition.base import GaussianBelief, hallucinated
from theoros.models.agreement import LEAST_SHARED
from theoros.models.data import Dataset, Point, Problem
from theoros.oracles.candidate import Candidate

#: Variance (standardised) below which knowing more is worth nothing: one per cent of the output's spread. It keeps
#: the information in a noise-free label finite.
RESOLUTION = 1e-4
#: A cheap label must explain at least this share of the target's variance at the candidate, or it is not asked: a
#: level that does not rank well harms more than it saves (negative transfer).
LEAST_SHARE = 0.1
#: After this many decisions below the target fidelity in a row, or when they have cost as much as one at the target,
#: the next one is at the target: the budget of target labels is there to be used.
LONGEST_RUN = 8
#: A level that costs more than this part of a label at the target is not tried where it seems to tell nothing.
CHEAP = 0.25


@dataclass(frozen=True)
class FidelityChoice:
    """A fidelity and why it was taken."""

    fidelity: str
    reason: str


def choose_fidelity(
    problem: Problem,
    belief: GaussianBelief,
    candidate: Candidate,
    dataset: Dataset,
    pending: Sequence[Point],
    allowed: Collection[str],
) -> FidelityChoice | None:
    """The level that tells most about the target's outputs at `candidate` for its cost, among `allowed`.

    For each level f the information that its label would bring on the target value at the candidate is
    ``I_f = 1/2 log(v / v_f)``, with v the target's variance there (given the labels, and pending points at their
    means) and v_f the variance once f is known as well; informations of the objective and of the constraints add up.
    The level with the largest ``I_f / cost_f`` is taken: maximum-entropy search's view of one point (Takeno et al.,
    ICML 2020, arXiv:1901.08275) restricted to the candidate that the acquisition has chosen. A level whose label
    explains less than `LEAST_SHARE` of v is left out, and a run of cheap decisions ends as `LONGEST_RUN` says. What it
    explains is an estimate, though, and from the few candidates of an initial design it can come out as nothing at all,
    which no later label would correct if the level were asked no more: so a cheap one is first asked of `LEAST_SHARED`.
    Returns None when `allowed` is empty.
    """
    levels = [(f, cost) for f, cost in zip(problem.fidelities, problem.costs, strict=True) if f in allowed]
    if not levels:
        return None
    if len(levels) == 1:
        return FidelityChoice(levels[0][0], "the only level left to ask")
    if problem.target in allowed and (reason := _run_is_over(problem, dataset, pending)):
        return FidelityChoice(problem.target, reason)
    best, best_rate, told = levels[-1][0], -math.inf, ""
    doubtful: FidelityChoice | None = None
    for fidelity, cost in levels:
        share, information = _information(problem, belief, candidate, fidelity, pending)
        if fidelity != problem.target and problem.target in allowed and share < LEAST_SHARE:
            doubtful = doubtful or _trial(problem, dataset, pending, fidelity, cost)
            continue
        if (rate := information / max(cost, 1e-12)) > best_rate:
            best, best_rate = fidelity, rate
            told = f"explains {share:.0%} of the target's variance here at cost {cost:g}"
    return doubtful if doubtful is not None and best == problem.target else FidelityChoice(best, told)


def _trial(
    problem: Problem, dataset: Dataset, pending: Sequence[Point], fidelity: str, cost: float
) -> FidelityChoice | None:
    """One more label of a level that seems to tell nothing, while it is cheap and little is known of it."""
    if cost > CHEAP * problem.costs[-1]:
        return None
    asked = {p.candidate.hash for p in (*dataset.points[: dataset.decided], *pending) if p.fidelity == fidelity}
    if len(asked) >= LEAST_SHARED:
        return None
    return FidelityChoice(fidelity, f"seems to tell nothing of the target, by {len(asked)} candidates: tried once more")


def _information(
    problem: Problem, belief: GaussianBelief, candidate: Candidate, fidelity: str, pending: Sequence[Point]
) -> tuple[float, float]:
    """The explained share of the objectives' target variance (their mean), and the information (nats) on all outputs
    that count.
    """
    level, target = problem.fidelities.index(fidelity), len(problem.fidelities) - 1
    features = belief.encode([candidate])
    information = 0.0
    shares: list[float] = []
    wanted = {goal.output for goal in problem.objectives}
    for name in problem.judged:
        model = hallucinated(belief, name, pending)
        there, asked = model.inputs(features, target), model.inputs(features, level)
        with torch.no_grad():
            variance = float(model.posterior.moments(there)[1])
            spread = float(model.posterior.moments(asked)[1]) + model.noise
            shared = float(model.posterior.covariance(there, asked)) ** 2 / spread
        left = max(variance - shared, 0.0)
        information += 0.5 * math.log((variance + RESOLUTION) / (left + RESOLUTION))
        if name in wanted:
            shares.append(1 - (left + RESOLUTION) / (variance + RESOLUTION))
    return sum(shares) / len(shares), information


def _run_is_over(problem: Problem, dataset: Dataset, pending: Sequence[Point]) -> str:
    costs = dict(zip(problem.fidelities, problem.costs, strict=True))
    run = 0
    spent = 0.0
    for point in (*reversed(pending), *reversed(dataset.points[: dataset.decided])):
        if point.fidelity == problem.target:
            break
        run += 1
        spent += costs[point.fidelity]
    if run >= LONGEST_RUN:
        return f"{run} cheaper decisions in a row have been made"
    return "as much as one target label has gone into cheaper ones" if spent >= costs[problem.target] else ""
