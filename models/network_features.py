"""What neural networks read: parameters as trees read them, molecules as descriptors and many counts, all scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array
from theoros.models.tree_features import MoleculeFeatures, tree_features
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.base import Space

#: Columns into which circular environments of radius up to `RADIUS`, and pairs of atoms, are counted.
ENVIRONMENTS, PAIRS, RADIUS = 512, 512, 2
#: Scaled features are kept within these bounds: a network extrapolates badly.
BOUND = 5.0


class NetworkFeatures(Protocol):
    """Turns candidates of one space into a table for networks."""

    def table(self, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Unscaled features ``n x d``."""
        ...


@dataclass(frozen=True)
class CountedMolecules:
    """Descriptors and composition as trees read them, and logarithms of the counts of environments and atom pairs.

    Morgan counts: Rogers & Hahn, J. Chem. Inf. Model. 50, 742 (2010), doi:10.1021/ci100050t. Atom pairs: Carhart et
    al., J. Chem. Inf. Comput. Sci. 25, 64 (1985), doi:10.1021/ci00046a002.
    """

    def table(self, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Features ``n x d``."""
        described = MoleculeFeatures().descriptors(candidates)
        counts = [_counts(str(candidate.data["smiles"])) for candidate in candidates]
        counted = np.stack(counts) if counts else np.zeros((0, ENVIRONMENTS + PAIRS), dtype=np.uint8)
        return np.concatenate([described, np.log1p(counted, dtype=np.float32)], axis=1, dtype=np.float32)


def network_features(space: Space) -> NetworkFeatures:
    """What networks read of `space`; raises ValueError for a kind that has no encoder."""
    return CountedMolecules() if space.kind == "molecule" else tree_features(space)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Columns brought to mean zero and variance one over the labels: `offset` and `scale` are ``d``.

    A column that is the same for all labels is left out (scale infinite): nothing was learned of it.
    """

    offset: Array
    scale: Array

    @classmethod
    def of(cls, table: NDArray[np.float32]) -> Scaling:
        """The scaling of the labels' features ``n x d``."""
        if not len(table):
            return cls(np.zeros(table.shape[1]), np.full(table.shape[1], np.inf))
        spread = table.std(0, dtype=np.float64)
        offset = table.mean(0, dtype=np.float64)
        return cls(offset, np.where(spread > 1e-6 * (1 + np.abs(offset)), spread, np.inf))

    def scaled(self, table: NDArray[np.float32]) -> Array:
        """Features ``n x d`` within `BOUND`."""
        return np.asarray(np.clip((table - self.offset) / self.scale, -BOUND, BOUND), dtype=np.float64)


@lru_cache(maxsize=100_000)
def _counts(smiles: str) -> NDArray[np.uint8]:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    environments, pairs = (generator.GetCountFingerprintAsNumPy(molecule) for generator in _generators())
    counts: NDArray[np.uint8] = np.minimum(np.concatenate([environments, pairs]), 255).astype(np.uint8)
    return counts


@lru_cache(maxsize=1)
def _generators() -> tuple[Any, Any]:
    from rdkit.Chem import rdFingerprintGenerator

    return (
        rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=ENVIRONMENTS),
        rdFingerprintGenerator.GetAtomPairGenerator(fpSize=PAIRS),
    )
