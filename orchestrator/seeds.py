"""Seeds: one campaign seed, and from it an independent one for every decision and every fit."""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: str | int) -> int:
    """A 31-bit seed that depends on `seed` and `path` alone, so that a resumed campaign draws the same numbers."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
