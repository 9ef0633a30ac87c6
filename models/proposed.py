"""The pool of a decision in the making: what proposers make, within the space and under a quota of diversity."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from theoros.models.contract import ProposalRequest, Proposer
from theoros.models.credit import offers, promises
from theoros.models.data import Array, Bred, Problem, Proposal
from theoros.models.diversity import Company
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.refusals import Refusal

logger = logging.getLogger(__name__)

#: How often proposers are asked at most for candidates that a quota of diversity leaves room for.
ROUNDS = 3


@dataclass
class Made:
    """A pool in the making: distinct proposals by their candidates' hashes, and what each proposer took for its own."""

    problem: Problem
    seen: Set[str]
    acquisition: str
    parts: Mapping[str, float]
    found: dict[str, Proposal] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def ask(self, proposer: Proposer, request: ProposalRequest) -> None:
        """Take in what `proposer` makes, and the processor seconds that it takes, also where it raises."""
        started = time.process_time()
        try:
            bred = getattr(proposer, "bred", None)
            made = [Bred(candidate) for candidate in proposer.propose(request)] if bred is None else bred(request)
            self.add(proposer.name, made if _is_ours(proposer) else self._within(proposer.name, made, request.refused))
        finally:
            self.seconds[proposer.name] = self.seconds.get(proposer.name, 0.0) + time.process_time() - started

    def _within(self, name: str, made: Sequence[Bred], tell: Callable[[str], None]) -> list[Bred]:
        """Those of the space that nothing vetoes, as the space writes them.

        What is not in the space would stop the surrogate, or cost an evaluation.
        """
        feasible, space = self.problem.feasible, self.problem.space
        kept: list[Bred] = []
        refused: list[str] = []
        for candidate, descent in made:
            try:
                member = space.candidate(candidate)
                if space.is_finite:  # a library writes candidates that it does not list as well
                    space.check(member)
            except InvalidCandidate as error:
                refused.append(str(error))
                tell(str(error.reason or Refusal.OTHER))
                continue
            if feasible is None or feasible(member):
                kept.append(Bred(member, descent))
        if refused:
            logger.warning(
                "the proposer %r made %d of %d candidates outside the space, which are left out; the first: %s",
                name,
                len(refused),
                len(made),
                refused[0],
            )
        return kept

    def add(self, name: str, made: Sequence[Bred]) -> None:
        """Take in what is not `seen`; what two have made is the first one's."""
        for candidate, descent in made:
            if candidate.hash not in self.seen:
                proposal = Proposal(candidate, name, self.acquisition, self.parts.get(name), descent)
                self.found.setdefault(candidate.hash, proposal)

    def proposals(self, values: Array | None, *, ranked: bool) -> list[Proposal]:
        """All, with what each proposer brought; if they are to be `ranked`, in the order of their `values`."""
        every = list(self.found.values())
        arms = [place for place, proposal in enumerate(every) if proposal.proposer in self.parts]
        promised = promises([every[i].proposer for i in arms], values[arms]) if values is not None else {}
        brought = offers(Counter(p.proposer for p in every), self.seconds, self.parts, promised)
        order = np.argsort(-values, kind="stable") if ranked and values is not None else range(len(every))
        return [replace(every[place], offers=brought) for place in order]


def _is_ours(proposer: Proposer) -> bool:
    """Whether a proposer belongs to Theoros: ours build candidates with the space itself, which their tests hold."""
    return type(proposer).__module__.partition(".")[0] == "theoros"


def rounds(request: ProposalRequest, made: Made, company: Company | None, n: int) -> Iterator[ProposalRequest]:
    """What the proposers are asked, one request after another; a single one where there is no quota.

    With one, whatever lies in a full circle is kept out as long as there is anything else.
    """
    if company is None:
        yield request
        return
    for number in range(ROUNDS):
        found = [proposal.candidate for proposal in made.found.values()]
        fitting = company.fitting(found)
        if number and len(fitting) >= n:
            break
        beside = company.beside(found[place] for place in fitting)
        seed = derived_seed(request.seed, "again", number) if number else request.seed
        yield replace(request, seed=seed, has_room=partial(_has_room, made.found, beside))
        if len(made.found) == len(found):
            break
    if not made.found:
        yield request


def _has_room(found: Mapping[str, Proposal], company: Company, candidate: Candidate) -> bool:
    return candidate.hash not in found and company.has_room(candidate)
