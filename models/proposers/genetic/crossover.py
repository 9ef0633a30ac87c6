"""Crossover: cut two molecules and join a part of each.

After Jensen, Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C: at an acyclic bond, or through a ring at two bonds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem

from theoros.models.proposers.genetic.editing import Parent, finished

#: How often two molecules are cut through rings.
THROUGH_RINGS = 0.3


def crossover(first: Parent, second: Parent, most: int, rng: np.random.Generator) -> str | None:
    """The SMILES of a child with a part of each parent and at most `most` atoms, or None when the cut did not fit."""
    through_ring = bool(rng.random() < THROUGH_RINGS)
    found, rest = _part(first, through_ring, rng), _part(second, through_ring, rng)
    if found is None or rest is None:
        return None
    (one, ends), (other, other_ends) = found, rest
    shift = one.GetNumAtoms()
    if shift + other.GetNumAtoms() > most:
        return None
    joined = Chem.RWMol(Chem.CombineMols(one, other))
    if through_ring and rng.random() < 0.5:
        other_ends = other_ends[::-1]
    pairs = list(zip(ends, (index + shift for index in other_ends), strict=True))
    if len(set(pairs)) < len(pairs):  # both cuts met one atom on either side
        return None
    for begin, end in pairs:
        joined.AddBond(begin, end, Chem.BondType.SINGLE)
    return finished(joined)


def _part(parent: Parent, through_ring: bool, rng: np.random.Generator) -> tuple[Any, tuple[int, ...]] | None:
    """One of the two parts that a random cut leaves, and its atoms with a free valence, each as often as it was cut.

    None when there is nothing to cut.
    """
    cut: tuple[tuple[int, int, int], ...]
    if through_ring:
        if not parent.rings:
            return None
        ring = parent.rings[int(rng.integers(len(parent.rings)))]
        first = int(rng.integers(len(ring)))
        second = (first + 1 + int(rng.integers(len(ring) - 1))) % len(ring)
        cut = (ring[min(first, second)], ring[max(first, second)])
    else:
        if not parent.single:
            return None
        cut = (parent.single[int(rng.integers(len(parent.single)))],)
    if cut not in parent.parts:
        parent.parts[cut] = _parts(parent.kekule, cut)
    fitting = parent.parts[cut]
    return fitting[int(rng.integers(len(fitting)))] if fitting else None


def _parts(molecule: Any, cut: tuple[tuple[int, int, int], ...]) -> list[tuple[Any, tuple[int, ...]]]:
    """The parts that have an end of every bond of the cut, with these ends."""
    opened = Chem.RWMol(molecule)
    for _, begin, end in cut:
        opened.RemoveBond(begin, end)
    origins: list[tuple[int, ...]] = []
    parts = Chem.GetMolFrags(opened, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=origins)
    found = []
    for part, atoms in zip(parts, origins, strict=True):
        place = {atom: index for index, atom in enumerate(atoms)}
        ends = tuple(place[atom] for _, *two in cut for atom in two if atom in place)
        if len(ends) == len(cut):
            found.append((part, ends))
    return found
