"""From a belief to decisions: what agents call. Pure functions of their arguments, seeds included."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from theoros.models.contract import (
    Acquisition,
    Choice,
    Dataset,
    FittedSurrogate,
    Point,
    Problem,
    Proposal,
    ProposalRequest,
    Proposer,
)
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate

logger = logging.getLogger(__name__)

#: Proposals asked of each proposer for one decision.
POOL = 32
#: The name under which candidates that have labels below the target fidelity only are proposed again.
PROMOTION = "promotion"


def without_model(problem: Problem, proposals: Sequence[Proposal], *, initial: bool) -> list[Choice]:
    """Proposals as choices, in their order, before there is a model.

    In the `initial` design each candidate is asked at every fidelity, cheapest first: cheap and true labels of the same
    candidates teach the model how the levels hang together, which nothing else does (a nested design), and the cheap
    ones cost little by definition. After it, candidates are asked at the target fidelity.
    """
    fidelities = problem.fidelities if initial else (problem.target,)
    reason = "initial design" if initial else "chosen before the first fit"
    return [
        Choice(Point(proposal.candidate, fidelity), proposal.proposer, "", None, reason=reason)
        for proposal in proposals
        for fidelity in fidelities
    ]


def propose(
    problem: Problem,
    proposers: Sequence[Proposer],
    dataset: Dataset,
    model: FittedSurrogate | None,
    acquisition: Acquisition,
    pending: Sequence[Point],
    seen: frozenset[str],
    n: int,
    seed: int,
) -> list[Proposal]:
    """Ask every proposer for candidates to choose `n` decisions from; return all, distinct, in the proposers' order.

    Before the first fit each makes `n`; with a model some more (`POOL`), among which `select` weighs what is pending.

    `seen` holds the hashes of candidates never to be proposed again: asked at the target fidelity, or failed for
    good. With several fidelities, candidates labelled only below the target are proposed too (as `PROMOTION`). A
    proposer that needs a model is left out while `model` is None. One that raises is logged and left out as long as
    another yields something; when none does, random candidates stand in, so an empty list means an exhausted space.
    """
    request = ProposalRequest(
        problem,
        n if model is None else max(POOL, 4 * n),
        seed,
        seen,
        labelled=labelled_best_first(problem, dataset),
        pending=tuple(pending),
        model=model,
        acquisition=acquisition,
        score=acquisition.scorer(problem, model, dataset, pending, seed=derived_seed(seed, "score")) if model else None,
        dataset=dataset,
    )
    found: dict[str, Proposal] = {}

    def add(name: str, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if candidate.hash not in seen:
                found.setdefault(candidate.hash, Proposal(candidate, name))

    for index, proposer in enumerate(proposers):
        if proposer.needs_model and model is None:
            continue
        try:
            add(proposer.name, proposer.propose(replace(request, seed=derived_seed(seed, proposer.name, index))))
        except Exception:
            logger.warning("the proposer %r failed and is left out of this decision", proposer.name, exc_info=True)
    if not found:
        from theoros.models.proposers.random_design import RandomDesign

        add(RandomDesign.name, RandomDesign().propose(replace(request, seed=derived_seed(seed, "stand-in"))))
    if model is not None and len(problem.fidelities) > 1:
        add(PROMOTION, _promotions(problem, dataset))
    return list(found.values())


def select(
    problem: Problem,
    proposals: Sequence[Proposal],
    dataset: Dataset,
    model: FittedSurrogate | None,
    acquisition: Acquisition,
    pending: Sequence[Point],
    seen: Collection[tuple[str, str]],
    n: int,
    seed: int,
    fidelities: Collection[str] | None = None,
) -> list[Choice]:
    """Choose up to `n` of `proposals`, the best first, each aware of those before it.

    Greedy: score all under what is pending, take the best, count it as pending, and score again. `seen` holds
    (candidate hash, fidelity) of all that was ever asked, and none is asked twice; `fidelities` are those that may
    be asked (all of them by default). Without a model the proposals are taken in their order at the target fidelity.
    """
    open_levels = [f for f in problem.fidelities if fidelities is None or f in fidelities]
    asked = set(seen) | {(point.candidate.hash, point.fidelity) for point in pending}
    waiting = {point.candidate.hash for point in pending}
    left = _Pool(problem, [p for p in proposals if p.candidate.hash not in waiting], asked, open_levels)
    chosen: list[Choice] = []
    now = list(pending)
    while left.proposals and len(chosen) < n:
        if model is None:
            choice = _unguided(left)
        else:
            choice = _best(problem, left, dataset, model, acquisition, now, derived_seed(seed, "pick", len(chosen)))
        chosen.append(choice)
        now.append(choice.point)
        left = left.without(choice.point.candidate.hash)
    return chosen


def labelled_best_first(problem: Problem, dataset: Dataset) -> tuple[Candidate, ...]:
    """The distinct candidates labelled at the target fidelity: feasible ones by objective, then the others.

    For ``learn``, where no value is better than another, the latest first.
    """
    column = dataset.outputs.index(problem.objective)
    ranked: list[tuple[bool, float, int]] = []
    for row, point in enumerate(dataset.points):
        value = dataset.values[row, column]
        if point.fidelity != problem.target or not np.isfinite(value):
            continue
        feasible = all(
            constraint.satisfied(float(dataset.values[row, dataset.outputs.index(constraint.output)]))
            for constraint in problem.constraints
        )
        loss = float(-row if problem.goal == "learn" else -value if problem.maximize else value)
        ranked.append((not feasible, loss, row))
    candidates = (dataset.points[row].candidate for _, _, row in sorted(ranked))
    return tuple({candidate.hash: candidate for candidate in candidates}.values())


@dataclass(frozen=True)
class _Pool:
    """Proposals of which at least one open fidelity has not been asked."""

    problem: Problem
    proposals: Sequence[Proposal]
    asked: Collection[tuple[str, str]]
    levels: Sequence[str]

    def __post_init__(self) -> None:
        distinct = {p.candidate.hash: p for p in reversed(self.proposals)}  # the first of equal ones stays
        kept = [p for p in reversed(distinct.values()) if self.open_at(p.candidate)]
        object.__setattr__(self, "proposals", kept)

    def open_at(self, candidate: Candidate) -> list[str]:
        """Fidelities at which the candidate may still be asked; none once the target has been."""
        if (candidate.hash, self.problem.target) in self.asked:
            return []
        return [level for level in self.levels if (candidate.hash, level) not in self.asked]

    def without(self, key: str) -> _Pool:
        """The pool less one candidate."""
        return replace(self, proposals=[p for p in self.proposals if p.candidate.hash != key])


def _unguided(pool: _Pool) -> Choice:
    proposal = pool.proposals[0]
    levels = pool.open_at(proposal.candidate)
    return Choice(
        Point(proposal.candidate, levels[-1]), proposal.proposer, "", None, reason="chosen before the first fit"
    )


def _best(
    problem: Problem,
    pool: _Pool,
    dataset: Dataset,
    model: FittedSurrogate,
    acquisition: Acquisition,
    pending: Sequence[Point],
    seed: int,
) -> Choice:
    score = acquisition.scorer(problem, model, dataset, pending, seed=seed)
    values = score([proposal.candidate for proposal in pool.proposals])
    best = int(np.argmax(values))
    proposal, value = pool.proposals[best], float(values[best])
    levels = pool.open_at(proposal.candidate)
    reason = f"best of {len(values)} proposals"
    fidelity = levels[-1]
    if len(problem.fidelities) > 1 and acquisition.needs:
        fidelity, why = _level(problem, model, proposal.candidate, dataset, pending, levels)
        reason = f"{reason}; {fidelity}: {why}"
    point = Point(proposal.candidate, fidelity)
    prediction = model.predict([point])
    predictions = {
        output: (float(prediction.mean[0, i]), float(prediction.label_std[0, i]))
        for i, output in enumerate(prediction.outputs)
    }
    finite = value if np.isfinite(value) else None
    return Choice(point, proposal.proposer, acquisition.name, finite, predictions, reason)


def _level(
    problem: Problem,
    model: FittedSurrogate,
    candidate: Candidate,
    dataset: Dataset,
    pending: Sequence[Point],
    levels: Sequence[str],
) -> tuple[str, str]:
    if not hasattr(model, "encode"):
        return levels[-1], "this surrogate does not relate fidelities"
    from theoros.models.acquisition.base import belief_of
    from theoros.models.fidelity import choose_fidelity

    choice = choose_fidelity(problem, belief_of(model), candidate, dataset, pending, levels)
    return (choice.fidelity, choice.reason) if choice else (levels[-1], "")


def _promotions(problem: Problem, dataset: Dataset) -> list[Candidate]:
    at_target = {point.candidate.hash for point in dataset.points if point.fidelity == problem.target}
    feasible: Callable[[Candidate], bool] = problem.feasible or (lambda candidate: True)
    below = {p.candidate.hash: p.candidate for p in dataset.points if p.candidate.hash not in at_target}
    return [candidate for candidate in below.values() if feasible(candidate)]
