"""What a gate is, and a molecule as gates see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Subject:
    """A molecule before a gate: its canonical SMILES, and RDKit's sanitised molecule, which no gate changes."""

    smiles: str
    molecule: Any


class Gate(Protocol):
    """Turns molecules away, and says why.

    A gate is data: it crosses process boundaries, and holds no compiled pattern and no open file. Its verdict depends
    on the molecule alone, but for a time limit of its own.
    """

    @property
    def name(self) -> str:
        """What it is called in a campaign file, and in the table of what was turned away."""
        ...

    @property
    def late(self) -> bool:
        """Whether it is too slow for every molecule that a generator meets, so that only those about to be chosen are
        brought before it.
        """
        ...

    def reason(self, subject: Subject) -> str | None:
        """Why the molecule is turned away, in words that many molecules share; None lets it pass."""
        ...
