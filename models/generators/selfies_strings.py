"""SELFIES: molecules as sequences of tokens every one of which can be read as a molecule.

Krenn et al., Mach. Learn.: Sci. Technol. 1, 045024 (2020), doi:10.1088/2632-2153/aba947.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The number of the token that ends a sequence and fills what is left of its row.
END = 0


def tokens_of(smiles: str) -> tuple[str, ...] | None:
    """The SELFIES tokens of a molecule, None for one that SELFIES can't write (more bonds than its rules allow)."""
    import selfies

    try:
        return tuple(selfies.split_selfies(selfies.encoder(smiles)))
    except selfies.EncoderError:
        return None


def smiles_of(tokens: Sequence[str]) -> str | None:
    """The SMILES that tokens are read as, not canonical; None where nothing comes out."""
    import selfies

    try:
        return str(selfies.decoder("".join(tokens))) or None
    except selfies.DecoderError:
        return None


@dataclass(frozen=True)
class Alphabet:
    """The tokens of a corpus, numbered from 1 (0 is `END`), and the number of tokens of its longest molecule."""

    tokens: tuple[str, ...]
    length: int

    @classmethod
    def of(cls, corpus: Sequence[tuple[str, ...]]) -> Alphabet:
        """The alphabet of molecules given as tokens."""
        return cls(tuple(sorted({token for row in corpus for token in row})), max(map(len, corpus), default=0))

    @property
    def size(self) -> int:
        """How many numbers there are, `END` among them."""
        return len(self.tokens) + 1

    def holds(self, tokens: Sequence[str]) -> bool:
        """Whether a molecule can be written: it is not too long, and has no token that the corpus lacks."""
        return len(tokens) <= self.length and set(tokens) <= set(self.tokens)

    def numbers(self, molecules: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """Molecules (n) as rows of numbers, ``n x (length + 1)``, each with at least one `END`."""
        number = {token: index for index, token in enumerate(self.tokens, start=1)}
        rows = np.full((len(molecules), self.length + 1), END, dtype=np.int64)
        for row, tokens in zip(rows, molecules, strict=True):
            row[: len(tokens)] = [number[token] for token in tokens]
        return rows

    def molecules(self, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """The tokens (n) of rows of numbers, up to the first `END` of each."""
        cut = [row[: int(np.argmax(row == END)) if (row == END).any() else len(row)] for row in rows]
        return [tuple(self.tokens[int(number) - 1] for number in row) for row in cut]
