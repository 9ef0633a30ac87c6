"""Random proposals: the control, and the first design of spaces that have no coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoros.models.contract import ProposalRequest
from theoros.models.proposers.screening import admissible
from theoros.oracles.candidate import Candidate

ROUNDS = 6


@dataclass(frozen=True)
class RandomDesign:
    """The space's own uniform sample, less what is seen or infeasible."""

    name: ClassVar[str] = "random"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})
    needs_model: ClassVar[bool] = False

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Up to `request.n` random candidates; fewer when the space has no more, or hardly any feasible ones."""
        rng = np.random.default_rng(request.seed)
        draw = getattr(request.problem.space, "draw", None)  # a held library leaves out by itself what is not wanted
        if draw is not None and (new := draw(request.n, rng, request.seen, request.admits)) is not None:
            return list(new)
        wanted = request.n
        found: dict[str, Candidate] = {}
        for _ in range(ROUNDS):  # each asks for more than the last, as much of a small space may be seen already
            drawn = request.problem.space.sample(wanted, rng)
            found.update({candidate.hash: candidate for candidate in admissible(request, drawn)})
            if len(found) >= request.n or len(drawn) < wanted:
                break
            wanted *= 4
        return list(found.values())[: request.n]
