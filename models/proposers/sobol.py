"""Space-filling proposals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from theoros.models.contract import ProposalRequest
from theoros.models.proposers.random_design import RandomDesign
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.models.unit_cube import UnitCube
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.parameters import Parameters

ROUNDS = 4


@dataclass(frozen=True)
class SobolDesign:
    """Scrambled Sobol points of the encoded unit cube; points that break a constraint are left out.

    A space without coordinates (a library, molecules), and one whose constraints reject nearly all points of the
    cube (an equality), is sampled at random instead.
    """

    name: ClassVar[str] = "sobol"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})
    needs_model: ClassVar[bool] = False

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Up to `request.n` candidates in the order of the sequence, so that any first part of it fills the space."""
        found: dict[str, Candidate] = {}
        if isinstance(request.problem.space, Parameters):
            cube = UnitCube.of(request.problem.space)
            count = request.n
            for _ in range(ROUNDS):  # a longer sequence from the same seed begins with the shorter one
                points = cube.from_unit(unit_quasirandom(count, cube.dimension, request.seed))
                valid = [candidate for candidate in cube.decode(points) if candidate is not None]
                found = {candidate.hash: candidate for candidate in admissible(request, valid)}
                if len(found) >= request.n:
                    return list(found.values())[: request.n]
                count *= 4
        for candidate in RandomDesign().propose(_reseeded(request)):
            found.setdefault(candidate.hash, candidate)
        return list(found.values())[: request.n]


def _reseeded(request: ProposalRequest) -> ProposalRequest:
    from dataclasses import replace

    return replace(request, seed=derived_seed(request.seed, "random"))
