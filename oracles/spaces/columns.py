"""What the columns of a library of conditions hold: numbers or categories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.errors import SpaceError

#: A text column with more distinct values than this is no category, and is refused.
MAX_CATEGORIES = 1_000


@dataclass(frozen=True)
class Columns:
    """What the columns of a library hold: kind, distinct values of categories, range of numbers."""

    kinds: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, tuple[float, float]]

    def coerce(self, name: str, value: Any) -> float | str:
        """`value` as the file's own rows have it; raises InvalidCandidate saying what is allowed."""
        if self.kinds[name] == "number":
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
                raise InvalidCandidate(f"column {name!r}: {value!r} is not a finite number")
            return float(value)
        if str(value) not in self.categories[name]:
            raise InvalidCandidate(f"column {name!r}: {value!r} is not one of {', '.join(self.categories[name][:20])}")
        return str(value)


@lru_cache(maxsize=16)
def read_columns(path: str, names: tuple[str, ...], state: table.FileState) -> Columns:
    """Decide by one pass what each column holds."""
    import pyarrow.compute as pc

    numeric = set(names)
    distinct: dict[str, set[str]] = {name: set() for name in names}
    low, high = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
    for block in table.read_batches(path, names):
        for name, array in zip(names, block.columns, strict=True):
            values = table.numbers(array) if name in numeric else None
            if values is None:
                numeric.discard(name)
            elif values.null_count < len(values):
                finite = np.asarray(values.drop_null())
                finite = finite[np.isfinite(finite)]
                low[name] = min(low[name], finite.min(initial=np.inf))
                high[name] = max(high[name], finite.max(initial=-np.inf))
            if len(distinct[name]) <= MAX_CATEGORIES:
                distinct[name].update(value for value in pc.unique(array).to_pylist() if value is not None)
    for name in names:
        if name not in numeric and len(distinct[name]) > MAX_CATEGORIES:
            raise SpaceError(
                ("columns",),
                f"column {name!r} has more than {MAX_CATEGORIES} different texts, so it is no category. "
                "Leave it out, name it as id, or name it as smiles.",
            )
    return Columns(
        {name: "number" if name in numeric else "category" for name in names},
        {name: tuple(sorted(distinct[name])) for name in names if name not in numeric},
        {name: (float(low[name]), float(high[name])) for name in names if name in numeric},
    )
