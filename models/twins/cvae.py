"""The conditional variational autoencoder (``cvae``)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from theoros.models.twins.ensemble import Twin
from theoros.models.twins.networks import Network, Size
from theoros.models.twins.shape import PointNoise, Shape, log_normal, normal, repeated

#: Latent draws of one residual: in training, where a member is judged, and where a likelihood is asked.
TRAINED, JUDGED, ASKED = 8, 16, 64
#: The linear part of decoder and encoder at the beginning, and their standard deviations there.
HALF = math.sqrt(0.5)
#: Bounds of the decoder's and of the encoder's log standard deviations.
LOWEST, HIGHEST = -5.0, 2.0


class LatentShape(nn.Module):
    """A latent z of as many dimensions as there are outcomes; a residual is Gaussian given z and the conditions.

    Conditional VAE: Sohn et al., NeurIPS 2015; the decoder's standard deviations are learned (Rybkin et al., ICML 2021,
    arXiv:2006.13202). Trained by the importance-weighted bound (Burda et al., ICLR 2016, arXiv:1509.00519), which lies
    nearer to the likelihood than the evidence bound and leaves a latent unused only where it says nothing.
    """

    has_density: ClassVar[bool] = True

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.latent = outcomes
        self.encoder = Network(members, conditions, outcomes, 2 * outcomes, size, generator, silent=True)
        self.decoder = Network(members, conditions, outcomes, 2 * outcomes, size, generator, silent=True)
        # Half of the variance begins as the latent's, in a straight line: one that says nothing at first is ignored for
        # hundreds of steps. Encoder and decoder agree exactly about it.
        self.straight = nn.Parameter(HALF * torch.eye(outcomes).repeat(members, 1, 1))

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.loss`."""
        return -self._bound(conditions, residuals, TRAINED, generator).mean(1)

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.score`."""
        return -self._bound(conditions, residuals, JUDGED, generator)

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """See `Shape.sample`."""
        z = normal((*conditions.shape[:2], self.latent), conditions, generator)
        mean, log_std = self._decoded(conditions, z)
        return mean + log_std.exp() * normal(tuple(mean.shape), mean, generator)

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.log_prob`: a lower bound on average over the latent's draws."""
        return self._bound(conditions, residuals, ASKED, generator)

    def _decoded(self, conditions: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.decoder(conditions, z).chunk(2, -1)
        return mean + z @ self.straight, (log_std + math.log(HALF)).clamp(LOWEST, HIGHEST)

    def _bound(self, conditions: Tensor, residuals: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """The importance-weighted bound ``M x b``: half of the draws from the encoder, half from the prior.

        Weighed as draws from the mixture (the balance heuristic, Veach & Guibas, SIGGRAPH 1995; defensive sampling,
        Hesterberg, Technometrics 37, 185 (1995)), so that no weight is larger than two.
        """
        moved, log_width = self.encoder(conditions, residuals).chunk(2, -1)
        centre = repeated(HALF * residuals + moved, draws)
        log_width = repeated((log_width + math.log(HALF)).clamp(LOWEST, HIGHEST), draws)
        unit = normal(tuple(centre.shape), centre, generator)
        from_prior = (torch.arange(centre.shape[1], device=centre.device) % 2 == 0)[None, :, None]
        z = torch.where(from_prior, unit, centre + log_width.exp() * unit)
        encoded = log_normal((z - centre) / log_width.exp()) - log_width.sum(-1)
        prior = log_normal(z)
        mixture = torch.logaddexp(encoded, prior) - math.log(2)
        mean, log_std = self._decoded(repeated(conditions, draws), z)
        likelihood = log_normal((repeated(residuals, draws) - mean) / log_std.exp()) - log_std.sum(-1)
        weights = (likelihood + prior - mixture).view(*conditions.shape[:2], draws)
        return torch.logsumexp(weights, -1) - math.log(draws)


class ConditionalVAE(Twin):
    """An ensemble of conditional VAEs; `theoros.models.twins.ensemble` tells what all twins share."""

    name: ClassVar[str] = "cvae"

    def shape(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> Shape:
        """See `Twin.shape`."""
        return LatentShape(members, conditions, outcomes, size, generator)
