"""Which of a pool of candidates have been picked, and which may be next under a quota of diversity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from theoros.models.diversity import Company
from theoros.oracles.candidate import Candidate


@dataclass
class Picked:
    """The `places` of candidates that have been picked, beside a company with a quota; None where there is no quota.

    Where nobody has room the `limit` rises above the quota as far as it has to. `told` is what a reason says of it.
    """

    company: Company | None
    candidates: Sequence[Candidate]
    places: list[int] = field(default_factory=list)
    limit: int = 0
    told: str = ""

    def open(self) -> list[int]:
        """The places left that have room; where none has, those whose fullest circle would hold the fewest."""
        picked = set(self.places)
        left = [place for place in range(len(self.candidates)) if place not in picked]
        if self.company is None or not left:
            return left
        sizes = [self.company.fullest(self.candidates[place]) for place in left]
        self.limit = max(self.company.quota.at_most, min(sizes))
        found = [place for place, size in zip(left, sizes, strict=True) if size <= self.limit]
        self.told = self._told(len(left) - len(found))
        return found

    def take(self, place: int) -> bool:
        """Pick one that `open` has told, unless what was picked since has filled its circle; whether it was picked."""
        candidate = self.candidates[place]
        if self.company is not None:
            if self.company.fullest(candidate) > self.limit:
                return False
            self.company.add(candidate)
        self.places.append(place)
        return True

    def _told(self, shut_out: int) -> str:
        """What a reason says of the quota."""
        assert self.company is not None
        if self.limit > self.company.quota.at_most:
            return f"up to {self.limit} in one circle, as no proposal keeps to {self.company.quota.at_most}"
        return f"{shut_out} more lie in full circles" if shut_out else ""
