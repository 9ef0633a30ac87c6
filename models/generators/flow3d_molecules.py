"""Molecules as three-dimensional flow matching sees them: united atoms, coordinates and bond orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array
from theoros.models.sampling import derived_seed
from theoros.oracles.chemistry.geometry import from_smiles
from theoros.oracles.failures import InvalidCandidate


class UnitedAtom(NamedTuple):
    """A heavy atom with its hydrogens: `bonds` are the orders of its bonds to heavy atoms, added up.

    So CH3, CH2 and CH are three types, and the sulfur atoms of a sulfide and of a sulfone are two.
    """

    symbol: str
    charge: int
    hydrogens: int
    bonds: int

    @property
    def valence(self) -> int:
        """Bond orders to hydrogens and to heavy atoms, added up."""
        return self.hydrogens + self.bonds


@dataclass(frozen=True, eq=False)
class Structure:
    """A molecule: types of its heavy atoms (n), coordinates ``n x 3`` in angstrom about their mean, bond orders
    ``n x n``: 0 to 3, aromatic ones written as single and double (Kekulé).
    """

    types: NDArray[np.int64]
    positions: Array
    orders: NDArray[np.int64]


class Graph(NamedTuple):
    """The heavy atoms of a molecule in their SMILES' order, and their bond orders ``n x n``."""

    atoms: tuple[UnitedAtom, ...]
    orders: NDArray[np.int64]


@lru_cache(maxsize=8_192)
def graph_of(smiles: str) -> Graph:
    """Read a SMILES; raises InvalidCandidate for text that is none."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"{smiles!r} is not a valid SMILES")
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    n = molecule.GetNumAtoms()
    orders = np.zeros((n, n), dtype=np.int64)
    for bond in molecule.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        orders[i, j] = orders[j, i] = int(bond.GetBondTypeAsDouble())
    atoms = tuple(
        UnitedAtom(atom.GetSymbol(), atom.GetFormalCharge(), atom.GetTotalNumHs(), int(orders[i].sum()))
        for i, atom in enumerate(molecule.GetAtoms())
    )
    return Graph(atoms, orders)


def vocabulary(smiles: Iterable[str]) -> tuple[UnitedAtom, ...]:
    """The united atoms that occur in these molecules, sorted."""
    return tuple(sorted({atom for text in smiles for atom in graph_of(text).atoms}))


def types_of(smiles: str, atoms: Sequence[UnitedAtom]) -> NDArray[np.int64]:
    """The places of a molecule's heavy atoms among `atoms`; raises InvalidCandidate for one that is not among them."""
    known = {atom: index for index, atom in enumerate(atoms)}
    for atom in graph_of(smiles).atoms:
        if atom not in known:
            raise InvalidCandidate(f"{smiles} has a kind of atom that the model was not trained on: {_written(atom)}")
    return np.array([known[atom] for atom in graph_of(smiles).atoms], dtype=np.int64)


def structure(smiles: str, atoms: Sequence[UnitedAtom], seed: int) -> Structure:
    """One conformer by ETKDG and MMFF94 (`theoros.oracles.chemistry.geometry.from_smiles`), without its hydrogens.

    Raises InvalidCandidate for what can't be embedded, or has an atom that is not among `atoms`.
    """
    types = types_of(smiles, atoms)
    # RDKit puts hydrogens behind the heavy atoms, which keep the order of the SMILES.
    system = from_smiles(smiles, 1, True, derived_seed(seed, smiles) & 0x7FFFFFFF)
    positions = system.coordinates[: len(types)]
    return Structure(types, positions - positions.mean(axis=0), graph_of(smiles).orders)


def structures(smiles: Iterable[str], atoms: Sequence[UnitedAtom], seed: int) -> list[Structure]:
    """The `structure` of every molecule that has one."""
    found = []
    for text in smiles:
        try:
            found.append(structure(text, atoms, seed))
        except InvalidCandidate:
            continue
    return found


def with_hydrogens(smiles: str, positions: Array) -> Array:
    """Positions ``atoms x 3`` in angstrom of all atoms, the hydrogens last, where those of the heavy atoms are known.

    RDKit places hydrogens by the ideal geometry of the atom that bears them.
    """
    from rdkit import Chem, Geometry

    molecule: Any = Chem.MolFromSmiles(smiles)
    conformer = Chem.Conformer(molecule.GetNumAtoms())
    for index, position in enumerate(positions):
        conformer.SetAtomPosition(index, Geometry.Point3D(*map(float, position)))
    molecule.AddConformer(conformer)
    return np.asarray(Chem.AddHs(molecule, addCoords=True).GetConformer().GetPositions(), dtype=np.float64)


def _written(atom: UnitedAtom) -> str:
    hydrogens = f"H{atom.hydrogens}" if atom.hydrogens else ""
    return f"{atom.symbol}{hydrogens}{f'({atom.charge:+d})' if atom.charge else ''} with {atom.bonds} bonds"
