"""A gate of the user's own: a function of a SMILES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from theoros.oracles.registry import find
from theoros.oracles.spaces.gates.base import Subject

Function = Callable[[str], "bool | np.bool_ | str | None"]


@dataclass(frozen=True)
class Own:
    """A function ``module:name`` that is given a canonical SMILES, and returns what it makes of it.

    True and None let the molecule pass; False turns it away, and so does a text, which says why. NumPy's truth values
    are as good as Python's. `folder` is where the module is looked for first.
    """

    name: str
    folder: str | None = None
    late: bool = False

    def reason(self, subject: Subject) -> str | None:
        """The function's verdict; raises TypeError for one that is neither."""
        verdict = _plain(self.function()(subject.smiles))
        if verdict is None or verdict is True:
            return None
        if verdict is False:
            return "turned away"
        if not isinstance(verdict, str):
            raise TypeError(f"{self.name} returned {verdict!r}, and a gate returns True, False, or a text")
        return verdict or "turned away"

    def function(self) -> Function:
        """The function itself; raises OracleNotFoundError (a ValueError) or MissingDependency."""
        return _function(self.name, self.folder)


def _plain(verdict: Any) -> Any:
    """A comparison of NumPy's numbers, or of an array that holds one, as Python's True or False."""
    single = isinstance(verdict, np.generic | np.ndarray) and verdict.size == 1
    return bool(verdict) if single and verdict.dtype == np.bool_ else verdict


@lru_cache(maxsize=64)
def _function(reference: str, folder: str | None) -> Function:
    found: Function = find(reference, None if folder is None else Path(folder))
    return found
