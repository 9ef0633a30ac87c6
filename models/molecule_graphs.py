"""Molecules as graphs: atoms and bonds by category."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.failures import InvalidCandidate

ELEMENTS = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)
#: How many values each category of an atom has: element (the last one is any other), neighbours, charge, hydrogens,
#: hybridisation, aromatic, in a ring, chirality.
ATOM_SIZES = (len(ELEMENTS) + 1, 6, 5, 5, 4, 2, 2, 3)
#: The same of a bond: type, conjugated, in a ring, stereo.
BOND_SIZES = (5, 2, 2, 3)


@dataclass(frozen=True, eq=False)
class MoleculeGraph:
    """One molecule: categories of atoms ``a x 8`` and of bonds ``e x 4``, and the two atoms of each bond ``e x 2``."""

    atoms: NDArray[np.uint8]
    bonds: NDArray[np.uint8]
    ends: NDArray[np.int16]


@lru_cache(maxsize=200_000)
def graph(smiles: str) -> MoleculeGraph:
    """The graph of a molecule, some 500 bytes; raises InvalidCandidate for a SMILES that RDKit can't read."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    return graph_of(molecule)


def graph_of(molecule: Any) -> MoleculeGraph:
    """The graph of an RDKit molecule."""
    bonds = list(molecule.GetBonds())
    return MoleculeGraph(
        np.array([_atom(atom) for atom in molecule.GetAtoms()], dtype=np.uint8).reshape(-1, len(ATOM_SIZES)),
        np.array([_bond(bond) for bond in bonds], dtype=np.uint8).reshape(-1, len(BOND_SIZES)),
        np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], dtype=np.int16).reshape(-1, 2),
    )


def _atom(atom: Any) -> list[int]:
    from rdkit.Chem import ChiralType, HybridizationType

    number, hybrid = atom.GetAtomicNum(), atom.GetHybridization()
    hybrids = (HybridizationType.SP, HybridizationType.SP2, HybridizationType.SP3)
    turns = (ChiralType.CHI_TETRAHEDRAL_CW, ChiralType.CHI_TETRAHEDRAL_CCW)
    return [
        ELEMENTS.index(number) if number in ELEMENTS else len(ELEMENTS),
        min(atom.GetDegree(), 5),
        min(max(atom.GetFormalCharge(), -2), 2) + 2,
        min(atom.GetTotalNumHs(), 4),
        hybrids.index(hybrid) if hybrid in hybrids else 3,
        atom.GetIsAromatic(),
        atom.IsInRing(),
        turns.index(atom.GetChiralTag()) + 1 if atom.GetChiralTag() in turns else 0,
    ]


def _bond(bond: Any) -> list[int]:
    from rdkit.Chem import BondStereo, BondType

    kinds = (BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC)
    sides = ({BondStereo.STEREOE, BondStereo.STEREOTRANS}, {BondStereo.STEREOZ, BondStereo.STEREOCIS})
    kind, stereo = bond.GetBondType(), bond.GetStereo()
    return [
        kinds.index(kind) if kind in kinds else 4,
        bond.GetIsConjugated(),
        bond.IsInRing(),
        next((place for place, side in enumerate(sides, 1) if stereo in side), 0),
    ]
