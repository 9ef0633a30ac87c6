"""Constraints that need no oracle: bounds on properties of the candidate itself, and gates."""

from __future__ import annotations

from pathlib import Path

from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper
from theoros.oracles.spaces.gates.quick import Within
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.question import Bound


def gatekeeper(spec: CampaignSpec, kind: str, bounds: tuple[Bound, ...], base: Path) -> Gatekeeper | None:
    """The gates of a campaign whose space holds candidates of this `kind`; None where these are no molecules.

    The question's `bounds` on properties of molecules are gates as well, the first ones, so that what breaks them is
    counted too, also where the file names no gates. Files and modules are looked for in `base` first. Raises SpecError.
    """
    if kind != "molecule":
        if spec.gates:
            raise SpecError(f"gates judge molecules, and this space holds {kind}. Leave them out.", ("gates",))
        return None
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
