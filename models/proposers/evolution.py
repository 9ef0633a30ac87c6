"""The evolutionary loop by which molecules are bred for their acquisition value, whatever a child is made by.

After Tripp & Hernández-Lobato, arXiv:2406.07709.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from theoros.models.contract import ProposalRequest, unheard
from theoros.models.data import Bred, Descent
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse, open_space
from theoros.models.proposers.options import configured
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import state_of
from theoros.oracles.spaces.table import FileState

ATTEMPTS_PER_CHILD = 12
#: Molecules of the space's own set that every search screens before it breeds.
BANK = 300

#: Children that are born at least for every proposal.
CHILDREN = 4

#: Generations of a molecule's descent that are told.
TOLD = 3

#: Makes a child of `parents` (best first): its SMILES, None when an attempt came to nothing, and those of its parents.
Breed = Callable[[Sequence[Candidate], np.random.Generator], tuple[str | None, tuple[str, ...]]]


@dataclass(frozen=True)
class Evolution(ABC):
    """A proposer that breeds molecules for their acquisition value; what makes a child is its own.

    The first parents are the best of the labelled molecules, of `BANK` molecules of the space's own set, the same in
    every search, and of some more of that set. In each of `generations` there are up to `offspring` children, and the
    best `population` of all that were met live on. Where many proposals are asked for there are more generations, so
    that `CHILDREN` are born for each. No generation begins after `seconds` (a guard: a campaign that meets it no longer
    repeats exactly). A child has one parent at `mutation_rate`, else two.

    Many small generations reach higher acquisition values than few large ones at the same cost: with a third as many a
    search often stays among its founders. With fewer parents it ends in the first maximum of a small space.
    """

    generations: int = 15
    offspring: int = 50
    population: int = 60
    seconds: float = 30.0
    mutation_rate: float = 0.6

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The proposer that a campaign file asks for (`theoros.models.proposers.options`); raises ValueError."""
        return configured(cls(), cls.name, options)

    @abstractmethod
    def breeder(self, space: Molecules) -> Breed:
        """What makes children of molecules of `space`."""

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike; raises ValueError in another space."""
        return [candidate for candidate, _ in self.bred(request)]

    def bred(self, request: ProposalRequest) -> list[Bred]:
        """What `propose` returns, each with its descent."""
        space = open_space(request, self.name)
        breed, rng = self.breeder(space), np.random.default_rng(derived_seed(request.seed, self.name))
        deadline = time.monotonic() + self.seconds
        scored = ScoredMolecules(request)
        scored.add(self._founders(request, space, rng))
        family: dict[str, tuple[str, ...]] = {}
        refused: list[str] = []
        for _ in range(max(self.generations, math.ceil(CHILDREN * request.n / self.offspring))):
            if time.monotonic() > deadline:
                break
            parents = scored.best(self.population)
            if not parents:
                break
            born = children(parents, self.offspring, space, breed, rng, scored.found, refused.append)
            family |= {child.text: made_of for child, made_of in born}
            scored.add([child for child, _ in born])
        for reason in refused:  # thousands: told together they cost half of what they would in between
            request.refused(reason)
        chosen = diverse(admissible(request, scored.best(None)), request.n)
        return [Bred(candidate, descent(candidate.text, family)) for candidate in chosen]

    def _founders(self, request: ProposalRequest, space: Molecules, rng: np.random.Generator) -> list[Candidate]:
        labelled = list(request.labelled[: self.population // 2])
        return [*labelled, *bank(space, state_of(space)), *space.sample(self.population - len(labelled), rng)]


def descent(child: str, family: Mapping[str, tuple[str, ...]]) -> tuple[Descent, ...]:
    """Of what `child` was made, and what of that was made of what, `TOLD` generations back, the nearest first.

    `family` has the parents of all that were born; what was there before has none.
    """
    found: dict[str, Descent] = {}
    generation = [child]
    for _ in range(TOLD):
        bred = [one for one in dict.fromkeys(generation) if one in family and one not in found]
        found.update({one: Descent(one, family[one]) for one in bred})
        generation = [one for name in bred for one in family[name]]
    return tuple(found.values())


def children(
    parents: Sequence[Candidate],
    n: int,
    space: Molecules,
    breed: Breed,
    rng: np.random.Generator,
    known: Collection[str],
    refused: Callable[[str], None] = unheard,
) -> list[tuple[Candidate, tuple[str, ...]]]:
    """Up to `n` distinct children of `parents` (best first) in the space whose hashes are not `known`.

    Each comes with the SMILES of what it was made of. A child has `ATTEMPTS_PER_CHILD`, so that the work is bounded;
    one that is known or was just born is not tried again, since where that happens often there is little new to find.
    `refused` is told why an attempt came to nothing.
    """
    born: dict[str, tuple[Candidate, tuple[str, ...]]] = {}
    for _ in range(n):
        for _ in range(ATTEMPTS_PER_CHILD):
            smiles, made_of = breed(parents, rng)
            child = _reading(space, smiles)
            if isinstance(child, str):
                refused(child)
            else:
                if child.hash not in known:
                    born.setdefault(child.hash, (child, made_of))
                break
    return list(born.values())


@lru_cache(maxsize=4)
def bank(space: Molecules, state: FileState | None) -> tuple[Candidate, ...]:
    """`BANK` molecules of the space's own set, in the `state` that its file has, the same in every search."""
    return tuple(space.sample(BANK, np.random.default_rng(0)))


@lru_cache(maxsize=50_000)
def _reading(space: Molecules, smiles: str | None) -> Candidate | str:
    """What a text is read as, or why it is no molecule of the space: generations that have parents in common have
    children in common.
    """
    why: list[str] = []
    return space.reading(smiles, why.append) or why[0]


def parent(parents: Sequence[Candidate], rng: np.random.Generator) -> str:
    """The SMILES of one of `parents` (best first).

    The quantile of its rank is log-uniform in [1 %, 100 %]: the best are favoured, none is shut out.
    """
    quantile = 10.0 ** rng.uniform(-2, 0)
    return str(parents[min(int(quantile * len(parents)), len(parents) - 1)].data["smiles"])
