"""Constraints that need no oracle: bounds on properties of the candidate itself, and gates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import OracleFailure
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper
from theoros.oracles.spaces.gates.quick import Within
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
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


def gatekeeper(spec: CampaignSpec, kind: str, bounds: tuple[Bound, ...], base: Path) -> Gatekeeper | None:
    """The gates of a campaign whose space holds candidates of this `kind`, None where its file names none.

    The question's `bounds` on properties of molecules are gates as well, the first ones, so that what breaks them is
    counted too. Files and modules are looked for in `base` first. Raises SpecError.
    """
    if not spec.gates:
        return None
    if kind != "molecule":
        raise SpecError(f"gates judge molecules, and this space holds {kind}. Leave them out.", ("gates",))
    from theoros.oracles.spaces.gates.parse import gates_from_data

    first = [
        Within(
            bound.name,
            low=bound.value if bound.op == ">=" else None,
            high=bound.value if bound.op == "<=" else None,
            name=bound.name,
        )
        for bound in bounds
    ]
    try:
        return Gatekeeper([*first, *gates_from_data(spec.gates, base)])
    except SpaceError as error:
        raise SpecError(error.message, ("gates", *error.field)) from error
