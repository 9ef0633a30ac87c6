"""Where outcomes lie and how far they scatter: the conditional mean and standard deviation of every member."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from theoros.models.twins.beyond import Beyond
from theoros.models.twins.left_out import LeftOut
from theoros.models.twins.networks import Layers, Network, Size
from theoros.models.twins.physics import Penalties
from theoros.models.twins.training import Table, Training, descend

#: Smallest and largest variance of standardised outcomes that a member may believe in.
SMALLEST, LARGEST = 1e-6, 150.0
#: The network of variances tells a share of their logarithm: it has far to go and a few hundred steps.
STRIDE = 3.0
#: Exponent of Seitzer et al.'s weighting, by which labels that are thought noisy keep teaching the mean.
BETA = 0.5
#: Hidden units of the network of variances: noise varies slowly, and a large network would learn each label's.
NOISE_WIDTH = 16


class LocationScale(nn.Module):
    """M members' means and standard deviations of standardised outcomes at scaled conditions.

    ``contrast * log_variance + level`` (m each) is the noise's log variance where the network says `log_variance`: one
    and zero while it learns, and then what labels that members had not seen make of it (`LeftOut.noise`). Members that
    have learned are told apart `beyond` the labels.
    """

    contrast: Tensor
    level: Tensor

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.members = members
        self.location = Network(members, conditions, 0, outcomes, size, generator)
        self.log_variance = Layers(members, (conditions, NOISE_WIDTH, outcomes), generator, silent=True)
        self.register_buffer("contrast", torch.ones(outcomes))
        self.register_buffer("level", torch.zeros(outcomes))
        self.beyond: Beyond | None = None

    def forward(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations ``M x b x m`` at ``M x b x d``."""
        log_variance = (STRIDE * self.log_variance(conditions)).clamp(math.log(SMALLEST), math.log(LARGEST))
        mean = self.location(conditions)
        if self.beyond is not None:
            mean = mean + self.beyond(conditions)
        return mean, (0.5 * (self.contrast * log_variance + self.level)).exp()

    def left_out(self, table: Table) -> LeftOut:
        """What members say of labels that they have not seen."""
        with torch.no_grad():
            means, stds = self(table.everywhere())
        return LeftOut.of(means, 2 * stds.log(), table)

    def means(self, rows: Tensor) -> Tensor:
        """Means ``M x b x m`` at ``b x d``."""
        mean: Tensor = self(rows.expand(self.members, -1, -1))[0]
        return mean


class Ignorance(nn.Module):
    """Means and standard deviations of members that have seen nothing: as far apart as labels are."""

    def __init__(self, members: int, outcomes: int) -> None:
        super().__init__()
        self.members, self.outcomes = members, outcomes

    def forward(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations ``M x b x m`` at ``M x b x d``."""
        quantiles = torch.special.ndtri((torch.arange(self.members).double() + 0.5) / self.members)
        apart = (quantiles / quantiles.std()).to(conditions)
        mean = apart[:, None, None].expand(*conditions.shape[:2], self.outcomes)
        return mean, torch.full_like(mean, math.sqrt(SMALLEST))


def fit_location_scale(
    model: LocationScale,
    table: Table,
    training: Training,
    steps: int,
    generator: torch.Generator,
    penalties: Penalties,
) -> None:
    """Fit means and variances, each member on the labels that it may see.

    Means by squared errors, divided by the noise as in Seitzer et al., ICLR 2022, arXiv:2203.09168; variances by the
    Gaussian likelihood with the error held fixed.
    """
    draw = table.batches(min(training.batch, len(table.outcomes)), generator)

    def loss() -> Tensor:
        conditions, outcomes = draw()
        mean, std = model(conditions)
        return penalties.added(_deviance(mean, std, outcomes).mean(1))

    held_out = table.held_out()

    def score() -> Tensor:
        mean, std = model(held_out.conditions)
        return penalties.judged(held_out.mean(_ranked(mean, std, held_out.outcomes)))

    descend(model, loss, score, steps, training.rates[0], training.decay)
    model.contrast, model.level = model.left_out(table).noise(table)


def _deviance(mean: Tensor, std: Tensor, outcomes: Tensor) -> Tensor:
    """What training lowers, ``M x b``: over the outcomes that are there."""
    variance, known = std.square(), outcomes.isfinite()
    square = torch.where(known, outcomes - mean, 0.0).square()
    lost = 0.5 * (square / variance.detach() ** (1 - BETA) + square.detach() / variance + variance.log())
    return torch.where(known, lost, 0.0).sum(-1)


def _ranked(mean: Tensor, std: Tensor, outcomes: Tensor) -> Tensor:
    """Continuous ranked probability scores of the outcomes that are there, ``M x b``.

    Gneiting & Raftery, J. Am. Stat. Assoc. 102, 359 (2007), eq. 21. A likelihood would be decided by the few labels
    near which the mean is still wrong.
    """
    known = outcomes.isfinite()
    z = torch.where(known, outcomes - mean, 0.0) / std
    density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
    score = std * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
    return torch.where(known, score, 0.0).sum(-1)
