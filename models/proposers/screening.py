"""What every proposer does with what it made: keep what is distinct, new, valid and feasible."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from theoros.models.contract import ProposalRequest
from theoros.models.data import Array
from theoros.oracles.candidate import Candidate


def admissible(request: ProposalRequest, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The distinct candidates that are not seen, and that constraint and quota admit, in their order."""
    admits = request.admits
    distinct = {candidate.hash: candidate for candidate in candidates if candidate.hash not in request.seen}
    return [candidate for candidate in distinct.values() if admits is None or admits(candidate)]


def best_first(candidates: list[Candidate], scores: Array) -> list[Candidate]:
    """Candidates by falling score; equal scores keep their order."""
    return [candidates[int(i)] for i in np.argsort(-scores, kind="stable")]
