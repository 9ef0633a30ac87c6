"""The conditional generative adversarial network (``cgan``), kept stable by spectral norms and a proper score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from theoros.models.twins.ensemble import Twin
from theoros.models.twins.networks import Network, Size
from theoros.models.twins.shape import PointNoise, Shape, energy_score, normal, repeated

#: Draws at each condition: in training, and where a residual is scored.
TRAINED, ASKED = 4, 16
#: Weight of the adversary beside the energy score.
ADVERSARY = 0.2


class AdversarialShape(nn.Module):
    """A generator of residuals and a critic that tells them from those of labels.

    Conditional GAN (Mirza & Osindero, arXiv:1411.1784) with the hinge loss and a critic whose layers have a spectral
    norm of one (Miyato et al., ICLR 2018, arXiv:1802.05957). The generator also lowers the energy score of its draws,
    a proper score (Pacchiardi et al., J. Mach. Learn. Res. 25 (2024), arXiv:2112.08217): a critic alone drops modes and
    gets the scatter wrong when labels are few. Both learn at once: the critic's loss holds the draws fixed, and the
    generator's the critic.
    """

    has_density: ClassVar[bool] = False

    def __init__(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.generator = Network(members, conditions, 2 * outcomes, outcomes, size, generator, silent=True)
        self.critic = Critic(members, conditions, outcomes, size.width, generator)

    def loss(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.loss`."""
        made = self.sample(repeated(conditions, TRAINED), generator)
        fixed = self.critic.fixed()
        draws = made.view(*residuals.shape[:2], TRAINED, self.outcomes)
        praised = fixed(repeated(conditions, TRAINED), made).mean(1)
        generating = energy_score(draws, residuals).mean(1) - ADVERSARY * praised
        real: Tensor = self.critic(conditions, residuals)
        false: Tensor = self.critic(conditions, draws[:, :, 0].detach())
        return generating + (1 - real).relu().mean(1) + (1 + false).relu().mean(1)

    def score(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """See `Shape.score`: the energy score."""
        draws = self.sample(repeated(conditions, ASKED), generator)
        return energy_score(draws.view(*conditions.shape[:2], ASKED, self.outcomes), residuals)

    def sample(self, conditions: Tensor, generator: torch.Generator | PointNoise) -> Tensor:
        """See `Shape.sample`: as many numbers again as there are outcomes let one draw choose among modes."""
        noise = normal((*conditions.shape[:2], 2 * self.outcomes), conditions, generator)
        learned: Tensor = self.generator(conditions, noise)
        return noise[..., : self.outcomes] + learned

    def log_prob(self, conditions: Tensor, residuals: Tensor, generator: torch.Generator) -> Tensor:
        """A generator of this kind has no density: raises TypeError."""
        raise TypeError("a conditional GAN has no density")


class Critic(nn.Module):
    """M critics of residuals under conditions: ``M x b`` numbers, large for what looks like a label's.

    Every weight is divided by its largest singular value, which one step of the power method a call keeps track of;
    torch's own parametrisation knows no batch of matrices.
    """

    def __init__(self, members: int, conditions: int, outcomes: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        shapes = list(pairwise((conditions + outcomes, width, width, 1)))
        self.weights = nn.ParameterList(
            [torch.randn(members, a, b, generator=generator) / math.sqrt(a) for a, b in shapes]
        )
        self.biases = nn.ParameterList([torch.zeros(members, 1, b) for _, b in shapes])
        for i, (a, _) in enumerate(shapes):
            self.register_buffer(f"left_{i}", torch.randn(members, 1, a, generator=generator))

    def forward(self, conditions: Tensor, residuals: Tensor) -> Tensor:
        """What each member's critic says, ``M x b``."""
        return _judged(self._normalised(), list(self.biases), conditions, residuals)

    def fixed(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The same critics as a function through which none of them learns."""
        weights = [weight.detach() for weight in self._normalised()]
        biases = [bias.detach() for bias in self.biases]
        return lambda conditions, residuals: _judged(weights, biases, conditions, residuals)

    def _normalised(self) -> list[Tensor]:
        found = []
        for i, weight in enumerate(self.weights):
            with torch.no_grad():
                right = nn.functional.normalize(getattr(self, f"left_{i}") @ weight, dim=-1)
                left = nn.functional.normalize(right @ weight.mT, dim=-1)
                setattr(self, f"left_{i}", left)
            found.append(weight / (left @ weight @ right.mT))
        return found


def _judged(weights: Sequence[Tensor], biases: Sequence[Tensor], conditions: Tensor, residuals: Tensor) -> Tensor:
    x = torch.cat([conditions, residuals], -1)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = torch.baddbmm(bias, x, weight)
        x = x if i == len(weights) - 1 else nn.functional.leaky_relu(x, 0.1)
    return x[..., 0]


class ConditionalGAN(Twin):
    """An ensemble of conditional GANs; `theoros.models.twins.ensemble` tells what all twins share."""

    name: ClassVar[str] = "cgan"

    def shape(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> Shape:
        """See `Twin.shape`."""
        return AdversarialShape(members, conditions, outcomes, size, generator)
