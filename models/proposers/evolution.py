"""The evolutionary loop by which molecules are bred for their acquisition value, whatever a child is made by.

After Tripp & Hernández-Lobato, arXiv:2406.07709.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from theoros.models.contract import ProposalRequest
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse
from theoros.models.proposers.screening import admissible
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules

ATTEMPTS_PER_CHILD = 12

#: Makes the SMILES of one child of `parents` (best first), or None when an attempt came to nothing.
Breed = Callable[[Sequence[Candidate], np.random.Generator], str | None]


@dataclass(frozen=True)
class Evolution:
    """How long and how widely molecules are bred.

    The first parents are the best labelled molecules and a random part of the space's own set. In each of
    `generations` there are up to `offspring` children, and the best `population` of all that were met live on. No
    generation begins after `seconds` (a guard: a campaign that meets it no longer repeats exactly).
    """

    generations: int
    offspring: int
    population: int
    seconds: float

    def best(
        self, request: ProposalRequest, space: Molecules, breed: Breed, rng: np.random.Generator
    ) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike."""
        deadline = time.monotonic() + self.seconds
        scored = ScoredMolecules(request)
        scored.add(self._founders(request, space, rng))
        for _ in range(self.generations):
            if time.monotonic() > deadline:
                break
            parents = scored.best(self.population)
            if not parents:
                break
            scored.add(children(parents, self.offspring, space, breed, rng))
        return diverse(admissible(request, scored.best(None)), request.n)

    def _founders(self, request: ProposalRequest, space: Molecules, rng: np.random.Generator) -> list[Candidate]:
        labelled = list(request.labelled[: self.population // 2])
        return labelled + space.sample(self.population - len(labelled), rng)


def children(
    parents: Sequence[Candidate], n: int, space: Molecules, breed: Breed, rng: np.random.Generator
) -> list[Candidate]:
    """Up to `n` distinct children of `parents` (best first) in the space that are not parents themselves.

    A child has `ATTEMPTS_PER_CHILD`, so that the work is bounded.
    """
    known = {parent.hash for parent in parents}
    born: dict[str, Candidate] = {}
    for _ in range(n):
        for _ in range(ATTEMPTS_PER_CHILD):
            child = space.reading(breed(parents, rng))
            if child is not None and child.hash not in known and child.hash not in born:
                born[child.hash] = child
                break
    return list(born.values())


def parent(parents: Sequence[Candidate], rng: np.random.Generator) -> str:
    """The SMILES of one of `parents` (best first).

    The quantile of its rank is log-uniform in [1 %, 100 %]: the best are favoured, none is shut out.
    """
    quantile = 10.0 ** rng.uniform(-2, 0)
    return str(parents[min(int(quantile * len(parents)), len(parents) - 1)].data["smiles"])
