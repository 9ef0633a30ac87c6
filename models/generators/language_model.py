"""A small autoregressive model of SMILES: the likelihood of a text, token by token, and texts drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from theoros.models.generators.corpus import BOUNDARY, Vocabulary


@dataclass(frozen=True)
class Sizes:
    """Widths of the network: 0.27 million weights for some thirty tokens."""

    embedding: int = 64
    hidden: int = 160
    layers: int = 2
    dropout: float = 0.1


class LanguageModel(nn.Module):
    """Gated recurrent units over tokens (Segler et al., ACS Cent. Sci. 4, 120 (2018)); single precision.

    `vocabulary` has v numbers. Sequences are ``n x t`` whole numbers, each closed by `BOUNDARY` and filled up with it.
    No more than `longest` tokens are drawn.
    """

    def __init__(self, vocabulary: Vocabulary, longest: int, sizes: Sizes) -> None:
        super().__init__()
        self.vocabulary, self.longest, self.sizes = vocabulary, longest, sizes
        self.embedding = nn.Embedding(len(vocabulary), sizes.embedding)
        between = sizes.dropout if sizes.layers > 1 else 0.0
        self.units = nn.GRU(sizes.embedding, sizes.hidden, sizes.layers, batch_first=True, dropout=between)
        self.logits = nn.Linear(sizes.hidden, len(vocabulary))

    def forward(self, given: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities ``n x t x v`` of what follows each of the tokens `given`, and the state after the last."""
        hidden, state = self.units(self.embedding(given), state)
        return torch.log_softmax(self.logits(hidden), -1), cast(Tensor, state)

    def token_log_likelihoods(self, sequences: Tensor) -> Tensor:
        """The log-probability ``n x t`` of each token and of the end, in nats; zero after the end."""
        before = torch.cat([torch.full_like(sequences[:, :1], BOUNDARY), sequences[:, :-1]], 1)
        steps, _ = self(before)
        return torch.where(counted(sequences), steps.gather(2, sequences[:, :, None])[:, :, 0], 0.0)

    def log_likelihoods(self, sequences: Tensor) -> Tensor:
        """The log-probabilities (n) of whole texts, in nats."""
        return self.token_log_likelihoods(sequences).sum(1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.logits.weight.device


def counted(sequences: Tensor) -> Tensor:
    """What belongs to a text, ``n x t``: its tokens and the one boundary that ends it."""
    ends = sequences == BOUNDARY
    return (ends.cumsum(1) - ends.long()) == 0


def batch_of(encoded: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Sequences ``n x t`` of texts without a boundary, closed and filled up with it."""
    width = max(map(len, encoded), default=0) + 1
    return torch.tensor([[*row, *[BOUNDARY] * (width - len(row))] for row in encoded], device=device).reshape(-1, width)


@torch.no_grad()
def sampled(model: LanguageModel, n: int, generator: torch.Generator) -> Tensor:
    """`n` sequences drawn token by token, ``n x t``; `generator` lives on the model's device.

    One that has not ended after ``model.longest`` tokens is left without a boundary.
    """
    last = torch.full((n, 1), BOUNDARY, device=model.device)
    going = torch.ones((n, 1), dtype=torch.bool, device=model.device)
    state: Tensor | None = None
    drawn: list[Tensor] = []
    for _ in range(model.longest + 1):
        steps, state = model(last, state)
        last = torch.multinomial(steps[:, 0].exp(), 1, generator=generator).where(going, BOUNDARY)
        drawn.append(last)
        going = going & (last != BOUNDARY)
        if not bool(going.any()):
            break
    return torch.cat(drawn, 1) if drawn else last[:, :0]


def texts(model: LanguageModel, sequences: Tensor) -> list[str]:
    """The SMILES of sequences, as they were drawn; empty for one that never ended."""
    return [model.vocabulary.decode(row) for row in sequences.tolist()]


def samples(model: LanguageModel, n: int, generator: torch.Generator) -> list[str]:
    """`n` texts drawn from the model, valid SMILES or not, in evaluation mode and without gradients."""
    model.eval()
    return texts(model, sampled(model, n, generator))
