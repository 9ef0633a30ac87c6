"""Categories as points in space: those that are alike lie near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.oracles.candidate import Candidate

#: Coordinates of a category, at most: a few labels can't tell many length scales.
MOST_COORDINATES = 6
#: Coordinates are left out when those before them hold this share of the squared distances.
ENOUGH = 0.99


def from_descriptors(rows: Sequence[Sequence[float]]) -> Array:
    """Coordinates ``c x k`` of `c` categories that are described by numbers, each number in units of its spread."""
    values = np.asarray(rows, dtype=np.float64)
    spread = values.std(0)
    varying = values[:, spread > 0]
    scaled = (varying - varying.mean(0)) / spread[spread > 0]
    squares = (scaled**2).sum(1)
    return coordinates(squares[:, None] + squares[None, :] - 2 * scaled @ scaled.T)


@lru_cache(maxsize=64)
def from_smiles(smiles: tuple[str, ...]) -> Array:
    """Coordinates ``c x k`` of `c` molecules whose squared distances are one less their similarity.

    The similarity is the mean of the MinMax similarities of all blocks of `theoros.models.fingerprints`
    FingerprintEncoder, a kernel with a unit diagonal, so that its distances are those of points.
    """
    from theoros.models.fingerprints import FingerprintEncoder
    from theoros.models.kernels import TanimotoKernel

    encoder = FingerprintEncoder()
    bits = encoder.encode([Candidate("molecule", {"smiles": text}) for text in smiles])
    kernel = TanimotoKernel()
    alike = np.mean([kernel(bits[:, a:b]).to_dense().numpy() for a, b in encoder.blocks], axis=0)
    found = coordinates(2 * (1 - alike))
    found.setflags(write=False)
    return found


def coordinates(squared: Array) -> Array:
    """Points ``c x k`` with these squared distances ``c x c``, as far as `MOST_COORDINATES` can show them.

    Classical scaling (Torgerson, Psychometrika 17, 401 (1952), doi:10.1007/BF02288916): principal components first.
    The widest coordinate spans the unit interval, and the others keep their proportion to it.
    """
    n = len(squared)
    centring = np.eye(n) - 1.0 / n
    sizes, vectors = np.linalg.eigh(-0.5 * centring @ squared @ centring)
    order = np.argsort(-sizes)
    sizes, vectors = np.maximum(sizes[order], 0.0), vectors[:, order]
    total = sizes.sum()
    if total <= 0:
        return np.zeros((n, 1))
    share = np.cumsum(sizes) / total
    kept = min(MOST_COORDINATES, int(np.searchsorted(share, ENOUGH)) + 1, int((sizes > 1e-12 * total).sum()))
    points = vectors[:, :kept] * np.sqrt(sizes[:kept])
    points = points - points.min(0)
    return np.asarray(points / points.max(), dtype=np.float64)


@dataclass(frozen=True)
class Places:
    """Feature columns that hold the indices of placed categories, and where these lie.

    `width` is the number of feature columns and `points` maps a column to ``c x k`` coordinates. Models that measure
    distances see the other columns in their order, and then the coordinates.
    """

    width: int
    points: Mapping[int, Array] = field(hash=False)

    @property
    def others(self) -> tuple[int, ...]:
        """The columns that stay as they are."""
        return tuple(i for i in range(self.width) if i not in self.points)

    @property
    def dimension(self) -> int:
        """Columns that a model sees."""
        return len(self.others) + sum(int(points.shape[1]) for points in self.points.values())

    def expand(self, features: Tensor) -> Tensor:
        """Features ``n x d`` as a model sees them, ``n x dimension``; differentiable in the columns that stay."""
        parts = [features[:, list(self.others)]]
        for column, points in self.points.items():
            index = features[:, column].detach().round().long().clamp(0, len(points) - 1)
            parts.append(torch.tensor(points, dtype=features.dtype, device=features.device)[index])
        return torch.cat(parts, dim=1)

    def kept(self, columns: Sequence[int]) -> tuple[int, ...]:
        """Where those of `columns` that stay are afterwards."""
        return tuple(self.others.index(column) for column in columns if column not in self.points)

    def names(self, names: Sequence[str]) -> list[str]:
        """The names of the columns that a model sees: ``ligand.1`` for the first coordinate of a ligand."""
        found = [names[i] for i in self.others]
        for column, points in self.points.items():
            found += [f"{names[column]}.{i + 1}" for i in range(points.shape[1])]
        return found
