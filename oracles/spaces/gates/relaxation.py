"""The gate that relaxes a molecule with GFN2-xTB and looks whether it is still the same molecule.

Source: Bannwarth, Ehlert and Grimme, doi:10.1021/acs.jctc.8b01176 (GFN2).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.failures import DeadlineExceeded, InvalidCandidate, NotConverged
from theoros.oracles.spaces.gates.base import Subject
from theoros.oracles.spaces.gates.shape import NO_COORDINATES, embedded, minimised

if TYPE_CHECKING:
    from theoros.oracles.chemistry.geometry import System


@dataclass(frozen=True)
class KeepsBonds:
    """Turns away molecules that GFN2-xTB can't relax within `seconds`, or whose bonds break or form meanwhile."""

    seconds: float
    name: str = "relax"
    late: ClassVar[bool] = True

    def reason(self, subject: Subject) -> str | None:
        """What happened to the molecule."""
        from theoros.oracles.chemistry.bonds import Rearranged, check_bonds

        until = time.monotonic() + self.seconds
        molecule = embedded(subject, self.seconds)
        if molecule is None:
            return NO_COORDINATES
        minimised(molecule)  # a better start where there are parameters, and no verdict
        try:
            check_bonds(_relaxed(molecule, until), _bonds(molecule), "GFN2-xTB")
        except DeadlineExceeded:
            return f"GFN2-xTB takes longer than {self.seconds:g} s"
        except Rearranged:
            return "its bonds change when it is relaxed"
        except (NotConverged, InvalidCandidate):
            return "GFN2-xTB does not relax it"
        return None


def _bonds(molecule: Any) -> frozenset[tuple[int, int]]:
    """Pairs i < j of bonded atoms of a molecule that names its hydrogens."""
    pairs = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds())
    return frozenset((min(pair), max(pair)) for pair in pairs)


def _relaxed(molecule: Any, until: float) -> System:
    """The minimum of GFN2-xTB near the molecule's only conformer.

    Raises DeadlineExceeded at the first step after `until` (on the monotonic clock), NotConverged, or InvalidCandidate
    for an element that GFN2-xTB lacks.
    """
    from rdkit import Chem

    from theoros.oracles.chemistry.geometry import System, checked, relaxed
    from theoros.oracles.chemistry.levels import Level
    from theoros.oracles.chemistry.tblite_backend import XTBCalculation

    level = Level(name="gfn2", method="gfn2")

    def surface(system: System) -> tuple[float, NDArray[np.float64]]:
        if time.monotonic() > until:
            raise DeadlineExceeded("the gate's own time limit")
        calculation = XTBCalculation(system, level)
        return calculation.energy(), calculation.forces()

    symbols = tuple(atom.GetSymbol() for atom in molecule.GetAtoms())
    start = System(symbols, (), Chem.GetFormalCharge(molecule)).moved(molecule.GetConformer().GetPositions())
    return relaxed(checked(start), surface)
