"""The genetic algorithm: maximises an acquisition value over molecules."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from theoros.models.contract import ProposalRequest
from theoros.models.proposers.genetic.crossover import crossover
from theoros.models.proposers.genetic.mutations import Chemistry, mutate
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.molecules import Molecules

ATTEMPTS_PER_CHILD = 12


@dataclass(frozen=True)
class GeneticAlgorithm:
    """Graph GA inside the maximisation of an acquisition function: it never asks the oracle.

    Tripp & Hernández-Lobato (arXiv:2406.07709) with operators after Jensen (Chem. Sci. 10, 3567 (2019)). Parents are
    the best labelled molecules and a random part of the space's own set. In each of `generations`, `offspring`
    children come from parents whose rank quantile is log-uniform, by mutation or by crossover; the best `population`
    of all live on. Work is bounded: each operator makes one product, a child has `ATTEMPTS_PER_CHILD`, and no
    generation begins after `seconds` (a guard: a campaign that meets it no longer repeats exactly).
    """

    generations: int = 5
    offspring: int = 100
    population: int = 120
    seconds: float = 30.0
    mutation_rate: float = 0.6

    name: ClassVar[str] = "genetic"
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike; raises ValueError in another space."""
        space = request.problem.space
        if not isinstance(space, Molecules):
            raise ValueError(
                "The proposer 'genetic' edits molecules of an open space, and this space is not one. "
                "Use 'library' for a finite library of molecules."
            )
        if request.score is None:
            raise ValueError("The proposer 'genetic' works after the first fit. Use 'random' before it.")
        rng = np.random.default_rng(derived_seed(request.seed, "genetic"))
        deadline = time.monotonic() + self.seconds
        scored = ScoredMolecules(request)
        scored.add(self._founders(request, space, rng))
        for _ in range(self.generations):
            if time.monotonic() > deadline:
                break
            parents = scored.best(self.population)
            if not parents:
                break
            scored.add(offspring(parents, self.offspring, space, rng, mutation_rate=self.mutation_rate))
        return diverse(admissible(request, scored.best(None)), request.n)

    def _founders(self, request: ProposalRequest, space: Molecules, rng: np.random.Generator) -> list[Candidate]:
        labelled = list(request.labelled[: self.population // 2])
        return labelled + space.sample(self.population - len(labelled), rng)


def offspring(
    parents: Sequence[Candidate], n: int, space: Molecules, rng: np.random.Generator, *, mutation_rate: float = 0.6
) -> list[Candidate]:
    """Up to `n` distinct valid children of `parents` (best first) that are not parents themselves."""
    chemistry = Chemistry(space.elements, space.heavy_atoms[1])
    known = {parent.hash for parent in parents}
    children: dict[str, Candidate] = {}
    for _ in range(n):
        for _ in range(ATTEMPTS_PER_CHILD):
            child = _child(parents, space, chemistry, rng, mutation_rate)
            if child is not None and child.hash not in known and child.hash not in children:
                children[child.hash] = child
                break
    return list(children.values())


def _child(
    parents: Sequence[Candidate], space: Molecules, chemistry: Chemistry, rng: np.random.Generator, rate: float
) -> Candidate | None:
    first = _graph(_parent(parents, rng))
    if len(parents) == 1 or rng.random() < rate:
        smiles = mutate(first, chemistry, rng)
    else:
        smiles = crossover(first, _graph(_parent(parents, rng)), chemistry.most, rng)
    if smiles is None:
        return None
    try:
        return space.candidate(smiles)
    except InvalidCandidate:
        return None


def _parent(parents: Sequence[Candidate], rng: np.random.Generator) -> str:
    # The quantile of the parent's rank is log-uniform in [1 %, 100 %]: the best are favoured, none is shut out.
    quantile = 10.0 ** rng.uniform(-2, 0)
    return str(parents[min(int(quantile * len(parents)), len(parents) - 1)].data["smiles"])


@lru_cache(maxsize=4_096)
def _graph(smiles: str) -> Any:
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles)
