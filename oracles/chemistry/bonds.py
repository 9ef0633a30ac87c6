"""Whether a relaxed molecule is still the one that was asked about: its bonds against those of its SMILES."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import ClassVar

import numpy as np

from theoros.oracles.chemistry.geometry import System
from theoros.oracles.failures import InvalidCandidate

#: Distances over the sum of covalent radii (Cordero et al., doi:10.1039/b801115j): a bond is broken above the one, and
#: made below the other. Between them lie stretched bonds (N2O4: 1.25) and crowded neighbours that aren't bonded (the
#: bridgeheads of bicyclo[1.1.1]pentane: 1.23), which one threshold could not tell apart.
BROKEN, MADE = 1.4, 1.15


class Rearranged(InvalidCandidate):
    """Relaxation turned the molecule into another: its answer would be stored under the wrong name."""

    failure_class: ClassVar[str] = "rearranged"


@lru_cache(maxsize=1024)
def bonds_of(smiles: str) -> frozenset[tuple[int, int]]:
    """Pairs i < j of bonded atoms, hydrogens included, numbered as in the embedded molecule."""
    from rdkit import Chem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    pairs = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds())
    return frozenset((min(pair), max(pair)) for pair in pairs)


def check_bonds(system: System, bonds: frozenset[tuple[int, int]], level: str) -> None:
    """Raise Rearranged, naming the atoms, when `system` has lost one of `bonds` or gained another."""
    from ase.data import covalent_radii

    positions, radii = system.coordinates, covalent_radii[system.numbers]
    ratios = np.linalg.norm(positions[:, None] - positions[None], axis=-1) / (radii[:, None] + radii[None])
    pairs = [(int(i), int(j)) for i, j in zip(*np.triu_indices(len(positions), 1), strict=True)]
    broken = [pair for pair in pairs if pair in bonds and ratios[pair] > BROKEN]
    made = [pair for pair in pairs if pair not in bonds and ratios[pair] < MADE]
    if broken or made:
        changes = [f"broke {_named(system, broken)}"] * bool(broken) + [f"made {_named(system, made)}"] * bool(made)
        charge = f" with charge {system.charge:+d}" if system.charge else ""
        raise Rearranged(
            f"relaxation at {level}{charge} {' and '.join(changes)}: the molecule is not the candidate any more"
        )


def _named(system: System, pairs: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{system.symbols[i]}{i + 1}-{system.symbols[j]}{j + 1}" for i, j in pairs)
