"""Constraints that need no oracle: bounds on properties of the candidate itself."""

from __future__ import annotations

from dataclasses import dataclass

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import OracleFailure
from theoros.orchestrator.spec.question import Bound


@dataclass(frozen=True)
class CandidateConstraints:
    """Whether a candidate keeps every bound; a candidate whose property can't be computed does not."""

    bounds: tuple[Bound, ...]

    def __call__(self, candidate: Candidate) -> bool:
        """True when all bounds hold."""
        from theoros.oracles.spaces.molecule_properties import evaluate

        for bound in self.bounds:
            try:
                value = evaluate(bound.name, candidate)
            except (OracleFailure, ValueError):
                return False
            if not (value <= bound.value if bound.op == "<=" else value >= bound.value):
                return False
        return True
