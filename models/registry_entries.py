"""What is known of a surrogate, an acquisition or a proposer before it is imported: a row of the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SurrogateEntry:
    """Where a surrogate is implemented, and what its class declares.

    `needs` are a module that has to be importable and the extra that brings it; `reads` are outputs, arrays too, that
    it wants of each label beside those to be modelled; `parameters` are those without which it can't read a candidate.
    """

    path: str
    provides: frozenset[str]
    kinds: frozenset[str]
    needs: tuple[str, str] | None = None
    reads: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class AcquisitionEntry:
    """Where an acquisition is implemented, and what its class declares.

    It works with `instead`, where that is something, as well as with all that it `needs`.
    """

    path: str
    needs: frozenset[str]
    goals: frozenset[str]
    run_times: bool = False
    instead: frozenset[str] = frozenset()

    def works_with(self, provided: frozenset[str]) -> bool:
        """Whether a surrogate that provides these things serves it."""
        return self.needs <= provided or (bool(self.instead) and self.instead <= provided)


@dataclass(frozen=True)
class ProposerEntry:
    """Where a proposer is implemented, and what its class declares.

    `spaces` is ``"finite"`` or ``"infinite"`` where it can't work on the other, else ``"any"``. `needs` are a module
    that has to be importable and the extra that brings it.
    """

    path: str
    kinds: frozenset[str]
    needs_model: bool
    spaces: str = "any"
    needs: tuple[str, str] | None = None
