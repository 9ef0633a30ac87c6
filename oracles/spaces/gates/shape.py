"""Gates that need coordinates: whether a molecule can be embedded in three dimensions, and its force field relaxed.

Sources: Riniker and Landrum, doi:10.1021/acs.jcim.5b00654, and Wang et al., doi:10.1021/acs.jcim.0c00025 (ETKDGv3);
Halgren, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P (MMFF94).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from theoros.oracles.spaces.gates.base import Subject

#: The seed of every embedding, so that a verdict depends on the molecule alone.
SEED = 61453
#: Steps after which a force field's minimisation gives up.
STEPS = 5000


@dataclass(frozen=True)
class Embeds:
    """Turns away molecules for which ETKDGv3 finds no coordinates within `seconds`."""

    seconds: float
    name: str = "embed"
    late: ClassVar[bool] = True

    def reason(self, subject: Subject) -> str | None:
        """Whether there are coordinates."""
        return None if embedded(subject, self.seconds) is not None else NO_COORDINATES


@dataclass(frozen=True)
class RelaxesInForceField:
    """Turns away molecules for which MMFF94 has no parameters or no minimum near the embedded coordinates.

    `seconds` bounds the embedding; the minimisation takes `STEPS` steps at most.
    """

    seconds: float
    name: str = "mmff"
    late: ClassVar[bool] = True

    def reason(self, subject: Subject) -> str | None:
        """What was in the way."""
        molecule = embedded(subject, self.seconds)
        return NO_COORDINATES if molecule is None else minimised(molecule)


NO_COORDINATES = "no coordinates can be found"


def embedded(subject: Subject, seconds: float) -> Any | None:
    """The molecule with hydrogens and one conformer, or None when there is none within so many `seconds` (in whole)."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    with rdBase.BlockLogs():
        molecule = Chem.AddHs(subject.molecule)
        protocol: Any = rdDistGeom.ETKDGv3()
        protocol.randomSeed = SEED
        protocol.timeout = max(1, math.ceil(seconds / 2))
        for random_start in (False, True):  # distances that suit no start may suit a random one
            protocol.useRandomCoords = random_start
            if rdDistGeom.EmbedMolecule(molecule, protocol) == 0:
                return molecule
    return None


def minimised(molecule: Any) -> str | None:
    """Relax the only conformer in MMFF94, in place; returns what was in the way, or None."""
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers

    with rdBase.BlockLogs():
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
            return "MMFF94 has no parameters for it"
        if rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=STEPS) != 0:
            return f"MMFF94 finds no minimum in {STEPS} steps"
    return None
