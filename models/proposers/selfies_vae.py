"""Search of an autoencoder's latent space for molecules of a large acquisition value."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.contract import ProposalRequest
from theoros.models.data import Array
from theoros.models.generators.selfies_strings import tokens_of
from theoros.models.generators.selfies_vae import SelfiesVAE, Sizes
from theoros.models.generators.selfies_vae_metrics import in_space
from theoros.models.generators.selfies_vae_training import Training, fitted_to
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse, open_space
from theoros.models.proposers.options import configured
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules

#: Narrowest step of a chain; the widest is 1, a new draw from the prior.
NARROWEST = 0.2


@dataclass(frozen=True)
class SelfiesVAEProposer:
    """The autoencoder makes molecules and nothing else: what they are worth the surrogate says in its own features.

    COWBOYS (Moss et al., arXiv:2507.03910): chains in the latent space move by preconditioned Crank-Nicolson steps,
    which leave the prior as it is (Cotter et al., Stat. Sci. 28, 424 (2013), doi:10.1214/13-STS421), and a move is
    kept where the decoded molecule's acquisition value passes a level. The level rises as in subset simulation (Au &
    Beck, Probab. Eng. Mech. 16, 263 (2001), doi:10.1016/S0266-8920(01)00019-4): the better `survivors` of the chains
    set it and replace the others. Only the order of values counts, so that any acquisition will do.

    Half of the `chains` start from the best labelled molecules, the others from the space's own set. There are
    `rounds` moves of each, and none begins after `seconds` (a guard: a campaign that meets it no longer repeats
    exactly). Before its first search in a space the network (of these `sizes`) is trained on the starting
    molecules, beside `seconds`.
    """

    chains: int = 100
    rounds: int = 20
    survivors: float = 0.5
    seconds: float = 30.0
    training: Training = field(default_factory=Training)
    sizes: Sizes = field(default_factory=Sizes)

    name: ClassVar[str] = "selfies_vae"
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The proposer that a campaign file asks for (`theoros.models.proposers.options`); raises ValueError."""
        return configured(cls(), cls.name, options)

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike.

        Raises ValueError in another space, before the first fit, and where there are no molecules to learn from.
        """
        space = open_space(request, self.name)
        rng = np.random.default_rng(derived_seed(request.seed, self.name))
        model = fitted_to(space, self.training, self.sizes)
        deadline = time.monotonic() + self.seconds
        scored = ScoredMolecules(request)
        latents, level = self._founders(request, space, model, rng), -np.inf
        values = _values(model, space, scored, latents)
        for _ in range(self.rounds):
            if time.monotonic() > deadline:
                break
            moved = moved_by_prior(latents, rng)
            new = _values(model, space, scored, moved)
            kept = new >= level
            latents = torch.where(torch.from_numpy(kept)[:, None], moved, latents)
            chosen, level = survivors(np.where(kept, new, values), self.survivors, rng)
            latents, values = latents[torch.from_numpy(chosen)], np.where(kept, new, values)[chosen]
        return diverse(admissible(request, scored.best(None)), request.n)

    def _founders(
        self, request: ProposalRequest, space: Molecules, model: SelfiesVAE, rng: np.random.Generator
    ) -> Tensor:
        """Latent vectors, ``chains x latent``: draws from the prior stand for what can't be encoded."""
        labelled = list(request.labelled[: self.chains // 2])
        found = labelled + space.sample(self.chains - len(labelled), rng)
        tokens = [tokens_of(str(candidate.data["smiles"])) for candidate in found]
        known = model.latents([row for row in tokens if row is not None and model.alphabet.holds(row)])
        drawn = rng.standard_normal((self.chains - len(known), model.sizes.latent))
        return torch.cat([known, torch.from_numpy(drawn).float()])


def moved_by_prior(latents: Tensor, rng: np.random.Generator) -> Tensor:
    """Latent vectors (``n x latent``) after one preconditioned Crank-Nicolson step each.

    Vectors that are standard normal stay so. A step's width is log-uniform between `NARROWEST` and 1.
    """
    width = NARROWEST ** rng.random((len(latents), 1))
    noise = rng.standard_normal(tuple(latents.shape))
    return latents * torch.from_numpy(np.sqrt(1 - width**2)).float() + torch.from_numpy(width * noise).float()


def survivors(values: Array, share: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Which chains (n indices, in random order) go on, by their values (n), and the level that all of them reach.

    They are the best `share` of the chains, with what ties with the last of these, each taken as often as any other
    within one.
    """
    level = float(np.quantile(values, 1 - share, method="higher"))
    passing = rng.permutation(np.flatnonzero(values >= level))
    return rng.permutation(np.resize(passing, len(values))), level


def _values(model: SelfiesVAE, space: Molecules, scored: ScoredMolecules, latents: Tensor) -> Array:
    """Acquisition values (n) of what latent vectors decode to; minus infinity for what is vetoed or outside the space.

    A molecule is scored once, however many vectors decode to it.
    """
    decoded = [in_space(space, tokens, scored.request.refused) for tokens in model.decode(latents)]
    scored.add(list({candidate.hash: candidate for candidate in decoded if candidate is not None}.values()))
    values = [None if candidate is None else scored.value(candidate) for candidate in decoded]
    return np.array([-np.inf if value is None else value for value in values])
