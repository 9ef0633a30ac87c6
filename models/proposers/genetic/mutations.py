"""Graph mutations: single changes of atoms, bonds and rings.

After Jensen, Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C, but by direct edits of the graph: each operator makes
one product, so nothing grows without bound as products of reaction SMARTS can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rdkit import Chem

from theoros.models.proposers.genetic.editing import (
    VALENCES,
    Parent,
    atoms_of,
    bonds_of,
    finished,
    free_valence,
    parent_of,
)

_ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
#: Groups that `append_group` may attach: chemistry that single-atom steps seldom reach through valid intermediates.
GROUPS = (
    "C#N",
    "C=O",
    "C(=O)O",
    "C(=O)N",
    "C(F)(F)F",
    "C=C",
    "C#C",
    "OC",
    "N(C)C",
    "C1CC1",
    "c1ccccc1",
    "S(=O)(=O)C",
    "[N+](=O)[O-]",
)


@dataclass(frozen=True)
class Chemistry:
    """What the operators may use: the space's elements and its most heavy atoms."""

    elements: tuple[str, ...]
    most: int

    def joining(self, bonds: int) -> list[str]:
        """Elements that can have at least `bonds` bonds."""
        return [element for element in self.elements if VALENCES.get(element, 0) >= bonds]


Operator = Callable[[Any, Chemistry, np.random.Generator], "bool"]


def mutate(parent: Parent, chemistry: Chemistry, rng: np.random.Generator) -> str | None:
    """The SMILES of `parent` after one random change, or None when the change was impossible here."""
    copy = parent.copy()
    operator = OPERATORS[int(rng.choice(len(OPERATORS), p=WEIGHTS))]
    return finished(copy) if operator(copy, chemistry, rng) else None


def append_atom(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Put a new atom on a free valence, by a single, double or triple bond."""
    sites = [atom.GetIdx() for atom in atoms_of(copy) if free_valence(atom) > 0]
    if not sites or copy.GetNumAtoms() >= chemistry.most:
        return False
    site = _pick(sites, rng)
    order = min(int(rng.choice([1, 1, 1, 2, 3])), free_valence(copy.GetAtomWithIdx(site)))
    element = _pick(chemistry.joining(order), rng)
    if element is None:
        return False
    new = copy.AddAtom(Chem.Atom(element))
    copy.AddBond(site, new, _ORDERS[order])
    return True


def append_group(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Put a small functional group on a free valence."""
    sites = [atom.GetIdx() for atom in atoms_of(copy) if free_valence(atom) > 0]
    group = parent_of(_pick(GROUPS, rng)).kekule
    allowed = all(atom.GetSymbol() in chemistry.elements for atom in atoms_of(group))
    if not sites or not allowed or copy.GetNumAtoms() + group.GetNumAtoms() > chemistry.most:
        return False
    start = copy.GetNumAtoms()
    copy.InsertMol(group)
    copy.AddBond(_pick(sites, rng), start, Chem.BondType.SINGLE)
    return True


def insert_atom(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Put a new atom into a single bond; in a ring this widens the ring."""
    bonds = _bonds(copy, single=True)
    element = _pick(chemistry.joining(2), rng)
    if not bonds or element is None or copy.GetNumAtoms() >= chemistry.most:
        return False
    begin, end = _pick(bonds, rng)
    new = copy.AddAtom(Chem.Atom(element))
    copy.RemoveBond(begin, end)
    copy.AddBond(begin, new, Chem.BondType.SINGLE)
    copy.AddBond(new, end, Chem.BondType.SINGLE)
    return True


def delete_atom(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Take an end atom away, or one between two others, which are then bonded (in a ring this narrows the ring)."""
    sites = [atom.GetIdx() for atom in atoms_of(copy) if atom.GetDegree() in (1, 2) and atom.GetFormalCharge() == 0]
    if not sites or copy.GetNumAtoms() < 2:
        return False
    site = _pick(sites, rng)
    neighbours = [neighbour.GetIdx() for neighbour in copy.GetAtomWithIdx(site).GetNeighbors()]
    if len(neighbours) == 2 and copy.GetBondBetweenAtoms(*neighbours) is not None:
        return False
    if len(neighbours) == 2:
        copy.AddBond(*neighbours, Chem.BondType.SINGLE)
    copy.RemoveAtom(site)
    return True


def substitute_atom(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Change an atom's element to one that can hold the bonds it has."""
    sites = [atom.GetIdx() for atom in atoms_of(copy) if atom.GetFormalCharge() == 0]
    if not sites:
        return False
    atom = copy.GetAtomWithIdx(_pick(sites, rng))
    bonds = int(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds()))
    element = _pick([element for element in chemistry.joining(bonds) if element != atom.GetSymbol()], rng)
    if element is None:
        return False
    atom.SetAtomicNum(Chem.GetPeriodicTable().GetAtomicNumber(element))
    return True


def change_order(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Make a bond one order higher, if both ends have a free valence, or lower."""
    bonds = _bonds(copy)
    if not bonds:
        return False
    begin, end = _pick(bonds, rng)
    bond = copy.GetBondBetweenAtoms(begin, end)
    order = int(bond.GetBondTypeAsDouble())
    can_rise = order < 3 and min(free_valence(bond.GetBeginAtom()), free_valence(bond.GetEndAtom())) > 0
    choices = [order + 1] * can_rise + [order - 1] * (order > 1)
    if not choices:
        return False
    bond.SetBondType(_ORDERS[int(_pick(choices, rng))])
    return True


def close_ring(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Bond two atoms with free valences that are two to five bonds apart: a ring of three to six atoms."""
    distances = Chem.GetDistanceMatrix(copy)
    free = [atom.GetIdx() for atom in atoms_of(copy) if free_valence(atom) > 0]
    pairs = [(i, j) for i in free for j in free if i < j and 2 <= distances[i, j] <= 5]
    if not pairs:
        return False
    # Five and six-membered rings are what chemistry is made of; small ones are possible.
    weights = np.array([3.0 if distances[i, j] >= 4 else 1.0 for i, j in pairs])
    begin, end = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
    copy.AddBond(begin, end, Chem.BondType.SINGLE)
    return True


def open_ring(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Take a single bond of a ring away."""
    Chem.FastFindRings(copy)
    bonds = [pair for pair in _bonds(copy, single=True) if copy.GetBondBetweenAtoms(*pair).IsInRing()]
    if not bonds:
        return False
    copy.RemoveBond(*_pick(bonds, rng))
    return True


OPERATORS: tuple[Operator, ...] = (
    append_atom,
    append_group,
    insert_atom,
    delete_atom,
    substitute_atom,
    change_order,
    close_ring,
    open_ring,
)
WEIGHTS = (0.2, 0.1, 0.12, 0.16, 0.16, 0.12, 0.08, 0.06)


def _bonds(copy: Any, *, single: bool = False) -> list[tuple[int, int]]:
    """Bonds between neutral atoms, as pairs of atom indices."""
    return [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for bond in bonds_of(copy)
        if bond.GetBeginAtom().GetFormalCharge() == 0
        and bond.GetEndAtom().GetFormalCharge() == 0
        and (not single or bond.GetBondType() == Chem.BondType.SINGLE)
    ]


def _pick(items: Sequence[Any], rng: np.random.Generator) -> Any:
    """One of `items`, or None of an empty sequence."""
    return items[int(rng.integers(len(items)))] if items else None
