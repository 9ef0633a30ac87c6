"""Descriptors of whole molecules: size, polarity, flexibility, shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Each descriptor, and the range in which drugs and smaller molecules have it.
RANGES: Mapping[str, tuple[float, float]] = {
    "mass": (0, 600),
    "logp": (-3, 6),
    "refractivity": (0, 160),
    "polar_surface": (0, 160),
    "donors": (0, 5),
    "acceptors": (0, 10),
    "rotatable_bonds": (0, 10),
    "rings": (0, 6),
    "aromatic_rings": (0, 4),
    "sp3_carbons": (0, 1),
    "connectivity": (0, 14),
    "shape": (0, 12),
    "charges": (0, 3),
}


def descriptors(molecule: Any) -> list[float]:
    """The values of `RANGES`, in its order, of an RDKit molecule."""
    from rdkit.Chem import rdMolDescriptors

    logp, refractivity = rdMolDescriptors.CalcCrippenDescriptors(molecule)
    return [
        rdMolDescriptors.CalcExactMolWt(molecule),
        logp,
        refractivity,
        rdMolDescriptors.CalcTPSA(molecule),
        rdMolDescriptors.CalcNumHBD(molecule),
        rdMolDescriptors.CalcNumHBA(molecule),
        rdMolDescriptors.CalcNumRotatableBonds(molecule),
        rdMolDescriptors.CalcNumRings(molecule),
        rdMolDescriptors.CalcNumAromaticRings(molecule),
        rdMolDescriptors.CalcFractionCSP3(molecule),
        rdMolDescriptors.CalcChi1v(molecule),
        rdMolDescriptors.CalcKappa2(molecule) if molecule.GetNumAtoms() > 2 else 0.0,
        float(sum(abs(molecule.GetAtomWithIdx(i).GetFormalCharge()) for i in range(molecule.GetNumAtoms()))),
    ]
