"""The genetic algorithm: maximises an acquisition value over molecules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from theoros.models.proposers.evolution import Breed, Evolution, bank, children, parent
from theoros.models.proposers.genetic.crossover import crossover
from theoros.models.proposers.genetic.editing import parent_of
from theoros.models.proposers.genetic.mutations import Chemistry, mutate
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import state_of
from theoros.oracles.spaces.table import FileState


@dataclass(frozen=True)
class GeneticAlgorithm(Evolution):
    """Graph GA inside the maximisation of an acquisition function: it never asks the oracle.

    Tripp & Hernández-Lobato (arXiv:2406.07709) with operators after Jensen (Chem. Sci. 10, 3567 (2019)). Children come
    from parents whose rank quantile is log-uniform, by mutation or by crossover; each operator makes one product.
    """

    name: ClassVar[str] = "genetic"

    def breeder(self, space: Molecules) -> Breed:
        """See `Evolution.breeder`."""
        return _breeder(space, self.mutation_rate)


def offspring(
    parents: Sequence[Candidate], n: int, space: Molecules, rng: np.random.Generator, *, mutation_rate: float = 0.6
) -> list[Candidate]:
    """Up to `n` distinct valid children of `parents` (best first) that are not parents themselves."""
    known = {parent.hash for parent in parents}
    return [child for child, _ in children(parents, n, space, _breeder(space, mutation_rate), rng, known)]


@lru_cache(maxsize=4)
def _chemistry(space: Molecules, state: FileState | None) -> Chemistry:
    return Chemistry.like(space.elements, space.heavy_atoms[1], [one.text for one in bank(space, state)])


def _breeder(space: Molecules, mutation_rate: float) -> Breed:
    chemistry = _chemistry(space, state_of(space))

    def breed(parents: Sequence[Candidate], rng: np.random.Generator) -> tuple[str | None, tuple[str, ...]]:
        first = parent(parents, rng)
        if len(parents) == 1 or rng.random() < mutation_rate:
            return mutate(parent_of(first), chemistry, rng), (first,)
        second = parent(parents, rng)
        return crossover(parent_of(first), parent_of(second), chemistry.most, rng), (first, second)

    return breed
