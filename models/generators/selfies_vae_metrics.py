"""What an autoencoder of SELFIES draws, and what of a molecule comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from theoros.models.generators.selfies_strings import smiles_of
from theoros.models.generators.selfies_vae import SelfiesVAE
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules


def reconstruction(model: SelfiesVAE, molecules: Sequence[tuple[str, ...]]) -> float:
    """The share of molecules whose tokens come out of the decoder as they went into the encoder."""
    again = model.decode(model.latents(molecules))
    same = sum(one == other for one, other in zip(again, molecules, strict=True))
    return same / len(molecules) if molecules else 0.0


def sampled(model: SelfiesVAE, n: int, generator: torch.Generator) -> list[tuple[str, ...]]:
    """The tokens of `n` molecules decoded from draws of the prior."""
    return model.decode(torch.randn(n, model.sizes.latent, generator=generator))


def in_space(space: Molecules, tokens: Sequence[str], refused: Callable[[str], None] | None = None) -> Candidate | None:
    """The candidate that tokens are read as; None where that is none of the space, and `refused` is told why."""
    return space.reading(smiles_of(tokens), refused)
