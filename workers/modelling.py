"""Training and deciding, as pure functions of what the database holds: used by the model workers and by ask/tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.models.contract import Choice, Dataset, FittedSurrogate, Point, Problem, Proposal


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
    checks = prospective_checks(previous, dataset, sequences) if previous is not None else ()
    model = surrogate(plan.surrogate).fit(
        plan.problem, dataset, seed=seed, previous=previous.model if previous is not None else None
    )
    belief = Belief(model, dataset, frozenset(sequences))
    report = FitReport(
        model.name,
        model.n_labels,
        belief.sequences,
        model.fell_back,
        model.message,
        dict(model.hyperparameters()),
        checks,
        time.perf_counter() - started,
    )
    return belief, report


def prospective_checks(previous: Belief, dataset: Dataset, sequences: Sequence[int]) -> tuple[Check, ...]:
    """The previous belief's predictions of all labels that it had not seen (rule 11's evidence)."""
    new = [row for row, sequence in enumerate(sequences) if sequence not in previous.sequences]
    if not new:
        return ()
    prediction = previous.model.predict([dataset.points[row] for row in new])
    return tuple(
        Check(sequences[row], output, float(mean), float(std), float(observed))
        for i, row in enumerate(new)
        for output, mean, std, observed in zip(
            dataset.outputs, prediction.mean[i], prediction.label_std[i], dataset.values[row], strict=True
        )
        if np.isfinite(observed) and np.isfinite(mean)
    )


def propose(
    plan: ModelPlan, belief: Belief | None, pending: Sequence[Point], seen: frozenset[str], *, n: int, seed: int
) -> list[Proposal]:
    """Ask for candidates to choose `n` decisions from: the initial design's proposer as long as there is no belief."""
    from theoros.models import decide, registry

    names = plan.proposers if belief is not None else (plan.initial_proposer,)
    dataset = belief.dataset if belief is not None else empty_dataset(plan.problem)
    return decide.propose(
        plan.problem,
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
    seen: frozenset[tuple[str, str]],
    fidelities: Sequence[str],
    *,
    n: int,
    seed: int,
) -> Decided:
    """Choose up to `n` of `proposals` at one of `fidelities` each, aware of what is pending."""
    from theoros.models import decide, registry

    started = time.perf_counter()
    choices = decide.select(
        plan.problem,
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


def empty_dataset(problem: Problem) -> Dataset:
    """No labels yet."""
    return Dataset((), problem.outputs, np.empty((0, len(problem.outputs))))
