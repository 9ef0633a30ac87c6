"""Graph mutations: changes of atoms, bonds and rings, one to three at a time.

After Jensen, Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C, but by direct edits of the graph: each operator makes
one product, so nothing grows without bound as products of reaction SMARTS can.
"""

from __future__ import annotations

from collections import Counter
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


#: How often a mutation is one change, two, or three.
STEPS = (0.7, 0.2, 0.1)
#: No element is drawn more seldom than this, relative to the commonest: what the space allows can be reached.
LEAST = 0.02


@dataclass(frozen=True)
class Chemistry:
    """What the operators may use: the space's elements, its most heavy atoms, and how often each element is drawn."""

    elements: tuple[str, ...]
    most: int
    weights: tuple[float, ...]

    @classmethod
    def like(cls, elements: tuple[str, ...], most: int, molecules: Sequence[str]) -> Chemistry:
        """Elements drawn by the root of how often they are met in `molecules` (SMILES), `LEAST` for what is not.

        Drawn alike, two in five new atoms of a space that allows all of medicinal chemistry would be boron, silicon,
        phosphorus or iodine, which hardly any of its molecules has. The root leaves carbon less than half.
        """
        met = Counter(atom.GetSymbol() for smiles in molecules for atom in atoms_of(Chem.MolFromSmiles(smiles)))
        roots = np.sqrt([met[element] for element in elements])
        return cls(elements, most, tuple(np.maximum(roots / max(roots.max(), 1.0), LEAST).tolist()))

    def element(self, bonds: int, rng: np.random.Generator, other_than: str = "") -> str | None:
        """One that can have at least `bonds` bonds, or None where there is none."""
        able = [e for e in self.elements if VALENCES.get(e, 0) >= bonds and e != other_than]
        if not able:
            return None
        drawn = dict(zip(self.elements, self.weights, strict=True))
        part = np.array([drawn[element] for element in able])
        return able[int(rng.choice(len(able), p=part / part.sum()))]


Operator = Callable[[Any, Chemistry, np.random.Generator], "bool"]


def mutate(parent: Parent, chemistry: Chemistry, rng: np.random.Generator) -> str | None:
    """The SMILES of `parent` after one to three random changes, or None when the first was impossible here.

    Several at once (`STEPS`) cross what lies between two good molecules: one of every pair of steps may be for the
    worse, and a child of one such step would not live long enough to have the other. A later change that is impossible
    is left out.
    """
    child = _changed(parent, chemistry, rng)
    for _ in range(int(rng.choice(len(STEPS), p=STEPS))):
        if child is not None:
            child = _changed(Parent.of(Chem.MolFromSmiles(child)), chemistry, rng) or child
    return child


def _changed(parent: Parent, chemistry: Chemistry, rng: np.random.Generator) -> str | None:
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
    element = chemistry.element(order, rng)
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
    element = chemistry.element(2, rng)
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
    element = chemistry.element(bonds, rng, other_than=atom.GetSymbol())
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


def slide_bond(copy: Any, chemistry: Chemistry, rng: np.random.Generator) -> bool:
    """Move one end of a single bond one or two bonds along: a substituent to another place, or a ring to a wider one.

    By additions and deletions alone such a neighbour is two steps away, and the step between is often a poor molecule.
    """
    bonds = _bonds(copy, single=True)
    if not bonds:
        return False
    fixed, moving = _pick(bonds, rng)
    if rng.random() < 0.5:
        fixed, moving = moving, fixed
    copy.RemoveBond(fixed, moving)
    distances = Chem.GetDistanceMatrix(copy, force=True)
    bonded = {neighbour.GetIdx() for neighbour in copy.GetAtomWithIdx(fixed).GetNeighbors()} | {fixed}
    sites = [
        atom.GetIdx()
        for atom in atoms_of(copy)
        if 1 <= distances[moving, atom.GetIdx()] <= 2 and atom.GetIdx() not in bonded and free_valence(atom) > 0
    ]
    if not sites:
        return False
    copy.AddBond(fixed, _pick(sites, rng), Chem.BondType.SINGLE)
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
    slide_bond,
)
WEIGHTS = (0.18, 0.09, 0.1, 0.14, 0.14, 0.11, 0.08, 0.06, 0.1)


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
