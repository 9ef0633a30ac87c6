"""Where outcomes lie and how far they scatter: the conditional mean and standard deviation of every member."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
#: Squared errors count as no more than so many variances where the noise is read.
FARTHEST = 16.0
#: What the noise may be multiplied by, and labels from which on it is.
WIDENINGS, LEAST_READ = (0.2, 5.0), 32


class LocationScale(nn.Module):
    """M members' means and standard deviations of standardised outcomes at scaled conditions.

    `widening` (m) is by how much the standard deviations had to be multiplied.
    """

    widening: Tensor

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.members = members
        self.location = Network(members, conditions, 0, outcomes, size, generator)
        self.log_variance = Layers(members, (conditions, NOISE_WIDTH, outcomes), generator, silent=True)
        self.register_buffer("widening", torch.ones(outcomes))

    def forward(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations ``M x b x m`` at ``M x b x d``."""
        log_variance = (STRIDE * self.log_variance(conditions)).clamp_max(math.log(LARGEST))
        return self.location(conditions), (log_variance.exp() + SMALLEST).sqrt() * self.widening

    def means(self, rows: Tensor) -> Tensor:
        """Means ``M x b x m`` at ``b x d``."""
        mean: Tensor = self.location(rows.expand(self.members, -1, -1))
        return mean

    def begin_with(self, other: LocationScale) -> bool:
        """Begin halfway between this fresh beginning and what `other` has learned; False where they do not fit.

        Ash & Adams, NeurIPS 2020, arXiv:1910.08475: networks that only go on agree with themselves too much. The
        waves' frequencies are kept: halfway between two of them lies a third.
        """
        mine, theirs = dict(self.named_parameters()), dict(other.named_parameters())
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
            return False
        for name, parameter in mine.items():
            share = 1.0 if ".waves." in name else 0.5
            parameter.data.lerp_(theirs[name].data.to(parameter), share)
        return True


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


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What members that are blind to a label say of it together: mean and variance, ``n x m``.

    `spread` is the variance of all members' means, and `error` that of the blind ones' common mean by it. A label to
    which no member is blind is answered by all.
    """

    mean: Tensor
    variance: Tensor
    spread: Tensor
    error: Tensor

    @classmethod
    def of(cls, model: LocationScale, table: Table) -> LeftOut:
        """Ask the members."""
        with torch.no_grad():
            means, stds = model(table.everywhere())
        asked = torch.where(table.blind.any(0), table.blind, True)[..., None].to(means)
        count = asked.sum(0)
        return cls(
            (means * asked).sum(0) / count,
            (stds.square() * asked).sum(0) / count,
            means.var(0),
            means.var(0) / count,
        )

    def residuals(self, table: Table) -> Tensor:
        """Errors in units of their own standard deviation, ``n x m``; NaN where a label lacks an outcome."""
        return (table.outcomes - self.mean) / (self.variance + self.error).sqrt()

    def widening(self, table: Table) -> Tensor:
        """By how much the noise's standard deviations are too small (m); one where there is too little to tell.

        A mean that follows its labels too closely makes the noise look small, so it is read off labels that were not
        seen. There the mean's own error must not pass for noise: only the half of the labels is read about which the
        members agree best. (Agreement in units of the noise would favour labels whose noise is overestimated.)
        """
        squares = self.residuals(table).square().clamp_max(FARTHEST)
        found = torch.ones(self.mean.shape[1])
        for k in range(self.mean.shape[1]):
            known = squares[:, k].isfinite() & table.blind.any(0)
            if int(known.sum()) >= LEAST_READ:
                doubt = self.spread[known, k]
                found[k] = squares[known, k][doubt <= doubt.median()].mean().sqrt().clamp(*WIDENINGS)
        return found.to(self.mean)


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
    model.widening = LeftOut.of(model, table).widening(table)


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
