"""A candidate: one point of a design space, with a canonical content hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

#: Floats are kept to this many significant digits, so that a value which went through a file, a database or a
#: unit cube and back is still the same candidate.
SIGNIFICANT_DIGITS = 12


def canonical_value(value: Any) -> Any:
    """`value` as plain JSON data with floats rounded to `SIGNIFICANT_DIGITS`; raises ValueError if it can't be."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0  # + 0.0 turns -0.0 into 0.0
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [canonical_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): canonical_value(value[key]) for key in sorted(value)}
    raise ValueError(f"{type(value).__name__} is not JSON data")


def content_hash(data: Any) -> str:
    """SHA-256 of the canonical JSON of `data`, as 64 hexadecimal digits."""
    text = json.dumps(canonical_value(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Candidate:
    """One point of a design space.

    `kind` says how `data` reads: ``"parameters"`` is a mapping of parameter name to value, ``"molecule"`` is
    ``{"smiles": canonical SMILES}``. Later kinds (structures, sequences) need no change here: any JSON data will do.
    Two candidates are equal when kind and canonical data are. Build candidates through a `Space`, which
    canonicalises (`space.candidate(...)`), rather than by hand.
    """

    kind: str
    data: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", canonical_value(dict(self.data)))

    @cached_property
    def hash(self) -> str:
        """The key for deduplication and caching: 64 hexadecimal digits."""
        return content_hash([self.kind, self.data])

    @property
    def text(self) -> str:
        """What a person reads: the SMILES, or ``x=1, y=2``."""
        if self.kind == "molecule":
            return str(self.data["smiles"])
        return ", ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.data.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Candidate({self.text})"
