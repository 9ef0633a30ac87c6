"""Training of the SELFIES autoencoder on the starting molecules of a space, once for each such set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from theoros.models.generators.selfies_strings import Alphabet, tokens_of
from theoros.models.generators.selfies_vae import SIZES, SelfiesVAE, Sizes, evidence_bound
from theoros.models.generators.weights import trained
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import state_of
from theoros.oracles.spaces.table import FileState

#: Counts changes of this code after which weights have to be trained anew.
VERSION = 1
#: Molecules that a model learns from at most; of a longer file a random part.
MOST = 20_000


@dataclass(frozen=True)
class Training:
    """How the network is trained: Adam's steps, molecules in each, the peak of the learning rate, and the KL's weight.

    The weight of the KL term rises linearly from zero over the first third of the steps, against posterior collapse
    (Bowman et al., arXiv:1511.06349), and stays below one (Higgins et al., beta-VAE, ICLR 2017), which favours
    reconstruction: the search moves from molecules that have to be met again when they are decoded.
    """

    steps: int = 3_000
    batch: int = 128
    rate: float = 2e-3
    kl_weight: float = 0.1


def fitted(corpus: Sequence[tuple[str, ...]], training: Training, *, sizes: Sizes = SIZES, seed: int = 0) -> SelfiesVAE:
    """The model of molecules given as tokens (one or more): kept weights, or trained now."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SelfiesVAE(Alphabet.of(corpus), sizes)
    key = ["selfies_vae", VERSION, ["".join(row) for row in corpus], asdict(sizes), asdict(training), seed]
    model.load_state_dict(trained(key, lambda: _train(model, corpus, training, seed)))
    return model.eval()


def fitted_to(space: Molecules, training: Training, sizes: Sizes = SIZES) -> SelfiesVAE:
    """The model of a space's starting molecules; raises ValueError when it has none that SELFIES can write."""
    return _fitted_to(space, state_of(space), training, sizes)


@lru_cache(maxsize=4)
def _fitted_to(space: Molecules, state: FileState | None, training: Training, sizes: Sizes) -> SelfiesVAE:
    corpus = starting_tokens(space)
    if not corpus:
        raise ValueError(
            "The proposer 'selfies_vae' learns from the space's starting molecules, and there are none. "
            "Give the space a 'file' of molecules, or use 'genetic'."
        )
    return fitted(corpus, training, sizes=sizes)


def starting_tokens(space: Molecules) -> tuple[tuple[str, ...], ...]:
    """The starting molecules of a space as tokens, `MOST` at most."""
    tokens = (tokens_of(str(c.data["smiles"])) for c in space.sample(MOST, np.random.default_rng(0)))
    return tuple(row for row in tokens if row is not None)


def _train(model: SelfiesVAE, corpus: Sequence[tuple[str, ...]], training: Training, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.from_numpy(model.alphabet.numbers(corpus))
    optimiser = torch.optim.AdamW(model.parameters(), lr=training.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.rate, total_steps=training.steps)
    model.train()
    for step in range(training.steps):
        batch = rows[torch.randint(len(rows), (training.batch,), generator=generator)]
        bound = evidence_bound(model, batch, generator)
        weight = training.kl_weight * min(1.0, 3.0 * step / training.steps)
        optimiser.zero_grad()
        (weight * bound.kl - bound.likelihood).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.state_dict()
