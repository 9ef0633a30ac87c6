"""What the graph operators share: a parent prepared once in, a checked molecule out. Parents are never changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rdkit import Chem

from theoros.oracles.spaces.stability import is_hypervalent_hydride

#: Valences that neutral atoms may have; operators add bonds only within them.
VALENCES = {"B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "P": 3, "S": 2, "Cl": 1, "Se": 2, "Br": 1, "I": 1}


@dataclass(frozen=True)
class Parent:
    """A molecule to edit, with what takes time prepared: it is bred from many times.

    `kekule` is an `editable` copy that nobody edits. `single` are the single bonds between neutral atoms outside rings,
    and `rings` those of each ring that has two or more: where it may be cut, as (bond, its two atoms).
    """

    kekule: Any

    @classmethod
    def of(cls, molecule: Any) -> Parent:
        """Prepare an RDKit molecule, which stays as it is."""
        return cls(editable(molecule).GetMol())

    def copy(self) -> Any:
        """A copy to edit."""
        return Chem.RWMol(self.kekule)

    @cached_property
    def single(self) -> tuple[tuple[int, int, int], ...]:
        """Bonds to cut outside rings."""
        rings = self.kekule.GetRingInfo()
        return tuple(bond for bond in self._cuttable if not rings.NumBondRings(bond[0]))

    @cached_property
    def rings(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """Bonds to cut in each ring, two or more of them."""
        cuttable = {bond[0]: bond for bond in self._cuttable}
        every = [tuple(cuttable[i] for i in ring if i in cuttable) for ring in self.kekule.GetRingInfo().BondRings()]
        return tuple(ring for ring in every if len(ring) >= 2)

    @cached_property
    def _cuttable(self) -> tuple[tuple[int, int, int], ...]:
        Chem.FastFindRings(self.kekule)
        charged = {atom.GetIdx() for atom in atoms_of(self.kekule) if atom.GetFormalCharge()}
        bonds = (
            (bond.GetIdx(), bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            for bond in bonds_of(self.kekule)
            if bond.GetBondType() == Chem.BondType.SINGLE
        )
        return tuple(bond for bond in bonds if not charged.intersection(bond[1:]))

    @cached_property
    def parts(self) -> dict[tuple[tuple[int, int, int], ...], list[tuple[Any, tuple[int, ...]]]]:
        """What `theoros.models.proposers.genetic.crossover` has cut out already, by the cut."""
        return {}


@lru_cache(maxsize=4_096)
def parent_of(smiles: str) -> Parent:
    """The molecule of a readable SMILES, prepared; those that are bred from again are remembered."""
    return Parent.of(Chem.MolFromSmiles(smiles))


def editable(molecule: Any) -> Any:
    """A Kekulé copy to edit: bonds are single, double or triple, and hydrogens follow from what is bonded.

    Hydrogens written out ([nH]) become implicit, so that a changed neighbourhood gets its own.
    """
    copy = Chem.RWMol(molecule)
    Chem.Kekulize(copy, clearAromaticFlags=True)
    for atom in atoms_of(copy):
        if atom.GetFormalCharge() == 0:
            atom.SetNumExplicitHs(0)
            atom.SetNoImplicit(False)
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    copy.UpdatePropertyCache(strict=False)
    return copy


def finished(copy: Any) -> str | None:
    """The SMILES of an edited molecule, or None when it is impossible, in pieces, or has hydrogens that RDKit alone
    would leave on sulfur(VI).
    """
    molecule = copy.GetMol()
    if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if is_hypervalent_hydride(molecule):
        return None
    smiles = str(Chem.MolToSmiles(molecule))
    return None if "." in smiles or not smiles else smiles


def atoms_of(molecule: Any) -> list[Any]:
    """Its atoms, by index: RDKit's own iteration costs several times as much."""
    return [molecule.GetAtomWithIdx(i) for i in range(molecule.GetNumAtoms())]


def bonds_of(molecule: Any) -> list[Any]:
    """Its bonds, likewise."""
    return [molecule.GetBondWithIdx(i) for i in range(molecule.GetNumBonds())]


def free_valence(atom: Any) -> int:
    """Hydrogens that a neutral atom could give up for bonds; 0 for charged atoms, which operators leave alone."""
    return int(atom.GetTotalNumHs()) if atom.GetFormalCharge() == 0 else 0
