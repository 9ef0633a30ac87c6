"""Laws of physics as a twin is taught them: where they are held against outcomes, in natural units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Problem
from theoros.models.options import OptionError
from theoros.models.sampling import derived_seed
from theoros.models.twins.conditions import Conditions, NaturalConditions
from theoros.models.twins.physics import Residual, Situation
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space

#: Candidates from all over the space at which laws are taught and their violation is told.
PLACES = 512

#: Members and places of the made-up answers on which laws are tried: numbers that a wrong shape can't confuse.
MADE_UP_MEMBERS, MADE_UP_PLACES = 2, 3

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
        outcomes = self.offset + self.scale * answers[..., : len(self.outputs)]  # what follows is of arrays
        return {name: outcomes[..., i] for i, name in enumerate(self.outputs)}


def rehearse(laws: Sequence[Residual], problem: Problem) -> None:
    """Try each of the `laws` on made-up answers, before any label is paid for.

    Raises OptionError for the first that could not be taught in `problem`, whatever it raises itself.
    """
    if not laws:
        return
    space, target = problem.space, len(problem.fidelities) - 1
    candidates = space.sample(MADE_UP_PLACES, np.random.default_rng(0))
    conditions = Conditions.of(space, candidates, np.full(len(candidates), target), len(problem.fidelities))
    try:
        natural = NaturalConditions.of(space, conditions, target)
    except ValueError as error:
        raise OptionError(str(error), ("residuals",)) from error
    named, m = natural.tensors(candidates), len(problem.outputs)
    lessons = Lessons(
        tuple(laws), natural, problem.outputs, torch.zeros(m), torch.ones(m), named, natural.rows(named)
    ).cast(torch.zeros(0))
    answers = torch.full((MADE_UP_MEMBERS, 1, m), 0.5, requires_grad=True)  # as in training, where it is differentiated
    for i, law in enumerate(laws):
        try:
            places = torch.arange(len(candidates))
            law.violation(lessons.situation(places, lambda rows: answers + rows.mean(-1)[:, None], law.on))
        except Exception as error:
            raise OptionError(
                f"The law {law.name!r} fails on a made-up answer: {type(error).__name__}: {str(error).rstrip('.')}. "
                f"It may use the outcomes {', '.join(problem.outputs)} and the conditions {', '.join(named)}.",
                ("residuals", i),
            ) from error
