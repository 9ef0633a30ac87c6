"""What trees read: parameters with a column for each category, molecules as counts and descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from theoros.models.descriptors import descriptors
from theoros.models.encoders import encoder_for
from theoros.models.unit_cube import Column
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.base import Space

Table = NDArray[np.float32]

#: Columns into which the environments of radius up to `RADIUS` are counted.
ENVIRONMENTS, RADIUS = 256, 2
ELEMENTS = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)


class TreeFeatures(Protocol):
    """Turns candidates of one space into a table for trees."""

    @property
    def share(self) -> float:
        """The share of the columns that a split should try."""
        ...

    def table(self, candidates: Sequence[Candidate]) -> Table:
        """Features ``n x d``, float32."""
        ...


@dataclass(frozen=True)
class ParameterFeatures:
    """The columns of the space's own encoder; a category becomes one column of zeros and ones for each choice, and has
    the coordinates of its place beside them where it has one.
    """

    encoder: Any
    share: float = 1.0

    def table(self, candidates: Sequence[Candidate]) -> Table:
        """Features ``n x d``."""
        encoded: Table = self.encoder.encode(candidates).numpy().astype(np.float32)
        columns: Sequence[Column] = self.encoder.columns
        parts = [
            encoded[:, i : i + 1] == np.arange(len(column.choices), dtype=np.float32)
            if column.kind == "categorical"
            else encoded[:, i : i + 1]
            for i, column in enumerate(columns)
        ]
        places = getattr(self.encoder, "places", None)
        if places is not None:
            parts += [points[encoded[:, i].astype(np.int64)] for i, points in places.points.items()]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


@dataclass(frozen=True)
class MoleculeFeatures:
    """Descriptors, composition counts, and counts of circular environments folded into `ENVIRONMENTS` columns.

    Morgan counts: Rogers & Hahn, J. Chem. Inf. Model. 50, 742 (2010), doi:10.1021/ci100050t. Folded further than the
    Gaussian process's fingerprint, because a tree tries every column at every split.
    """

    share: float = 1 / 3

    def table(self, candidates: Sequence[Candidate]) -> Table:
        """Features ``n x d``."""
        if not candidates:
            return np.zeros((0, len(_described("C")[0]) + ENVIRONMENTS), dtype=np.float32)
        counts = np.stack([_described(str(candidate.data["smiles"]))[1] for candidate in candidates])
        return np.concatenate([self.descriptors(candidates), counts], axis=1, dtype=np.float32)

    def descriptors(self, candidates: Sequence[Candidate]) -> Table:
        """The first columns of the table: descriptors and composition counts."""
        if not candidates:
            return np.zeros((0, len(_described("C")[0])), dtype=np.float32)
        return np.stack([_described(str(candidate.data["smiles"]))[0] for candidate in candidates])


def tree_features(space: Space) -> TreeFeatures:
    """What trees read of `space`; raises ValueError for a kind that has no encoder."""
    return MoleculeFeatures() if space.kind == "molecule" else ParameterFeatures(encoder_for(space))


@lru_cache(maxsize=200_000)
def _described(smiles: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Descriptors with composition counts, and environment counts, of a molecule."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    counts = _generator().GetCountFingerprintAsNumPy(molecule)
    return (
        np.array([*descriptors(molecule), *_composition(molecule)], dtype=np.float32),
        np.minimum(counts, 255).astype(np.uint8),
    )


def _composition(molecule: Any) -> list[float]:
    from rdkit.Chem import BondType, HybridizationType

    atoms, bonds = list(molecule.GetAtoms()), list(molecule.GetBonds())
    hydrogens = sum(atom.GetTotalNumHs() for atom in atoms)
    elements = [sum(atom.GetAtomicNum() == number for atom in atoms) for number in ELEMENTS]
    elements[0] += hydrogens
    hybrids = (HybridizationType.SP, HybridizationType.SP2, HybridizationType.SP3)
    kinds = (BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC)
    return [
        len(atoms),
        *elements,
        *(sum(atom.GetHybridization() == hybrid for atom in atoms) for hybrid in hybrids),
        *(sum(bond.GetBondType() == kind for bond in bonds) for kind in kinds),
        sum(atom.IsInRing() for atom in atoms),
        sum(bond.GetIsConjugated() for bond in bonds),
    ]


@lru_cache(maxsize=1)
def _generator() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=ENVIRONMENTS)
