"""A variational autoencoder of molecules written as SELFIES tokens.

Kingma & Welling, arXiv:1312.6114; over strings of molecules Gómez-Bombarelli et al., ACS Cent. Sci. 4, 268 (2018),
doi:10.1021/acscentsci.7b00572.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from theoros.models.generators.selfies_strings import END, Alphabet


@dataclass(frozen=True)
class Sizes:
    """Widths of the network: the embedding of a token, the hidden layers, and the latent space."""

    embedding: int = 16
    hidden: int = 384
    latent: int = 32


SIZES = Sizes()


class SelfiesVAE(nn.Module):
    """Encoder and decoder with two hidden layers each, over the whole row of tokens at once.

    Given the latent vector, tokens are independent. A decoder that read the tokens that it has already written could do
    without the latent vector (posterior collapse); this one can't, and it is many times cheaper to train on a CPU. The
    prior over latent vectors is the standard normal distribution.
    """

    def __init__(self, alphabet: Alphabet, sizes: Sizes = SIZES) -> None:
        super().__init__()
        self.alphabet, self.sizes = alphabet, sizes
        places = alphabet.length + 1
        self.embedding = nn.Embedding(alphabet.size, sizes.embedding)
        self.encoder = _two_layers(places * sizes.embedding, sizes.hidden, 2 * sizes.latent)
        self.decoder = _two_layers(sizes.latent, sizes.hidden, places * alphabet.size)

    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, ``n x latent`` each, of the latent vectors of rows of numbers (``n x places``)."""
        mean, log_variance = self.encoder(self.embedding(rows).flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 4.0)  # a variance of zero or infinity would end the training

    def log_likelihood(self, latents: Tensor, rows: Tensor) -> Tensor:
        """Of each row (n) up to and with its first `END`, in nats, given latent vectors (``n x latent``)."""
        tokenwise = functional.cross_entropy(self._logits(latents).transpose(1, 2), rows, reduction="none")
        counted = torch.arange(rows.shape[1]) <= (rows != END).sum(1, keepdim=True)
        return -(tokenwise * counted).sum(1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> list[tuple[str, ...]]:
        """The tokens (n) that are likeliest at every place, up to the first `END`."""
        return self.alphabet.molecules(self._logits(latents).argmax(2).numpy())

    @torch.no_grad()
    def latents(self, molecules: Sequence[Sequence[str]]) -> Tensor:
        """The mean latent vectors, ``n x latent``, of molecules whose tokens the alphabet holds."""
        return self.encode(torch.from_numpy(self.alphabet.numbers(molecules)))[0]

    def _logits(self, latents: Tensor) -> Tensor:
        flat: Tensor = self.decoder(latents)
        return flat.view(len(latents), self.alphabet.length + 1, self.alphabet.size)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats of every latent dimension, in the shape of `mean`."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance)


@dataclass(frozen=True)
class Bound:
    """The two terms of the evidence lower bound, each a mean over molecules in nats: ``likelihood - kl``."""

    likelihood: Tensor
    kl: Tensor


def evidence_bound(model: SelfiesVAE, rows: Tensor, generator: torch.Generator) -> Bound:
    """The bound on the log-probability of rows of numbers, with one draw of each latent vector."""
    mean, log_variance = model.encode(rows)
    latents = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_variance).exp()
    return Bound(model.log_likelihood(latents, rows).mean(), kl_divergence(mean, log_variance).sum(1).mean())


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LayerNorm(hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, outputs),
    )
