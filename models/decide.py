"""From a belief to decisions: what agents call. Pure functions of their arguments, seeds included."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from theoros.models.contract import (
    Acquisition,
    FittedSurrogate,
    ProposalRequest,
    Proposer,
    unheard,
)
from theoros.models.credit import merged, shares, told
from theoros.models.data import Array, Bred, Choice, Dataset, Offer, Point, Problem, Proposal
from theoros.models.diversity import Company
from theoros.models.forecast import Forecast
from theoros.models.labelled import labelled_best_first
from theoros.models.picked import Picked, picks
from theoros.models.proposed import Made, rounds
from theoros.models.restarts import begun
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate

logger = logging.getLogger(__name__)

#: Proposals asked of each proposer for one decision.
POOL = 32
#: The name under which candidates that have labels below the target fidelity only are proposed again.
PROMOTION = "promotion"
#: The reason of a choice that no model had a part in.
_BEFORE = "chosen before the first fit"


def without_model(problem: Problem, proposals: Sequence[Proposal], *, initial: bool) -> list[Choice]:
    """Proposals as choices, in their order, before there is a model.

    In the `initial` design each candidate is asked at every fidelity, cheapest first: cheap and true labels of the same
    candidates teach the model how the levels hang together, which nothing else does (a nested design), and the cheap
    ones cost little by definition. After it, candidates are asked at the target fidelity.
    """
    fidelities = problem.fidelities if initial else (problem.target,)
    reason = "initial design" if initial else _BEFORE
    return _unguided(proposals, [fidelities] * len(proposals), reason)


def propose(
    problem: Problem,
    proposers: Sequence[Proposer],
    dataset: Dataset,
    model: FittedSurrogate | None,
    acquisition: Acquisition,
    pending: Sequence[Point],
    seen: Set[str],
    n: int,
    seed: int,
    *,
    ranked: bool = False,
    per_second: bool = False,
    refused: Callable[[str, str], None] | None = None,
) -> list[Proposal]:
    """Ask every proposer for candidates to choose `n` decisions from; return all, distinct, in the proposers' order.

    With `ranked` they are in the order of the acquisition, the best first, where there is a model.

    Before the first fit each makes `n`; with a model some more (`POOL`), among which `select` weighs what is pending.

    `seen` holds the hashes of candidates never to be proposed again: asked at the target fidelity, or failed for
    good. With several fidelities, candidates labelled only below the target are proposed too (as `PROMOTION`). A
    proposer that needs a model is left out while `model` is None. One that raises is logged and left out as long as
    another yields something; when none does, random candidates stand in, so an empty list means an exhausted space.
    What a proposer of the user's own makes outside the space is logged with its number and left out as well, and so
    is what the problem vetoes.

    With a model, several proposers share the proposals by what theirs have earned (`theoros.models.credit`), and of
    several acquisitions that take turns one scores them all. `per_second` counts their time as well: then a proposer
    with less than an equal share makes as many as the others, but sits out in proportion, so that its time is saved.
    Each proposal comes with what all proposers brought (`Proposal.offers`). `refused` is told by name of each proposer
    why what it made is no candidate of the space.

    Where the problem has a quota (`Problem.diversity`), nothing is proposed that lies in a circle which is full of what
    is pending, unless there is nothing else. While fewer than `n` have room beside each other proposers are asked
    again, `ROUNDS` times at most, and those that have come first.
    """
    dataset, model, _ = begun(problem, dataset, model)
    turn = _Turn.of(acquisition, problem, model, dataset, derived_seed(seed, "turn"))
    acquisition = turn.acquisition
    parts = _parts(problem, dataset, proposers, per_second) if model is not None else {}
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
    made = Made(problem, seen, turn.name, parts)
    company = _company(problem, dataset, pending)
    for asked in rounds(request, made, company, n):
        for index, proposer in enumerate(proposers):
            if proposer.needs_model and model is None:
                continue
            own_seed = derived_seed(asked.seed, proposer.name, index)
            weight = parts[proposer.name] * len(parts) if parts else 1.0
            if per_second and weight < 1.0:
                if np.random.default_rng(derived_seed(own_seed, "sits out")).random() > weight:
                    continue
                weight = 1.0
            try:
                ear = unheard if refused is None else partial(refused, proposer.name)
                made.ask(proposer, replace(asked, n=max(1, round(weight * request.n)), seed=own_seed, refused=ear))
            except Exception:
                logger.warning("the proposer %r failed and is left out of this decision", proposer.name, exc_info=True)
    if not made.found:
        from theoros.models.proposers.random_design import RandomDesign

        made.ask(RandomDesign(), replace(request, seed=derived_seed(seed, "stand-in")))
    if model is not None and len(problem.fidelities) > 1:
        made.add(PROMOTION, [Bred(candidate) for candidate in _promotions(problem, dataset)])
    values = None
    if request.score is not None and made.found and (ranked or parts):
        values = request.score([proposal.candidate for proposal in made.found.values()])
    proposals = made.proposals(values, ranked=ranked)
    if company is None:
        return proposals
    first = company.fitting(proposal.candidate for proposal in proposals)
    if model is None and len(first) < min(n, len(proposals)):
        logger.warning(
            "the quota of diversity has room for %d of the first %d candidates; others join them", len(first), n
        )
    return [proposals[place] for place in [*first, *sorted(set(range(len(proposals))) - set(first))]]


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

    An acquisition that chooses many at once (`BatchAcquisition`) does so; else greedily: score all under what is
    pending, take the best, count it as pending, and score again. `seen` holds (candidate hash, fidelity) of all that
    was ever asked, and none is asked twice; `fidelities` are those that may be asked (all of them by default). Without
    a model the proposals are taken in their order at the target fidelity. Of several acquisitions that take turns the
    one decides under which the first proposal was sought.

    The problem's quota (`Problem.diversity`) holds for all that is pending and chosen. Where no proposal has room the
    one is taken whose fullest circle holds the fewest, and its reason says so: a slot never stands idle for a quota.
    """
    whole = model
    dataset, model, anew = begun(problem, dataset, model)
    open_levels = [f for f in problem.fidelities if fidelities is None or f in fidelities]
    pool = _Pool.of(problem, proposals, seen, pending, open_levels)
    company = _company(problem, dataset, pending)
    if model is None:
        taken = Picked(company, [proposal.candidate for proposal in pool.proposals])
        for _ in range(min(n, len(pool.proposals))):
            taken.take(taken.open()[0])
        first = [pool.proposals[place] for place in taken.places]
        return _unguided(first, [pool.levels_of(proposal.candidate)[-1:] for proposal in first], anew or _BEFORE)
    candidates = [proposal.candidate for proposal in pool.proposals]
    sought = next((proposal.acquisition for proposal in pool.proposals), "")
    turn = _Turn.of(acquisition, problem, model, dataset, derived_seed(seed, "turn"), sought)
    acquisition = turn.acquisition
    taken = Picked(company, candidates)
    now = list(pending)
    chosen: list[_Chosen] = []
    for pick, rivals, together in picks(problem, model, dataset, acquisition, taken, now, n, seed):
        proposal = pool.proposals[pick.place]
        levels = pool.levels_of(proposal.candidate)
        fidelity, why = levels[-1], ""
        if len(problem.fidelities) > 1 and acquisition.needs:
            fidelity, why = _level(problem, model, proposal.candidate, dataset, now, levels)
        point = Point(proposal.candidate, fidelity)
        more = [taken.told, turn.reason, _share(proposal), f"{fidelity}: {why}" if why else "", anew]
        chosen.append(_Chosen(point, proposal, pick.value, _reason(rivals, together, more)))
        now.append(point)
    offered = merged([proposal.offers for proposal in proposals])
    assert whole is not None  # a search has no model but of it
    return _with_predictions(chosen, whole, acquisition.name, offered)


def roomy(
    problem: Problem, dataset: Dataset, pending: Sequence[Point], candidates: Sequence[Candidate], values: Array
) -> list[int]:
    """Places of `candidates`, the best by their `values` first, that may all be asked beside what is pending: all of
    them without a quota.
    """
    order = [int(place) for place in np.argsort(-values, kind="stable")]
    company = _company(problem, dataset, pending)
    return order if company is None else [order[i] for i in company.fitting(candidates[place] for place in order)]


@dataclass(frozen=True)
class _Pool:
    """Distinct proposals of which at least one open fidelity has not been asked; what is pending is not among them."""

    problem: Problem
    proposals: tuple[Proposal, ...]
    seen: Collection[tuple[str, str]]
    levels: Sequence[str]

    @classmethod
    def of(
        cls,
        problem: Problem,
        proposals: Sequence[Proposal],
        seen: Collection[tuple[str, str]],
        pending: Sequence[Point],
        levels: Sequence[str],
    ) -> _Pool:
        """Leave out what can't be asked; `seen` may be large, and is looked into rather than copied."""
        asked = seen if isinstance(seen, Set) else frozenset(seen)
        everything = cls(problem, (), asked, levels)
        waiting = {point.candidate.hash for point in pending}
        distinct: dict[str, Proposal] = {}
        for proposal in proposals:
            key = proposal.candidate.hash
            if key not in waiting and key not in distinct and everything.levels_of(proposal.candidate):
                distinct[key] = proposal
        return replace(everything, proposals=tuple(distinct.values()))

    def levels_of(self, candidate: Candidate) -> list[str]:
        """Fidelities at which the candidate may still be asked; none once the target has been."""
        if (candidate.hash, self.problem.target) in self.seen:
            return []
        return [level for level in self.levels if (candidate.hash, level) not in self.seen]


class _Chosen(NamedTuple):
    """A choice without its prediction."""

    point: Point
    proposal: Proposal
    value: float
    reason: str


def _unguided(proposals: Sequence[Proposal], fidelities: Sequence[Sequence[str]], reason: str) -> list[Choice]:
    """Proposals as choices, each at its `fidelities`; the first has all that was offered."""
    offered = merged([proposal.offers for proposal in proposals])
    return [
        Choice(
            Point(proposal.candidate, level),
            proposal.proposer,
            "",
            None,
            reason=reason,
            descent=proposal.descent,
            offers=offered if place == number == 0 else (),
        )
        for place, (proposal, levels) in enumerate(zip(proposals, fidelities, strict=True))
        for number, level in enumerate(levels)
    ]


class _Turn(NamedTuple):
    """The acquisition that scores; of several that take turns its name and what is told of its turn."""

    acquisition: Acquisition
    name: str
    reason: str

    @classmethod
    def of(
        cls,
        acquisition: Acquisition,
        problem: Problem,
        model: FittedSurrogate | None,
        dataset: Dataset,
        seed: int,
        name: str = "",
    ) -> _Turn:
        """That of `name`, or the one that `seed` draws, where `acquisition` is a portfolio."""
        nominate = getattr(acquisition, "nominate", None)
        if nominate is None or model is None:
            return cls(acquisition, "", "")
        chosen, held = nominate(problem, model, dataset, seed=seed, name=name)
        return cls(chosen, chosen.name, f"the turn of {chosen.name} ({told(held)})")


def _company(problem: Problem, dataset: Dataset, pending: Sequence[Point]) -> Company | None:
    """Those beside whom the next is picked: what is `pending`, and the latest labels; None without a quota."""
    quota = problem.diversity
    if quota is None:
        return None
    latest = dataset.points[: dataset.decided][-quota.remember :] if quota.remember else ()
    return Company(quota).beside(point.candidate for point in (*latest, *pending))


def _parts(problem: Problem, dataset: Dataset, proposers: Sequence[Proposer], per_second: bool) -> dict[str, float]:
    """What part of the proposals each proposer may make; nothing where there is one."""
    names = [proposer.name for proposer in proposers]
    if not len(set(names)) == len(names) > 1:
        return {}
    return shares(problem, dataset, "proposer", names, per_second=per_second)


def _share(proposal: Proposal) -> str:
    return "" if proposal.share is None else f"{proposal.share:.0%} of the proposals may be by {proposal.proposer}"


def _reason(rivals: int, together: int, more: Sequence[str]) -> str:
    reason = f"best of {rivals} proposals" + (f", one of {together} chosen together" if together else "")
    return "; ".join(text for text in (reason, *more) if text)


def _with_predictions(
    chosen: Sequence[_Chosen], model: FittedSurrogate, acquisition: str, offered: tuple[Offer, ...]
) -> list[Choice]:
    """Choices with what the model predicts of them, all asked at once; the first has all that was `offered`."""
    if not chosen:
        return []
    prediction = model.predict([item.point for item in chosen])
    spreads = prediction.label_std
    return [
        Choice(
            item.point,
            item.proposal.proposer,
            acquisition,
            item.value if np.isfinite(item.value) else None,
            {
                output: Forecast(float(prediction.mean[row, column]), float(spreads[row, column]))
                for column, output in enumerate(prediction.outputs)
            },
            item.reason,
            item.proposal.descent,
            () if row else offered,
        )
        for row, item in enumerate(chosen)
    ]


def _level(
    problem: Problem,
    model: FittedSurrogate,
    candidate: Candidate,
    dataset: Dataset,
    pending: Sequence[Point],
    levels: Sequence[str],
) -> tuple[str, str]:
    if len(levels) == 1:
        return levels[0], "the only level left to ask"
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
