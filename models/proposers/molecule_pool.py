"""What every generator of molecules does with what it meets: score it once, rank it, and keep ideas apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from theoros.models.contract import ProposalRequest
from theoros.models.fingerprints import thermometer_bits
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules

#: Two proposals more alike than this (MinMax similarity) are one idea; the second waits until others are in.
ALIKE = 0.8


@dataclass
class ScoredMolecules:
    """Every feasible molecule met in one search, with its acquisition value."""

    request: ProposalRequest
    found: dict[str, tuple[Candidate, float]] = field(default_factory=dict)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Score what is new, in one batch; what the problem's own constraint vetoes is dropped."""
        feasible, score = self.request.problem.feasible, self.request.score
        new = [c for c in candidates if c.hash not in self.found and (feasible is None or feasible(c))]
        if new and score is not None:
            self.found.update({c.hash: (c, float(s)) for c, s in zip(new, score(new), strict=True)})

    def value(self, candidate: Candidate) -> float | None:
        """The acquisition value of a molecule that was added; None for one that was vetoed."""
        entry = self.found.get(candidate.hash)
        return None if entry is None else entry[1]

    def best(self, n: int | None) -> list[Candidate]:
        """The best `n` by falling value, or all of them."""
        ranked = sorted(self.found.values(), key=lambda pair: -pair[1])
        return [candidate for candidate, _ in ranked[:n]]


def diverse(ranked: list[Candidate], n: int, alike: float = ALIKE) -> list[Candidate]:
    """The first `n` of `ranked` that are not more `alike` than this, then by rank, in the order of rank."""
    chosen: list[int] = []
    bits: list[set[int]] = []
    for index, candidate in enumerate(ranked[: 20 * n]):
        if len(chosen) == n:
            break
        own = set(thermometer_bits(str(candidate.data["smiles"]), 3, 4096).tolist())
        if all(len(own & other) <= alike * len(own | other) for other in bits):
            chosen.append(index)
            bits.append(own)
    rest = [index for index in range(len(ranked)) if index not in set(chosen)]
    return [ranked[index] for index in sorted(chosen + rest[: max(0, n - len(chosen))])]


def open_space(request: ProposalRequest, name: str) -> Molecules:
    """The open space of molecules in which the proposer `name` works.

    Raises ValueError when the space is another one, and before the first fit.
    """
    space = request.problem.space
    if not isinstance(space, Molecules):
        raise ValueError(
            f"The proposer {name!r} makes molecules of an open space, and this space is not one. "
            f"Use 'library' for a finite library of molecules."
        )
    if request.score is None:
        raise ValueError(f"The proposer {name!r} works after the first fit. Use 'random' before it.")
    return space
