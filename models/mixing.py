"""Whole numbers that stand for what is counted in a molecule: the same on every machine, and spread evenly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def mix_all(key: Iterable[int]) -> int:
    """One number below 2^64 for several, in their order."""
    mixed = 0
    for part in key:
        mixed = mix(mixed, part + 1)
    return mixed


def mix(environment: int, k: int) -> int:
    """One number below 2^64 for two (SplitMix64); Morgan's identifiers are not spread evenly by themselves."""
    z = (environment * 0x9E3779B97F4A7C15 + k * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ z >> 31


def mixed(environments: NDArray[np.uint64], k: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`mix` of many pairs (n) at once."""
    with np.errstate(over="ignore"):
        z = environments * np.uint64(0x9E3779B97F4A7C15) + k * np.uint64(0xD1B54A32D192ED03)
        z += np.uint64(0x632BE59BD9B4E019)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        ends: NDArray[np.uint64] = z ^ z >> np.uint64(31)
    return ends
