"""Near copies of one molecule: how many of them are asked at a time, and how many circles molecules fill.

A molecule's circle holds those more similar to it than a bound, by the Tanimoto similarity of Morgan fingerprints of
radius 2. How many circles that hold nothing of each other a set of molecules fills is a measure of its variety (Xie,
Xu, Ma & Mei, ICLR 2023, arXiv:2112.12542).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from theoros.oracles.candidate import Candidate

#: The similarity at which variety is told: a distance of 0.75, as Xie et al. count.
CIRCLE = 0.25
RADIUS, BITS = 2, 2048


@dataclass(frozen=True)
class Quota:
    """Of the molecules that are asked together at most `at_most` in one circle: about none of them may there be more,
    itself included, that are more similar to it than `similarity`.

    Asked together is what waits, runs, or is picked in one go, and with `remember` so many of the latest labels too.
    """

    similarity: float
    at_most: int = 1
    remember: int = 0


@dataclass
class Company:
    """Molecules that are asked together, and how many of them lie in the circle about each, itself included."""

    quota: Quota
    _places: dict[str, int] = field(default_factory=dict)
    _bits: list[Any] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)

    def beside(self, candidates: Iterable[Candidate]) -> Company:
        """A new company of these and of more."""
        larger = Company(self.quota, dict(self._places), list(self._bits), list(self._sizes))
        for candidate in candidates:
            larger.add(candidate)
        return larger

    def add(self, candidate: Candidate) -> None:
        """Take one in, whether or not it has room; who is there already counts once."""
        if candidate.hash in self._places:
            return
        near = self._near(candidate)
        for place in near:
            self._sizes[place] += 1
        self._places[candidate.hash] = len(self._bits)
        self._bits.append(_bits(candidate))
        self._sizes.append(1 + len(near))

    def fullest(self, candidate: Candidate) -> int:
        """How many would lie in the fullest circle that the candidate is in, were it here too."""
        if (own := self._places.get(candidate.hash)) is not None:
            return max(self._sizes[place] for place in {own, *self._near(candidate)})
        near = self._near(candidate)
        return 1 + max([len(near), *(self._sizes[place] for place in near)])

    def has_room(self, candidate: Candidate) -> bool:
        """Whether the quota is kept with it."""
        return len(self._bits) < self.quota.at_most or self.fullest(candidate) <= self.quota.at_most

    def fitting(self, candidates: Iterable[Candidate]) -> list[int]:
        """Places of those that have room beside the company and beside the earlier ones of them that have."""
        larger, found = self.beside(()), []
        for place, candidate in enumerate(candidates):
            if larger.has_room(candidate):
                larger.add(candidate)
                found.append(place)
        return found

    def _near(self, candidate: Candidate) -> list[int]:
        from rdkit import DataStructs

        own = self._places.get(candidate.hash)
        similarities = DataStructs.BulkTanimotoSimilarity(_bits(candidate), self._bits)
        bound = self.quota.similarity
        return [place for place, value in enumerate(similarities) if value > bound and place != own]


def circles(smiles: Sequence[str], similarity: float = CIRCLE) -> int:
    """How many circles molecules fill: so many of them, the earlier first, are in the circle of none before.

    Raises InvalidCandidate for text that is no molecule.
    """
    from rdkit.SimDivFilters import rdSimDivPickers

    bits = [morgan_bits(text) for text in smiles]
    return len(rdSimDivPickers.LeaderPicker().LazyBitVectorPick(bits, len(bits), 1.0 - similarity)) if bits else 0


@lru_cache(maxsize=50_000)
def morgan_bits(smiles: str) -> Any:
    """The molecule's Morgan fingerprint of radius 2 in 2,048 bits (RDKit).

    Raises InvalidCandidate for text that is no molecule.
    """
    from theoros.models.fingerprints import parsed  # every campaign loads this module, and few need that one

    return _generator().GetFingerprint(parsed(smiles))


def _bits(candidate: Candidate) -> Any:
    return morgan_bits(str(candidate.data["smiles"]))


@lru_cache(maxsize=1)
def _generator() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
