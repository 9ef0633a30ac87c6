"""The chain of fidelities over molecules: every level's kernel is a sum over the blocks of a fingerprint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.kernels import similarity
from theoros.models.surrogates.chain_marginal import ChainHyperparameters, ChainPosterior, Term
from theoros.models.surrogates.marginal import JITTER, OUTPUT_BOX
from theoros.models.surrogates.overlaps import CHUNK, overlaps
from theoros.models.surrogates.structure import BLOCK_SCALES


@dataclass(frozen=True)
class BlockChainPosterior(ChainPosterior):
    """As over numbers, with the logarithm of an output scale for each block where those of length scales were.

    With one level it is a plain process: the scales of its blocks say all, and the level's own variance is one. `grams`
    are the blocks' kernel matrices at the labels, ``blocks x n x n``: they have no parameters of their own.
    """

    grams: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))

    @property
    def _width(self) -> int:
        return len(self.grams)

    def _term(self, theta: Array, q: int) -> Term:
        scales = np.exp(theta[q * self._width : (q + 1) * self._width])
        return Term(np.tensordot(scales, self.grams, 1), lambda pull: scales * np.tensordot(self.grams, pull, 2))

    def _scale_priors(self) -> list[tuple[float, float]]:
        return [BLOCK_SCALES[min(block, 1)] for block in range(self._width)]

    def _scale_bounds(self, q: int) -> list[tuple[float, float]]:
        return [(math.log(1e-4), OUTPUT_BOX[1])] * self._width

    def start(self) -> Array:
        """The modes of the priors."""
        begin = super().start()
        if self.levels == 1:
            begin[self._after + 1] = 0.0
        return begin

    def bounds(self) -> list[tuple[float, float]]:
        """The optimiser's box."""
        box = super().bounds()
        if self.levels == 1:
            box[self._after + 1] = (0.0, 0.0)
        return box

    def read(self, theta: Array) -> ChainHyperparameters:
        """What the vector `theta` says; output scales stand where length scales did."""
        noise, first, _, _, warping = self._parts(theta)
        scales = np.exp(theta[: self._after].reshape(self.levels, self._width))
        return ChainHyperparameters(
            scales, np.zeros((self.levels, 0)), noise + JITTER * first, first, warping, loadings=self.loadings(theta)
        )


def grams(features: Tensor, blocks: Sequence[tuple[int, int]], rows: Sequence[int] | None = None) -> Array:
    """The Tanimoto kernel matrix of each block of features ``n x d``: ``blocks x n x n``, or of some `rows`."""
    with torch.no_grad():
        kept = slice(None) if rows is None else torch.tensor(rows)
        return np.stack([_own(part, kept).numpy() for part in _parts(features, blocks)])


class BlockKernel(torch.nn.Module):
    """``constant + sum over blocks of s * tanimoto(x, x')`` as a plain function of tensors.

    Features are bits, whose overlaps are exact in single precision. What does not change from call to call of the
    first argument, mostly the labelled candidates, is kept; what they have in common with each other is kept from one
    model to the next (`theoros.models.surrogates.overlaps`).
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], scales: Tensor, constant: float = 0.0) -> None:
        super().__init__()
        self.blocks, self.scales, self.constant = tuple(blocks), scales, constant
        self._kept: tuple[Tensor, int, list[_Part]] | None = None

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Tensor:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ``n`` with `diag`, each row with itself."""
        if diag:  # a molecule is like itself in every block
            return (self.scales.sum() + self.constant).expand(len(x1))
        total = x1.new_full((len(x1), len(x1 if x2 is None else x2)), self.constant)
        ours = self._known(x1)
        if ours is None:
            ours = _parts(x1, self.blocks)
            if x2 is not None and x2 is not x1:
                self._kept = (x1, x1._version, ours)
        if x2 is None:
            for scale, part in zip(self.scales, ours, strict=True):
                counts = overlaps(part.bits)
                for rows in _chunks(len(x1)):
                    total[rows] += scale * _similarity(part, rows, counts[rows])
            return total
        theirs = ours if x2 is x1 else _parts(x2, self.blocks)
        for scale, one, other in zip(self.scales, ours, theirs, strict=True):
            total += scale * _tanimoto(one, other)
        return total

    def __getstate__(self) -> dict[str, object]:
        """Without what is kept: models travel between processes."""
        return self.__dict__ | {"_kept": None}

    def _known(self, x: Tensor) -> list[_Part] | None:
        """The parts of what was kept, where `x` is a view of the same numbers."""
        if self._kept is None:
            return None
        kept, version, parts = self._kept  # held, so that its memory is nobody else's
        same = kept.data_ptr() == x.data_ptr() and kept.shape == x.shape and kept.stride() == x.stride()
        return parts if same and x._version == version else None


class _Part(NamedTuple):
    """One block of features: bits in single precision ``n x k``, and how many each row has (n)."""

    bits: Tensor
    total: Tensor


def _parts(x: Tensor, blocks: Sequence[tuple[int, int]]) -> list[_Part]:
    bits = [x[:, first:end].to(torch.float32) for first, end in blocks]
    return [_Part(part, part.sum(-1).to(x.dtype)) for part in bits]


def _own(part: _Part, kept: slice | Tensor) -> Tensor:
    """The similarities of the `kept` rows of a block with each other."""
    counts = overlaps(part.bits)[kept][:, kept]
    return _similarity(_Part(part.bits, part.total[kept]), slice(None), counts)


def _similarity(part: _Part, rows: slice, counts: Tensor) -> Tensor:
    """Similarities of some `rows` (r) with all (n), from the `counts` ``r x n`` of what they share."""
    total = part.total
    return similarity(counts.to(total.dtype), total[rows].unsqueeze(-1) + total)


def _chunks(n: int) -> list[slice]:
    return [slice(first, first + CHUNK) for first in range(0, n, CHUNK)]


def _tanimoto(one: _Part, other: _Part) -> Tensor:
    """See `theoros.models.kernels.TanimotoKernel`: ``n x m`` for blocks of n and of m rows."""
    overlap = (one.bits @ other.bits.T).to(one.total.dtype)
    return similarity(overlap, one.total.unsqueeze(-1) + other.total)
