"""The prior: a language model trained once on the molecules with which a space begins."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from theoros.models.generators.corpus import Vocabulary, randomised, split, vocabulary_of
from theoros.models.generators.language_model import LanguageModel, Sizes, batch_of, counted
from theoros.models.generators.weights import trained
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import content_hash
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import path_of, shipped_smiles
from theoros.oracles.spaces.table import sha256

#: Changes whenever the same corpus and settings would give other weights, so that those on disk are not used.
VERSION = 1
#: A corpus of fewer molecules teaches nothing.
FEWEST = 20
#: Most molecules that a corpus is made of, drawn at random from a larger file.
MOST = 50_000
#: Held-out molecules at which training looks, each in `HELD_WAYS` ways of writing it.
MOST_HELD, HELD_WAYS = 2_000, 2
_SEED = 0


@dataclass(frozen=True)
class Training:
    """How a prior is trained: Adam on batches of molecules, each written anew in every epoch.

    `molecules` bounds how many are shown in all, so that a large corpus takes no longer than many epochs of a small
    one. The rate falls to zero along a cosine; training ends early after `patience` epochs without a better likelihood
    of the held-out tenth, and leaves the best.
    """

    molecules: int = 80_000
    batch: int = 128
    rate: float = 3e-3
    patience: int = 5


@dataclass(frozen=True)
class Prior:
    """A trained model, on `n` molecules, and the held-out tenth's mean log-likelihood in nats per token."""

    model: LanguageModel
    n: int
    held_out: float


def prior_of(space: Molecules, training: Training | None = None, sizes: Sizes | None = None) -> Prior:
    """The prior of the molecules with which `space` begins, from disk where it has been trained before.

    Raises ValueError when they are fewer than `FEWEST`.
    """
    training, sizes = training or Training(), sizes or Sizes()
    start = content_hash(list(shipped_smiles())) if space.file is None else sha256(path_of(space.file))
    rules: dict[str, Any] = space.to_dict()["molecules"]
    key = {
        "generator": "language_model",
        "version": VERSION,
        "start": start,
        "space": {name: value for name, value in rules.items() if name not in ("file", "sha256")},
        "training": asdict(training),
        "sizes": asdict(sizes),
    }

    def train() -> Mapping[str, Tensor]:
        found = space.sample(MOST, np.random.default_rng(_SEED))
        return _packed(train_prior([str(molecule.data["smiles"]) for molecule in found], training, sizes, _SEED))

    return _unpacked(trained(key, train), sizes)


def train_prior(smiles: Sequence[str], training: Training, sizes: Sizes, seed: int) -> Prior:
    """Train on the SMILES of distinct molecules; raises ValueError when they are fewer than `FEWEST`."""
    if len(smiles) < FEWEST:
        raise ValueError(
            f"A language model needs {FEWEST} molecules to learn from, and the space begins with {len(smiles)}. "
            "Give the space a file of molecules."
        )
    vocabulary = vocabulary_of(smiles, derived_seed(seed, "vocabulary"))
    learned, held = split(len(smiles), derived_seed(seed, "split"))
    corpus = [smiles[place] for place in learned]
    unseen = encoded(vocabulary, [smiles[place] for place in held[:MOST_HELD]], HELD_WAYS, derived_seed(seed, "held"))
    longest = max(len(row) for row in encoded(vocabulary, smiles, 1, derived_seed(seed, "longest")))
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "weights"))
        model = LanguageModel(vocabulary, longest + longest // 4, sizes).to(default_device())
        held_out = _descend(model, corpus, unseen, training, derived_seed(seed, "order"))
    return Prior(model.eval(), len(smiles), held_out)


def default_device() -> torch.device:
    """A GPU where this process has been given one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def encoded(vocabulary: Vocabulary, smiles: Sequence[str], ways: int, seed: int) -> list[list[int]]:
    """Each molecule in `ways` random ways of writing it, as numbers; ways with unknown tokens are left out."""
    found = []
    for place, text in enumerate(smiles):
        found += [vocabulary.encode(way) for way in randomised(text, ways, derived_seed(seed, place))]
    return [row for row in found if row is not None]


@torch.no_grad()
def per_token(model: LanguageModel, rows: Sequence[Sequence[int]], chunk: int = 512) -> float:
    """Mean log-likelihood of a token, ends included, in nats; rows as `encoded` gives them."""
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(rows), chunk):
        batch = batch_of(rows[start : start + chunk], model.device)
        total += float(model.log_likelihoods(batch).double().sum())
        count += int(counted(batch).sum())
    return total / count


def _descend(
    model: LanguageModel, corpus: Sequence[str], unseen: Sequence[Sequence[int]], training: Training, seed: int
) -> float:
    """Raise the likelihood of `corpus`; leave the weights that were best for `unseen`, and return its likelihood."""
    batches = math.ceil(len(corpus) / training.batch)
    epochs = max(1, training.molecules // len(corpus))
    optimiser = torch.optim.Adam(model.parameters(), lr=training.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    rng = np.random.default_rng(seed)
    highest, best, waited = -math.inf, copy.deepcopy(model.state_dict()), 0
    for epoch in range(epochs):
        rows = encoded(model.vocabulary, corpus, 1, derived_seed(seed, epoch))
        order = rng.permutation(len(rows)).tolist()
        model.train()
        for start in range(0, len(order), training.batch):
            batch = batch_of([rows[place] for place in order[start : start + training.batch]], model.device)
            descend(model, optimiser, -model.token_log_likelihoods(batch).sum() / counted(batch).sum())
            schedule.step()
        likelihood = per_token(model, unseen)
        waited = 0 if likelihood > highest else waited + 1
        if likelihood > highest:
            highest, best = likelihood, copy.deepcopy(model.state_dict())
        if waited >= training.patience:
            break
    model.load_state_dict(best)
    return highest


def descend(model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of the optimiser down the gradient of `loss`, which is clipped to length one."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


def _packed(prior: Prior) -> dict[str, Tensor]:
    """All of a prior as tensors; its tokens as the bytes of their text, one a line."""
    text = np.frombuffer("\n".join(prior.model.vocabulary.symbols).encode(), dtype=np.uint8).copy()
    return {
        **{f"model.{name}": value for name, value in prior.model.state_dict().items()},
        "tokens": torch.from_numpy(text),
        "longest": torch.tensor(prior.model.longest),
        "n": torch.tensor(prior.n),
        "held_out": torch.tensor(prior.held_out, dtype=torch.float64),
    }


def _unpacked(tensors: Mapping[str, Tensor], sizes: Sizes) -> Prior:
    symbols = tuple(tensors["tokens"].numpy().tobytes().decode().split("\n"))
    model = LanguageModel(Vocabulary(symbols), int(tensors["longest"]), sizes)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    return Prior(model.to(default_device()).eval(), int(tensors["n"]), float(tensors["held_out"]))
