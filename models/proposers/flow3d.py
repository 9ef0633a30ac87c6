"""Three-dimensional flow matching as a proposer (``flow3d``): molecules from noise, and variations of good ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from theoros.models.contract import ProposalRequest, unheard
from theoros.models.generators.flow3d import Flow3D, Flow3DSettings, flow3d
from theoros.models.generators.flow3d_molecules import Structure, structures
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse, open_space
from theoros.models.proposers.options import configured
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules


@dataclass(frozen=True)
class Flow3DProposer:
    """Molecules of an equivariant flow (`theoros.models.generators.flow3d`), ranked by the acquisition.

    The model learns from `corpus` of the space's starting molecules, once. In each of `rounds` it makes `samples`
    molecules from noise and as many variations: of the best known molecules, mixed with noise as at a time drawn from
    `times`. What was good in one round is varied in the next. No round begins after `seconds`, in which the training
    does not count (a guard: a campaign that meets it no longer repeats exactly). `device` is torch's name for where
    the model lives, by default a GPU when one is granted.
    """

    settings: Flow3DSettings = field(default_factory=Flow3DSettings)
    corpus: int = 1_200
    rounds: int = 3
    samples: int = 40
    times: tuple[float, float] = (0.65, 0.8)
    seconds: float = 60.0
    device: str | None = None

    name: ClassVar[str] = "flow3d"
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The proposer that a campaign file asks for (`theoros.models.proposers.options`); raises ValueError."""
        return configured(cls(), cls.name, options)

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike; raises ValueError in another space, before
        the first fit, and where e3nn is missing.
        """
        space = open_space(request, self.name)
        model = self.model(space)
        rng = np.random.default_rng(derived_seed(request.seed, "flow3d"))
        deadline = time.monotonic() + self.seconds
        scored = ScoredMolecules(request)
        scored.add(request.labelled[: self.samples])
        for _ in range(self.rounds):
            if time.monotonic() > deadline:
                break
            made = model.sample(self.samples, seed=int(rng.integers(2**32)))
            made += self._variations(model, scored.best(self.samples), rng)
            scored.add(accepted(space, model, made, request.refused))
        return diverse(admissible(request, scored.best(None)), request.n)

    def model(self, space: Molecules) -> Flow3D:
        """The model of this space, the same for every request; raises ValueError where it begins with nothing."""
        start = space.sample(self.corpus, np.random.default_rng(derived_seed(self.settings.seed, "corpus")))
        if not start:
            raise ValueError(
                "The proposer 'flow3d' learns from the molecules with which the space begins, and there is none. "
                "Give the space a 'file' of molecules."
            )
        return flow3d(tuple(sorted(str(c.data["smiles"]) for c in start)), self.settings, self.device)

    def _variations(self, model: Flow3D, parents: list[Candidate], rng: np.random.Generator) -> list[Structure]:
        """`samples` variations of molecules, the best first among `parents` most often (rank quantile log-uniform)."""
        if not parents:
            return []
        places = (10.0 ** rng.uniform(-2, 0, self.samples) * len(parents)).astype(int).clip(max=len(parents) - 1)
        known = structures([str(parents[i].data["smiles"]) for i in places], model.atoms, self.settings.seed)
        times = rng.uniform(*self.times, len(known)).tolist()
        return model.variations(known, times, seed=int(rng.integers(2**32)))


def accepted(
    space: Molecules, model: Flow3D, molecules: Iterable[Structure], refused: Callable[[str], None] = unheard
) -> list[Candidate]:
    """The candidates of those structures that are molecules of the space; `refused` is told why the others are not."""
    found = (space.reading(model.smiles(molecule), refused) for molecule in molecules)
    return [candidate for candidate in found if candidate is not None]
