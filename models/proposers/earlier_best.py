"""The first candidates of a campaign that learns from earlier ones: the best of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from theoros.models.contract import ProposalRequest
from theoros.models.data import Earlier, Problem
from theoros.models.encoders import encoder_for
from theoros.models.labelled import labelled_best_first
from theoros.models.proposers.random_design import RandomDesign
from theoros.models.proposers.screening import admissible
from theoros.models.proposers.sobol import SobolDesign
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate

#: The candidates that are asked before a model takes over.
INITIAL = 3
#: The best that are nearer to each other than this in every coordinate of the unit cube are one idea.
APART = 0.05


@dataclass(frozen=True)
class EarlierBest:
    """The best candidates of earlier campaigns that this one may ask, each campaign's in turn, then a plain design.

    What was best on a similar question is the best first guess, and how it does here tells how similar the questions
    are (Feurer, Springenberg & Hutter, AAAI 2015, who begin searches so).
    """

    name: ClassVar[str] = "earlier_best"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})
    needs_model: ClassVar[bool] = False

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Up to `request.n` candidates."""
        found = admissible(request, best_of_earlier(request.problem))[: request.n]
        known = request.seen | {candidate.hash for candidate in found}
        plain = SobolDesign() if not request.problem.space.is_finite else RandomDesign()
        rest = replace(request, n=request.n - len(found), seen=known)
        return found + (plain.propose(rest) if rest.n else [])


def best_of_earlier(problem: Problem) -> list[Candidate]:
    """The best candidates of earlier campaigns that the problem's space holds, no two of them neighbours.

    One for each campaign and one more, but no more than `INITIAL`: if a single campaign turns out to be unrelated, its
    best candidates were no better than others.
    """
    most = min(INITIAL, len(problem.earlier) + 1)
    ranked = [_asked_again(problem, earlier) for earlier in problem.earlier]
    chosen: list[Candidate] = []
    encoder = encoder_for(problem.space)
    for place in range(max(map(len, ranked), default=0)):
        for candidates in ranked:
            if place < len(candidates) and len(chosen) < most:
                features = encoder.encode([*chosen, candidates[place]])
                if not chosen or float((features[:-1] - features[-1]).abs().amax(1).min()) > APART:
                    chosen.append(candidates[place])
    return chosen


def _asked_again(problem: Problem, earlier: Earlier) -> Sequence[Candidate]:
    """The campaign's candidates that may be asked here, the best first; none where it lacks an objective."""
    dataset = earlier.dataset
    if not {goal.output for goal in problem.objectives} <= set(dataset.outputs) or problem.goal != "optimize":
        return ()
    kept = tuple(constraint for constraint in problem.constraints if constraint.output in dataset.outputs)
    found = labelled_best_first(replace(problem, constraints=kept), dataset)
    return [candidate for candidate in found if _holds(problem, candidate)]


def _holds(problem: Problem, candidate: Candidate) -> bool:
    try:
        problem.space.check(candidate)
    except InvalidCandidate:
        return False
    return True
