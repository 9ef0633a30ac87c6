"""Conformers of a molecule: an ensemble of minima by RDKit, and Boltzmann weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry.geometry import System, embed, embedded, force_field_energies
from theoros.oracles.chemistry.units import KELVIN

#: Two structures are one when their energies (eV) and, hydrogens included and like atoms exchanged, their positions
#: (root mean square, angstrom) differ by less: CREST's values, doi:10.1039/C9CP06869D. Mirror images are two.
SAME_ENERGY, SAME_POSITIONS = 0.0022, 0.125
#: Ways of exchanging like atoms that are tried at most.
EXCHANGES = 10_000
#: Conformers with the least weight, together no more than this, are left out.
NEGLIGIBLE = 0.01

Array = NDArray[np.float64]


@lru_cache(maxsize=256)
def ensemble(smiles: str, conformers: int, seed: int) -> tuple[System, ...]:
    """Distinct force-field minima of `conformers` ETKDGv3 trials, lowest energy first; raises InvalidCandidate.

    All are of one stereoisomer: where the SMILES leaves it open, of the lowest that the trials found.
    """
    molecule, found, charge = embedded(smiles, conformers, seed)
    energies = force_field_energies(molecule, found, minimise=True)
    isomers = [_stereoisomer(molecule, conformer) for conformer in found]
    if len({name for name, _ in isomers}) > 1:
        molecule = isomers[int(np.argmin(energies))][1]
        found = embed(molecule, smiles, conformers, seed)
        energies = force_field_energies(molecule, found, minimise=True)
    symbols = tuple(atom.GetSymbol() for atom in molecule.GetAtoms())
    systems = []
    for conformer in found:
        positions = molecule.GetConformer(conformer).GetPositions()
        systems.append(System(symbols, (), charge).moved(positions - positions.mean(axis=0)))
    return tuple(systems[i] for i in distinct(smiles, systems, energies))


def _stereoisomer(molecule: Any, conformer: int) -> tuple[str, Any]:
    """The stereoisomer that a conformer is: its canonical SMILES, and RDKit's molecule with its marks."""
    from rdkit import Chem

    marked = Chem.Mol(molecule, False, conformer)
    Chem.AssignStereochemistryFrom3D(marked, conformer)
    return Chem.MolToSmiles(marked), marked


def distinct(smiles: str, systems: Sequence[System], energies: Sequence[float]) -> list[int]:
    """Indices of the structures that differ, by energy (eV); of like ones the first in that order is kept."""
    kept: list[int] = []
    for i in np.argsort(energies, kind="stable"):
        like = (j for j in kept if abs(energies[i] - energies[j]) < SAME_ENERGY)
        if not any(_distance(smiles, systems[i], systems[j]) < SAME_POSITIONS for j in like):
            kept.append(int(i))
    return kept


def boltzmann(energies: Sequence[float], temperature: float) -> Array:
    """Weights of states with `energies` (eV) at `temperature` (kelvin); they sum to one."""
    above = np.asarray(energies, dtype=np.float64) - min(energies)
    weights = np.exp(-above / (KELVIN * temperature))
    return np.asarray(weights / weights.sum())


def populated(weights: Array) -> list[int]:
    """Indices of the fewest states that hold all but `NEGLIGIBLE` of the weight, the heaviest first."""
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    return [int(i) for i in order[before < 1 - NEGLIGIBLE]]


def _distance(smiles: str, a: System, b: System) -> float:
    """Root mean square distance (angstrom) after the best rotation and exchange of like atoms."""
    from rdkit.Chem import rdMolAlign

    molecule = _with_two_conformers(smiles, a, b)
    return float(rdMolAlign.GetBestRMS(molecule, molecule, 0, 1, maxMatches=EXCHANGES))


def _with_two_conformers(smiles: str, a: System, b: System) -> Any:
    from rdkit import Chem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for system in (a, b):
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(system.coordinates))
        molecule.AddConformer(conformer, assignId=True)
    return molecule
