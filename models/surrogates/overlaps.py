"""How many bits every two molecules have in common: counted once for each pair, however often a model is fitted."""

from __future__ import annotations

import threading
from typing import NamedTuple

import torch
from torch import Tensor

#: Rows from which on counts are kept, and of how many lists: those of the blocks of one or two fingerprints.
WORTHWHILE, MOST_KEPT = 256, 8
#: Rows whose counts are held in single precision at once.
CHUNK = 1_000


class _Counted(NamedTuple):
    """Bits ``n x k`` and the counts ``n x n`` of them."""

    bits: Tensor
    counts: Tensor


_kept: list[_Counted] = []  # the last used at the end
_lock = threading.Lock()


def overlaps(bits: Tensor) -> Tensor:
    """The counts ``n x n`` (int16, exact) of the bits that every two rows of `bits` (``n x k``, single) share.

    A campaign's model sees the labels of the one before and a few more. So what was counted is kept, and only pairs
    with a new row are counted; the answer is the same bit for bit. `k` may be at most 32,767.
    """
    n = len(bits)
    if n < WORTHWHILE:
        return _between(bits, bits)
    with _lock:
        place = next((i for i in reversed(range(len(_kept))) if _shared_beginning(_kept[i].bits, bits)), None)
        before = None if place is None else _kept.pop(place)
    m = 0 if before is None else min(len(before.bits), n)
    counts = torch.empty(n, n, dtype=torch.int16)
    if before is not None:
        counts[:m, :m] = before.counts[:m, :m]
    counts[m:] = _between(bits[m:], bits)
    counts[:m, m:] = counts[m:, :m].T
    larger = before if before is not None and len(before.bits) > n else _Counted(bits, counts)
    with _lock:
        _kept.append(larger)
        del _kept[:-MOST_KEPT]
    return counts


def _between(one: Tensor, other: Tensor) -> Tensor:
    parts = [(one[i : i + CHUNK] @ other.T).to(torch.int16) for i in range(0, len(one), CHUNK)]
    return torch.cat(parts) if parts else torch.empty(0, len(other), dtype=torch.int16)


def _shared_beginning(one: Tensor, other: Tensor) -> bool:
    """Whether the shorter of two lists of rows is how the longer one begins."""
    m = min(len(one), len(other))
    return one.shape[1] == other.shape[1] and torch.equal(one[0], other[0]) and torch.equal(one[:m], other[:m])
