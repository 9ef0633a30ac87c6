"""What a string kernel counts in a molecule: the words of its SMILES."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

#: Symbols of SMILES: an atom, a bond, a branch, a ring closure.
SYMBOL = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")
#: The longest word, in symbols.
LONGEST = 5


def words(molecule: Any) -> Mapping[int, int]:
    """How often each word of 1 to `LONGEST` successive symbols occurs in an RDKit molecule's canonical SMILES.

    The blended spectrum kernel (Leslie et al., Pac. Symp. Biocomput. 7, 564 (2002)) on SMILES, which chemists call a
    bag of SMILES. Digits of ring closures count as one symbol, since they name nothing.
    """
    from rdkit import Chem

    symbols = [_unnamed(symbol) for symbol in SYMBOL.findall(Chem.MolToSmiles(molecule))]
    found = Counter(
        "\0".join(symbols[first : first + length])
        for length in range(1, LONGEST + 1)
        for first in range(len(symbols) - length + 1)
    )
    return {zlib.crc32(word.encode()): count for word, count in found.items()}


def _unnamed(symbol: str) -> str:
    return "ring" if symbol.isdigit() or symbol.startswith("%") else symbol
