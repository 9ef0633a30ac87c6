"""Slow gates between proposing and choosing: only candidates that may well be chosen are brought before them."""

from __future__ import annotations

import time
from collections.abc import Callable, Set

from theoros.models.data import Proposal
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate

#: Proposals beyond those to be chosen that have to pass, so that there is a choice.
SPARE = 3
#: Candidates that are brought before the gates for each that has to pass, once any has, ...
CHECKS = 16
#: ... and seconds after which no further one is, whatever has passed: half of what a decision may take at all.
SECONDS = 1800.0

#: Proposals, the best first, none of which is among the hashes given; a function of these and of a seed.
Ask = Callable[[Set[str], int], list[Proposal]]


def admitted(ask: Ask, admits: Callable[[Candidate], bool], seen: Set[str], wanted: int, seed: int) -> list[Proposal]:
    """Up to `wanted` proposals that the gates admit, the best first.

    Proposals are taken from the best down; when too few of them pass, `ask` is called again without those that were
    looked at. Ends with fewer when it has no more, after `CHECKS` candidates for each that is wanted, or after
    `SECONDS`; with none only when it has no more or time is out, since a campaign would end for it. Unless time runs
    out, what is returned depends on the arguments alone, and not on what the gates remember.
    """
    passed: dict[str, Proposal] = {}
    looked_at: set[str] = set()
    left, until = CHECKS * wanted, time.monotonic() + SECONDS
    while len(passed) < wanted and (left > 0 or not passed):
        fresh = [p for p in ask(seen | looked_at, seed) if p.candidate.hash not in looked_at]
        if not fresh:
            break
        for proposal in fresh:
            if len(passed) == wanted or (left <= 0 and passed):
                break
            if time.monotonic() > until:
                return list(passed.values())
            left -= 1
            looked_at.add(proposal.candidate.hash)
            if admits(proposal.candidate):
                passed[proposal.candidate.hash] = proposal
        seed = derived_seed(seed, "beyond the gates")
    return list(passed.values())
