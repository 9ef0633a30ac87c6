"""The design-space contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from theoros.oracles.candidate import Candidate


@runtime_checkable
class Space(Protocol):
    """What may be asked. Immutable data: it holds no random state and no open file.

    A space generates, checks and canonicalises candidates of one `kind`; how they become numbers for a model is
    decided by `theoros.models.encoders`, which reads the space's own declaration (bounds, scales, choices).
    """

    @property
    def kind(self) -> str:
        """The kind of its candidates: ``"parameters"``, ``"molecule"``, ..."""
        ...

    @property
    def is_finite(self) -> bool:
        """True when the space is a list that can be ranked whole (`iterate` ends, `size` is known)."""
        ...

    def candidate(self, data: Any) -> Candidate:
        """Canonicalise user data into a candidate of this space; raises InvalidCandidate saying what is wrong."""
        ...

    def check(self, candidate: Candidate) -> None:
        """Raise InvalidCandidate when `candidate` is not in the space."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Draw up to `n` distinct random candidates: fewer only when the space holds fewer.

        This is the random control's policy, so it must not favour anything.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON data from which `theoros.oracles.spaces.space_from_dict` builds an equal space."""
        ...


class FiniteSpace(Space, Protocol):
    """A space that can be walked from end to end."""

    @property
    def size(self) -> int:
        """How many candidates there are (rows, duplicates included)."""
        ...

    def iterate(self, batch: int = 10_000) -> Iterator[Sequence[Candidate]]:
        """Yield all candidates in file order, at most `batch` at a time, without holding the whole file."""
        ...
