"""From atoms in space to a SMILES: which bonds, and of which order, explain the distances and the valences best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from theoros.models.data import Array
from theoros.models.generators.flow3d_molecules import Structure, UnitedAtom

#: The largest order of a bond.
ORDERS = 3
#: A distance that is off by so many angstrom costs as much as a hydrogen atom too many or too few.
TOLERANCE = 0.3
#: Atoms are not bonded beyond the longest bond of their elements times this.
REACH = 1.4


@dataclass(frozen=True, eq=False)
class BondLengths:
    """Mean lengths of bonds in angstrom, ``elements x elements x orders``; NaN where no such bond is known."""

    symbols: tuple[str, ...]
    mean: Array

    @classmethod
    def of(cls, molecules: Sequence[Structure], atoms: Sequence[UnitedAtom]) -> BondLengths:
        """What is found in these molecules, whose types are places among `atoms`."""
        symbols = tuple(sorted({atom.symbol for atom in atoms}))
        place = np.array([symbols.index(atom.symbol) for atom in atoms])
        total, times = (np.zeros((len(symbols), len(symbols), ORDERS)) for _ in range(2))
        for molecule in molecules:
            i, j = np.nonzero(molecule.orders)
            where = (place[molecule.types[i]], place[molecule.types[j]], molecule.orders[i, j] - 1)
            np.add.at(total, where, np.linalg.norm(molecule.positions[i] - molecule.positions[j], axis=1))
            np.add.at(times, where, 1.0)
        return cls(symbols, np.where(times > 0, total / np.maximum(times, 1), np.nan))

    def priced(self, symbols: Sequence[str], positions: Array) -> tuple[NDArray[np.int64], Array]:
        """Pairs (``p x 2``) of atoms within reach of a bond, and what each order from 0 to 3 costs them (``p x 4``).

        A bond costs the distance from its mean length, no bond costs what is lacking to `REACH`, both in units of
        `TOLERANCE`; infinite is what no known bond allows.
        """
        place = np.array([self.symbols.index(symbol) for symbol in symbols], dtype=np.int64)
        i, j = np.triu_indices(len(symbols), 1)
        distance = np.linalg.norm(positions[i] - positions[j], axis=1)
        known = self.mean[place[i], place[j]]
        reach = REACH * np.nan_to_num(known, nan=0.0).max(axis=1)
        near = distance < reach
        bonded = np.abs(distance[near, None] - np.nan_to_num(known[near], nan=np.inf))
        costs = np.concatenate([(reach - distance)[near, None], bonded], axis=1)
        return np.stack([i[near], j[near]], axis=1), costs / TOLERANCE


def bond_orders(atoms: Sequence[UnitedAtom], positions: Array, lengths: BondLengths) -> NDArray[np.int64]:
    """Orders ``n x n`` (0 to 3) of the bonds between `atoms` at `positions` (``n x 3``, angstrom).

    The cheapest by `BondLengths.priced`, where every bond that an atom's type does not have, or lacks, costs one, and
    no atom exceeds its valence: an integer program, of which there always is a solution (no bond at all).
    """
    pairs, costs = lengths.priced([atom.symbol for atom in atoms], positions)
    orders = np.zeros((len(atoms), len(atoms)), dtype=np.int64)
    if len(pairs):
        bonds, valences = (np.array(column) for column in zip(*((a.bonds, a.valence) for a in atoms), strict=True))
        chosen = _cheapest(pairs, costs, bonds, valences)
        orders[pairs[:, 0], pairs[:, 1]] = orders[pairs[:, 1], pairs[:, 0]] = chosen
    return orders


def smiles_of(atoms: Sequence[UnitedAtom], orders: NDArray[np.int64]) -> str | None:
    """The SMILES of the largest connected part, None where RDKit finds it impossible.

    Hydrogens fill what bonds leave of the atoms' valences.
    """
    from rdkit import Chem, rdBase

    molecule: Any = Chem.RWMol()
    for atom, bonds in zip(atoms, orders.sum(axis=1), strict=True):
        heavy = Chem.Atom(atom.symbol)
        heavy.SetFormalCharge(atom.charge)
        heavy.SetNumExplicitHs(int(atom.valence - bonds))
        heavy.SetNoImplicit(True)
        molecule.AddAtom(heavy)
    for i, j in np.argwhere(np.triu(orders)):
        molecule.AddBond(int(i), int(j), Chem.BondType.values[int(orders[i, j])])
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(molecule)
        except ValueError:
            return None
        parts = Chem.GetMolFrags(molecule, asMols=True)
    return str(Chem.MolToSmiles(max(parts, key=lambda part: part.GetNumAtoms()))) if parts else None


def _cheapest(
    pairs: NDArray[np.int64], costs: Array, bonds: NDArray[np.int64], valences: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The orders (p): p x 4 binary choices, and n numbers that say how far an atom's bonds are off."""
    p, n = len(pairs), len(bonds)
    choices = costs.size
    one_each = np.hstack([np.kron(np.eye(p), np.ones(ORDERS + 1)), np.zeros((p, n))])
    incidence = (pairs[:, 0] == np.arange(n)[:, None]) | (pairs[:, 1] == np.arange(n)[:, None])
    total = np.kron(incidence, np.arange(ORDERS + 1.0))
    possible = np.isfinite(costs).ravel()
    result = milp(
        np.concatenate([np.where(possible, costs.ravel(), 0.0), np.ones(n)]),
        integrality=np.concatenate([np.ones(choices), np.zeros(n)]),
        bounds=Bounds(0, np.concatenate([possible.astype(float), np.full(n, np.inf)])),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(np.hstack([total, np.zeros((n, n))]), -np.inf, valences),
            LinearConstraint(np.hstack([total, -np.eye(n)]), -np.inf, bonds),
            LinearConstraint(np.hstack([total, np.eye(n)]), bonds, np.inf),
        ],
    )
    if result.x is None:
        raise ArithmeticError(f"the program for bond orders was not solved: {result.message}")
    return np.asarray(result.x[:choices].reshape(p, ORDERS + 1).argmax(axis=1), dtype=np.int64)
