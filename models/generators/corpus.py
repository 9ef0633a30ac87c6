"""Text for language models: SMILES taken apart into tokens, the tokens known, and a molecule's other SMILES."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

#: The number that opens a sequence, closes it, and fills up what is shorter than its neighbours.
BOUNDARY = 0
#: Bracketed atoms, two-letter elements and two-digit ring marks are one token each (Segler et al., ACS Cent. Sci. 4,
#: 120 (2018), doi:10.1021/acscentsci.7b00512); everything else is a letter, a digit or a sign.
_TOKEN = re.compile(r"\[[^\[\]]+\]|Br|Cl|%\d\d|[BCNOPSFI]|[bcnops]|[-=#$:/\\.()~*]|\d")
#: How many SMILES of each molecule are looked at for tokens: writing it from another atom may bring new ones.
_WAYS = 4


def tokens(smiles: str) -> list[str]:
    """The tokens that join back to `smiles`; raises ValueError naming what is no token."""
    found = _TOKEN.findall(smiles)
    if "".join(found) != smiles:
        raise ValueError(f"{smiles!r} can't be taken apart: {_TOKEN.sub('', smiles)!r} is no token")
    return found


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a model knows, in the order of their numbers 1, 2, ...; 0 is `BOUNDARY`."""

    symbols: tuple[str, ...]

    def __len__(self) -> int:
        """How many numbers there are, the boundary's included."""
        return len(self.symbols) + 1

    def encode(self, smiles: str) -> list[int] | None:
        """Numbers of the tokens of `smiles`, without a boundary; None when it has a token that is not known."""
        try:
            return [self._numbers[token] for token in tokens(smiles)]
        except (KeyError, ValueError):
            return None

    def decode(self, numbers: Iterable[int]) -> str:
        """The SMILES up to the first boundary; empty text when there is none, for then it was never finished."""
        found: list[str] = []
        for number in numbers:
            if number == BOUNDARY:
                return "".join(found)
            found.append(self.symbols[number - 1])
        return ""

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols, 1)}


def vocabulary_of(smiles: Sequence[str], seed: int) -> Vocabulary:
    """The tokens of `smiles` and of some of the other ways to write these molecules, in the order of their text."""
    found: set[str] = set()
    for text in smiles:
        found.update(*(tokens(way) for way in (text, *randomised(text, _WAYS, seed))))
    return Vocabulary(tuple(sorted(found)))


def randomised(smiles: str, n: int, seed: int) -> list[str]:
    """`n` SMILES of the same molecule from random atoms and in random orders; some may be alike.

    Training on them is worth several times the molecules (Arús-Pous et al., J. Cheminform. 11, 71 (2019),
    doi:10.1186/s13321-019-0393-0). RDKit's generator is seeded with `seed`; raises ValueError for what is no SMILES.
    """
    from rdkit import Chem

    molecule = _molecule(smiles)
    if molecule is None:
        raise ValueError(f"{smiles!r} is not a SMILES")
    # RDKit takes seeds of 31 bits, and 0 for none at all.
    return list(Chem.MolToRandomSmilesVect(molecule, n, randomSeed=seed % (2**31 - 1) + 1))


def split(n: int, seed: int) -> tuple[list[int], list[int]]:
    """Places 0..n-1 at random in two parts: nine tenths to train on, and a tenth, at least one, that is held out."""
    order = np.random.default_rng(seed).permutation(n).tolist()
    held = max(1, n // 10)
    return order[held:], order[:held]


@lru_cache(maxsize=65_536)
def _molecule(smiles: str) -> Any:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)
