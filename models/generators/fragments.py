"""Molecules taken apart into fragments, and put together from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

#: Fragments with more symmetries than this are left as they are: none of a campaign's size has so many.
MOST_SYMMETRIES = 10_000

#: What an atom of a fragment is to a bond: element, aromatic, in a ring, multiple bonds, charge.
Kind = tuple[str, bool, bool, int, int]


class Bond(NamedTuple):
    """A single bond between atoms of two pieces; atoms are numbered as in the SMILES of their fragments."""

    piece: int
    atom: int
    other: int
    other_atom: int


@dataclass(frozen=True)
class Assembly:
    """A molecule as a tree: the SMILES of its pieces' fragments, and the bonds that join the pieces."""

    fragments: tuple[str, ...]
    bonds: tuple[Bond, ...]


@dataclass(frozen=True)
class Fragment:
    """A molecule that others are made of: every hydrogen may be replaced by a bond to another fragment.

    `hydrogens` and `kinds` have an entry for each atom. `symmetries` are the automorphisms, each the atoms' images, the
    identity among them.
    """

    smiles: str
    hydrogens: tuple[int, ...]
    kinds: tuple[Kind, ...]
    symmetries: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Heavy atoms."""
        return len(self.hydrogens)

    @cached_property
    def orbits(self) -> tuple[frozenset[int], ...]:
        """For each atom, the atoms that it can't be told from."""
        return tuple(frozenset(images) for images in zip(*self.symmetries, strict=True))

    @cached_property
    def sites(self) -> tuple[int, ...]:
        """One atom, the first, of each orbit that has hydrogens."""
        return tuple(a for a in range(self.size) if self.hydrogens[a] and a == min(self.orbits[a]))


@lru_cache(maxsize=16_384)
def fragment(smiles: str) -> Fragment:
    """The fragment of a canonical SMILES."""
    molecule: Any = Chem.MolFromSmiles(smiles)
    atoms = list(molecule.GetAtoms())
    known = [(a.GetAtomicNum(), a.GetFormalCharge(), a.GetTotalNumHs(), a.GetIsAromatic()) for a in atoms]
    matches = molecule.GetSubstructMatches(molecule, uniquify=False, maxMatches=MOST_SYMMETRIES)
    # A match may send N to NH or N+ to N, and these are no symmetries.
    symmetries = tuple(m for m in matches if all(known[i] == known[image] for i, image in enumerate(m)))
    return Fragment(smiles, tuple(h for _, _, h, _ in known), tuple(_kind(atom) for atom in atoms), symmetries)


@lru_cache(maxsize=65_536)
def take_apart(smiles: str) -> Assembly:
    """Cut every single bond outside rings but those between two charged atoms; raises ValueError for no SMILES.

    Which bonds are cut depends on the two atoms alone, so a molecule has one set of fragments, and molecules with the
    same fragments and the same bonds between them are the same. A cut bond leaves a hydrogen on either side.
    """
    molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise ValueError(f"{smiles!r} is not a SMILES")
    copy, cut = Chem.RWMol(molecule), []
    for bond in molecule.GetBonds():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        charged = all(atom.GetFormalCharge() for atom in ends)
        if bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and not charged:
            cut.append((ends[0].GetIdx(), ends[1].GetIdx()))
            copy.RemoveBond(*cut[-1])
            for index in cut[-1]:
                atom = copy.GetAtomWithIdx(index)
                atom.SetNumExplicitHs(atom.GetNumExplicitHs() + 1)
    Chem.SanitizeMol(copy)
    names, place = [], {}
    members: list[tuple[int, ...]] = []
    for number, piece in enumerate(Chem.GetMolFrags(copy, asMols=True, fragsMolAtomMapping=members)):
        names.append(str(Chem.MolToSmiles(piece)))
        written = piece.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
        place.update({members[number][index]: (number, position) for position, index in enumerate(written)})
    return Assembly(tuple(names), tuple(Bond(*place[i], *place[j]) for i, j in cut))


@lru_cache(maxsize=65_536)
def put_together(assembly: Assembly) -> str:
    """The canonical SMILES of what the pieces make; raises ValueError for an atom with more bonds than hydrogens."""
    molecule, first = Chem.RWMol(), []
    for name in assembly.fragments:
        first.append(molecule.GetNumAtoms())
        molecule.InsertMol(_read(name))
    for piece, atom, other, other_atom in assembly.bonds:
        ends = (first[piece] + atom, first[other] + other_atom)
        molecule.AddBond(*ends, Chem.BondType.SINGLE)
        for index in ends:
            end = molecule.GetAtomWithIdx(index)
            if end.GetNumExplicitHs():
                end.SetNumExplicitHs(end.GetNumExplicitHs() - 1)
    if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        raise ValueError(f"{assembly} has an atom with more bonds than it had hydrogens")
    return str(Chem.MolToSmiles(molecule))


@lru_cache(maxsize=65_536)
def symmetry_order(smiles: str) -> int:
    """How many automorphisms a molecule has: the product of the orbits met while its atoms are fixed one by one."""
    molecule: Any = Chem.MolFromSmiles(smiles)
    order = 1
    for label in range(1, molecule.GetNumAtoms() + 1):
        ranks = list(Chem.CanonicalRankAtoms(molecule, breakTies=False, includeIsotopes=True))
        rank, size = Counter(ranks).most_common(1)[0]
        if size == 1:
            break
        order *= size
        molecule.GetAtomWithIdx(ranks.index(rank)).SetIsotope(label)
    return order


@dataclass(frozen=True)
class Vocabulary:
    """The fragments to build with, and which kinds of atoms may be bonded: pairs, in both orders."""

    fragments: tuple[Fragment, ...]
    pairs: frozenset[tuple[Kind, Kind]]

    def may_bond(self, kinds: Sequence[Kind], others: Sequence[Kind]) -> NDArray[np.bool_]:
        """Whether a bond between each of `kinds` (n) and each of `others` (m) is known: ``n x m``."""
        known = [[(kind, other) in self.pairs for other in others] for kind in kinds]
        return np.array(known, dtype=bool).reshape(len(kinds), len(others))


def vocabulary_of(molecules: Iterable[str], most: int) -> Vocabulary:
    """The `most` fragments that the most molecules hold, and the bonds seen between any: no peroxide unless one is."""
    found: Counter[str] = Counter()
    pairs: set[tuple[Kind, Kind]] = set()
    for smiles in molecules:
        assembly = take_apart(smiles)
        found.update(sorted(set(assembly.fragments)))
        for piece, atom, other, other_atom in assembly.bonds:
            ends = (
                fragment(assembly.fragments[piece]).kinds[atom],
                fragment(assembly.fragments[other]).kinds[other_atom],
            )
            pairs.update((ends, ends[::-1]))
    chosen = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return Vocabulary(tuple(fragment(name) for name, _ in chosen), frozenset(pairs))


def _kind(atom: Any) -> Kind:
    multiple = sum(bond.GetBondType() in (Chem.BondType.DOUBLE, Chem.BondType.TRIPLE) for bond in atom.GetBonds())
    return (atom.GetSymbol(), atom.GetIsAromatic(), atom.IsInRing(), multiple, atom.GetFormalCharge())


@lru_cache(maxsize=16_384)
def _read(smiles: str) -> Any:
    return Chem.MolFromSmiles(smiles)
