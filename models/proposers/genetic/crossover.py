"""Crossover: cut two molecules and join a part of each.

After Jensen, Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C: at an acyclic bond, or through a ring at two bonds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem

from theoros.models.proposers.genetic.editing import editable, finished

_MARK = "theoros_cut"


def crossover(first: Any, second: Any, most: int, rng: np.random.Generator) -> str | None:
    """The SMILES of a child with a part of each parent and at most `most` atoms, or None when the cut did not fit."""
    through_ring = bool(rng.random() < 0.3)
    one, other = _part(editable(first), through_ring, rng), _part(editable(second), through_ring, rng)
    if one is None or other is None or one.GetNumAtoms() + other.GetNumAtoms() > most:
        return None
    joined = Chem.RWMol(Chem.CombineMols(one, other))
    shift = one.GetNumAtoms()
    ends = [_cut_atoms(one), [index + shift for index in _cut_atoms(other)]]
    if through_ring and rng.random() < 0.5:
        ends[1].reverse()
    pairs = list(zip(*ends, strict=True))
    if len(set(pairs)) < len(pairs):  # both cuts met one atom on either side
        return None
    for begin, end in pairs:
        joined.AddBond(begin, end, Chem.BondType.SINGLE)
    return finished(joined)


def _part(copy: Any, through_ring: bool, rng: np.random.Generator) -> Any | None:
    """One of the two parts that a random cut leaves, its cut atoms marked; None when there is nothing to cut."""
    Chem.FastFindRings(copy)
    single = [
        bond
        for bond in copy.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE
        and bond.GetBeginAtom().GetFormalCharge() == bond.GetEndAtom().GetFormalCharge() == 0
    ]
    if through_ring:
        rings = [[bond for bond in single if bond.GetIdx() in set(ring)] for ring in copy.GetRingInfo().BondRings()]
        rings = [ring for ring in rings if len(ring) >= 2]
        if not rings:
            return None
        ring = rings[int(rng.integers(len(rings)))]
        cut = [ring[int(i)] for i in rng.choice(len(ring), 2, replace=False)]
    else:
        acyclic = [bond for bond in single if not bond.IsInRing()]
        if not acyclic:
            return None
        cut = [acyclic[int(rng.integers(len(acyclic)))]]
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in cut]
    for begin, end in pairs:
        copy.RemoveBond(begin, end)
        for index in (begin, end):
            atom = copy.GetAtomWithIdx(index)
            atom.SetIntProp(_MARK, (atom.GetIntProp(_MARK) if atom.HasProp(_MARK) else 0) + 1)
    parts = Chem.GetMolFrags(copy, asMols=True, sanitizeFrags=False)
    fitting = [part for part in parts if len(_cut_atoms(part)) == len(pairs)]
    return fitting[int(rng.integers(len(fitting)))] if fitting else None


def _cut_atoms(part: Any) -> list[int]:
    """The atoms that a cut left with a free valence, each as often as it was cut."""
    return [atom.GetIdx() for atom in part.GetAtoms() if atom.HasProp(_MARK) for _ in range(atom.GetIntProp(_MARK))]
