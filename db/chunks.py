"""Long lists of keys, in pieces that every database takes in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
_LONGEST = 500


def chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """Pieces of `keys`, in their order."""
    for start in range(0, len(keys), _LONGEST):
        yield keys[start : start + _LONGEST]
