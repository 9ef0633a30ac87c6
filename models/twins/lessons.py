"""Laws of physics as a twin is taught them: where they are held against outcomes, in natural units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from theoros.models.sampling import derived_seed
from theoros.models.twins.conditions import NaturalConditions
from theoros.models.twins.physics import Residual, Situation
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space

#: Candidates from all over the space at which laws are taught and their violation is told.
PLACES = 512

#: What members answer at scaled conditions ``b x d``: ``M x b x m`` in standardised units.
Answer = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Lessons:
    """The `laws` of a twin, and how members' answers become situations.

    `offset` and `scale` (m) are the `outputs`' at the target fidelity. `named` (p each) and `rows` (``p x d``) are the
    places at which laws are taught.
    """

    laws: tuple[Residual, ...]
    natural: NaturalConditions
    outputs: tuple[str, ...]
    offset: Tensor
    scale: Tensor
    named: Mapping[str, Tensor]
    rows: Tensor

    @classmethod
    def of(
        cls,
        laws: Sequence[Residual],
        natural: NaturalConditions,
        outputs: tuple[str, ...],
        standard: tuple[Tensor, Tensor],
        space: Space,
        seed: int,
    ) -> Lessons:
        """Places are drawn from the whole space, labelled or not; `standard` are offset and scale."""
        candidates = space.sample(PLACES, np.random.default_rng(derived_seed(seed, "places")))
        named = natural.tensors(candidates)
        return cls(tuple(laws), natural, outputs, *standard, named, natural.rows(named))

    def on(self, what: Literal["means", "draws"]) -> tuple[Residual, ...]:
        """The laws on means or on draws."""
        return tuple(law for law in self.laws if law.on == what)

    def at(self, candidates: Sequence[Candidate]) -> Lessons:
        """The same laws at other places."""
        named = self.natural.tensors(candidates)
        return replace(self, named=named, rows=self.natural.rows(named))

    def cast(self, like: Tensor) -> Lessons:
        """The same lessons with numbers of the type, and in the place, of `like`."""
        moved = {name: value.to(like) for name, value in self.named.items()}
        return replace(
            self, offset=self.offset.to(like), scale=self.scale.to(like), named=moved, rows=self.rows.to(like)
        )

    def situation(self, places: Tensor, answer: Answer, on: Literal["means", "draws"]) -> Situation:
        """What members answer at some of the places (b), as a law sees it."""
        conditions = {name: value[places] for name, value in self.named.items()}

        def elsewhere(changed: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return self._named(answer(self.natural.rows(changed)))

        return Situation(conditions, self._named(answer(self.rows[places])), elsewhere if on == "means" else None)

    def violations(self, means: Answer, draws: Answer) -> dict[str, Tensor]:
        """How far each law is from holding at every place, ``M x p``, in the law's own units."""
        places = torch.arange(len(self.rows), device=self.rows.device)
        with torch.no_grad():
            return {
                law.name: law.violation(self.situation(places, means if law.on == "means" else draws, law.on))
                for law in self.laws
            }

    def _named(self, answers: Tensor) -> dict[str, Tensor]:
        outcomes = self.offset + self.scale * answers
        return {name: outcomes[..., i] for i, name in enumerate(self.outputs)}
