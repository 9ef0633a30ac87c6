"""Many molecules as one graph, which a network reads at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.molecule_graphs import ATOM_SIZES, BOND_SIZES, graph


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Many molecules side by side.

    `atoms` are one-hot categories ``a x sum(ATOM_SIZES)``; `bonds` those of directed bonds ``2e x sum(BOND_SIZES)``,
    where bond ``i`` and bond ``i + e`` are the two directions of one. `source` and `target` are the atoms (2e) that a
    directed bond leads from and to; `molecule` is the molecule (a) of each atom and `size` the number of atoms (n) of
    each molecule.
    """

    atoms: Tensor
    bonds: Tensor
    source: Tensor
    target: Tensor
    molecule: Tensor
    size: Tensor

    @classmethod
    def of(cls, smiles: Sequence[str], dtype: torch.dtype = torch.float32) -> GraphBatch:
        """Put the molecules together; raises InvalidCandidate for a SMILES that RDKit can't read."""
        graphs = [graph(text) for text in smiles]
        sizes = np.array([len(one.atoms) for one in graphs], dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(sizes)])
        ends = np.concatenate(
            [one.ends.astype(np.int64) + start for one, start in zip(graphs, first, strict=False)]
            or [np.zeros((0, 2), dtype=np.int64)]
        )
        bonds = _one_hot([one.bonds for one in graphs], BOND_SIZES, dtype)
        return cls(
            atoms=_one_hot([one.atoms for one in graphs], ATOM_SIZES, dtype),
            bonds=torch.cat([bonds, bonds]),
            source=torch.from_numpy(np.concatenate([ends[:, 0], ends[:, 1]])),
            target=torch.from_numpy(np.concatenate([ends[:, 1], ends[:, 0]])),
            molecule=torch.from_numpy(np.repeat(np.arange(len(graphs)), sizes)),
            size=torch.from_numpy(sizes).to(dtype),
        )

    def to(self, device: torch.device) -> GraphBatch:
        """The same graph on another device."""
        names = ("atoms", "bonds", "source", "target", "molecule", "size")
        return GraphBatch(*(getattr(self, name).to(device) for name in names))

    def other_way(self, messages: Tensor) -> Tensor:
        """Messages ``2e x h`` of the bonds that lead the other way."""
        half = len(messages) // 2
        return torch.cat([messages[half:], messages[:half]])


def _one_hot(categories: Sequence[NDArray[np.uint8]], sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros and ones ``n x sum(sizes)`` of categories ``n x len(sizes)``."""
    table = np.concatenate([*categories, np.zeros((0, len(sizes)), dtype=np.uint8)])
    found = torch.zeros(len(table), sum(sizes), dtype=dtype)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found.scatter_(1, torch.from_numpy(table.astype(np.int64) + first), 1.0)
    return found
