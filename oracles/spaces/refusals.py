"""Why a text is no molecule of a space: reasons that many texts share, and that are counted."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """The kinds of reasons, as they are told."""

    NOTHING = "nothing was made"
    UNREADABLE = "unreadable"
    VALENCE = "impossible valences or rings"
    SIZE = "size"
    ELEMENT = "element"
    ISOTOPE = "isotope or bare hydrogen"
    RADICAL = "radical"
    CHARGE = "charge"
    FRAGMENTS = "several fragments"
    BOND = "bond of no valence"
    RING = "ring size"
    FORBIDDEN = "forbidden pattern"
    STABILITY = "stability rule"
    OTHER = "other reasons"


class Broken(NamedTuple):
    """A rule that a molecule breaks: what is told of this molecule, the kind of reason, and which rule of that kind."""

    told: str
    kind: Refusal
    rule: str = ""

    @property
    def reason(self) -> str:
        """What is counted: ``"size"``, ``"stability rule: peroxide"``."""
        return reason(self.kind, self.rule)


def reason(kind: Refusal, rule: str = "") -> str:
    """What is counted of a refusal."""
    return f"{kind}: {rule}" if rule else str(kind)
