"""Training and deciding, as pure functions of what the database holds: used by the model workers and by ask/tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.models.contract import Choice, Dataset, FittedSurrogate, Point, Problem, Proposal
from theoros.models.feasibility import problem_of


@dataclass(frozen=True)
class ModelPlan:
    """Which models a campaign uses, by their registered names."""

    problem: Problem
    surrogate: str
    acquisition: str
    proposers: tuple[str, ...]
    initial_proposer: str


@dataclass(frozen=True)
class Belief:
    """A fitted surrogate with the labels that it has seen; `sequences` are their evaluations' numbers."""

    model: FittedSurrogate
    dataset: Dataset
    sequences: frozenset[int]


@dataclass(frozen=True)
class Check:
    """What the earlier belief predicted of a label that it had not seen, beside what came."""

    sequence: int
    output: str
    mean: float
    std: float
    observed: float


@dataclass(frozen=True)
class FitReport:
    """What is told of a fit without the model itself: light enough for a process that never imports torch."""

    surrogate: str
    n_labels: int
    sequences: frozenset[int]
    fell_back: bool
    message: str
    hyperparameters: Mapping[str, Any]
    checks: tuple[Check, ...]
    seconds: float


@dataclass(frozen=True)
class Decided:
    """Choices, and the seconds that choosing them took."""

    choices: tuple[Choice, ...]
    seconds: float


def train(
    plan: ModelPlan, dataset: Dataset, sequences: Sequence[int], *, seed: int, previous: Belief | None
) -> tuple[Belief, FitReport]:
    """Hold the previous belief against the labels that are new, then fit to all of them."""
    from theoros.models.registry import surrogate

    started = time.perf_counter()
    checks = prospective_checks(plan.problem, previous, dataset, sequences) if previous is not None else ()
    model = surrogate(plan.surrogate).fit(
        problem_of(plan.problem, dataset), dataset, seed=seed, previous=previous.model if previous is not None else None
    )
    belief = Belief(model, dataset, frozenset(sequences))
    report = FitReport(
        model.name,
        int(np.isfinite(dataset.values[:, : len(plan.problem.outputs)]).any(1).sum()),
        belief.sequences,
        model.fell_back,
        model.message,
        dict(model.hyperparameters()),
        checks,
        time.perf_counter() - started,
    )
    return belief, report


def prospective_checks(
    problem: Problem, previous: Belief, dataset: Dataset, sequences: Sequence[int]
) -> tuple[Check, ...]:
    """The previous belief's predictions of all labels that it had not seen (rule 11's evidence)."""
    new = [row for row, sequence in enumerate(sequences) if sequence not in previous.sequences]
    if not new:
        return ()
    prediction = previous.model.predict([dataset.points[row] for row in new])
    theirs = [prediction.outputs.index(output) for output in problem.outputs]
    ours = [dataset.outputs.index(output) for output in problem.outputs]
    return tuple(
        Check(sequences[row], output, float(mean), float(std), float(observed))
        for i, row in enumerate(new)
        for output, mean, std, observed in zip(
            problem.outputs,
            prediction.mean[i, theirs],
            prediction.label_std[i, theirs],
            dataset.values[row, ours],
            strict=True,
        )
        if np.isfinite(observed) and np.isfinite(mean)
    )


def propose(
    plan: ModelPlan, belief: Belief | None, pending: Sequence[Point], seen: Set[str], *, n: int, seed: int
) -> list[Proposal]:
    """Ask for candidates to choose `n` decisions from: the initial design's proposer as long as there is no belief."""
    from theoros.models import decide, registry

    names = plan.proposers if belief is not None else (plan.initial_proposer,)
    dataset = belief.dataset if belief is not None else empty_dataset(plan.problem)
    return decide.propose(
        problem_of(plan.problem, dataset),
        [registry.proposer(name) for name in names],
        dataset,
        belief.model if belief is not None else None,
        registry.acquisition(plan.acquisition),
        pending,
        seen,
        n,
        seed,
    )


def select(
    plan: ModelPlan,
    belief: Belief,
    proposals: Sequence[Proposal],
    pending: Sequence[Point],
    seen: Set[tuple[str, str]],
    fidelities: Sequence[str],
    *,
    n: int,
    seed: int,
) -> Decided:
    """Choose up to `n` of `proposals` at one of `fidelities` each, aware of what is pending."""
    from theoros.models import decide, registry

    started = time.perf_counter()
    choices = decide.select(
        problem_of(plan.problem, belief.dataset),
        proposals,
        belief.dataset,
        belief.model,
        registry.acquisition(plan.acquisition),
        pending,
        seen,
        n,
        seed,
        fidelities,
    )
    return Decided(tuple(choices), time.perf_counter() - started)


def stale(
    plan: ModelPlan, belief: Belief, waiting: Sequence[Point], pending: Sequence[Point], seen: Set[str], *, seed: int
) -> list[int]:
    """Which of the `waiting` decisions should be made again under a new belief; their positions.

    They are scored beside fresh proposals, all aware of what is `pending`. One is stale when at least twice as many
    fresh candidates as decisions wait are better than it: a rank does not depend on the scale of the acquisition, and
    the factor keeps what is nearly as good, since a changed mind has its cost too. A decision that was a draw from the
    belief (Thompson sampling) is none to be weighed against another draw, and is kept.
    """
    from theoros.models import decide, registry

    if hasattr(registry.acquisition(plan.acquisition), "paths"):
        return []
    problem = problem_of(plan.problem, belief.dataset)
    own = {point.candidate.hash for point in waiting}
    proposals = decide.propose(
        problem,
        [registry.proposer(name) for name in plan.proposers],
        belief.dataset,
        belief.model,
        registry.acquisition(plan.acquisition),
        pending,
        seen,
        len(waiting),
        seed,
    )
    fresh = [proposal.candidate for proposal in proposals if proposal.candidate.hash not in own]
    score = registry.acquisition(plan.acquisition).scorer(problem, belief.model, belief.dataset, pending, seed=seed)
    values = score([*(point.candidate for point in waiting), *fresh])
    ours, theirs = values[: len(waiting)], values[len(waiting) :]
    return [i for i, value in enumerate(ours) if int((theirs > value).sum()) >= 2 * len(waiting)]


def chances(plan: ModelPlan, belief: Belief, points: Sequence[Point]) -> list[float]:
    """How likely the model holds it that each point's label beats the best feasible label there is (0 to 1).

    One, before there is such a label. Constraints count: the outputs' beliefs are multiplied as if independent.
    """
    from scipy.stats import norm

    dataset, goal = belief.dataset, plan.problem.objective
    problem = problem_of(plan.problem, dataset)
    best = best_utility(problem, dataset)
    if best is None or not points:
        return [1.0] * len(points)
    prediction = belief.model.predict([Point(point.candidate, problem.target) for point in points])
    column = prediction.outputs.index(goal.output)
    mean, std = prediction.mean[:, column], np.maximum(prediction.label_std[:, column], 1e-300)
    if goal.sense == "match":
        chance = norm.cdf((goal.target - best - mean) / std) - norm.cdf((goal.target + best - mean) / std)
    else:
        chance = norm.cdf((goal.utility(mean) - best) / std)
    for constraint in problem.constraints:
        i = prediction.outputs.index(constraint.output)
        room = (constraint.bound - prediction.mean[:, i]) / np.maximum(prediction.label_std[:, i], 1e-300)
        chance = chance * norm.cdf(room if constraint.op == "<=" else -room)
    return [float(value) for value in chance]


def best_utility(problem: Problem, dataset: Dataset) -> float | None:
    """The utility of the best feasible label at the target fidelity, None before there is one."""
    from theoros.models.labelled import labelled_utilities

    _, utilities, feasible = labelled_utilities(problem, dataset)
    return float(utilities[feasible, 0].max()) if feasible.any() else None


def empty_dataset(problem: Problem) -> Dataset:
    """No labels yet."""
    return Dataset((), problem.outputs, np.empty((0, len(problem.outputs))))
