"""Small networks trained side by side, each blind to a share of the labels: plain numbers in, plain numbers out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.data import Array
from theoros.models.left_out import uncertainty_scale

#: Weights ``M x in x out`` and biases ``M x 1 x out`` of each layer of M networks.
Layers = tuple[tuple[Tensor, Tensor], ...]

#: Smallest variance (of standardised labels) that a network may believe in.
SMALLEST = 1e-4
#: Exponent of Seitzer et al.'s weighting, by which labels that are thought noisy keep teaching the mean.
BETA = 0.5
#: Training looks at the labels that a network leaves out this often, and keeps its best state.
LOOKS = 20


@dataclass(frozen=True)
class Training:
    """How an ensemble is made: `members` networks of two hidden layers of `width`, each blind to one of `folds` shares.

    `passes` over the labels in batches of `batch`, but no fewer and no more than `steps`; `rate` and `decay` are
    AdamW's (Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101).
    """

    members: int = 12
    width: int = 64
    folds: int = 4
    passes: int = 40
    steps: tuple[int, int] = (400, 4_000)
    batch: int = 64
    rate: float = 3e-3
    decay: float = 3e-2

    def count(self, labels: int, share: float = 1.0) -> int:
        """Optimiser's steps for `labels` labels, or a `share` of them for networks that have learned before."""
        low, high = self.steps
        return max(LOOKS, int(share * min(max(self.passes * labels // self.batch, low), high)))


@dataclass(frozen=True, eq=False)
class Networks:
    """An ensemble in standardised units; without layers it knows mean zero and variance one.

    `scale` multiplies all standard deviations.
    """

    layers: Layers = ()
    scale: float = 1.0

    @property
    def count(self) -> int:
        """How many members there are; without layers two that disagree."""
        return len(self.layers[0][0]) if self.layers else 2

    def members(self, X: Array) -> tuple[Array, Array]:
        """Every member's mean and variance at scaled features `X` (``b x d``): ``M x b`` each."""
        if not self.layers:
            return np.outer([-1.0, 1.0], np.ones(len(X))), np.full((2, len(X)), SMALLEST)
        with torch.no_grad():
            # In double precision a row's answer does not depend on which rows it is asked with.
            layers = tuple((weights.double(), bias.double()) for weights, bias in self.layers)
            mean, variance = _forward(layers, torch.from_numpy(X).expand(self.count, -1, -1))
        return mean.numpy(), variance.numpy()

    def moments(self, X: Array) -> tuple[Array, Array, Array]:
        """Means, variances between members and mean variances within them (``b`` each), calibrated."""
        means, variances = self.members(X)
        return means.mean(0), np.square(self._deviations(means)).sum(0), variances.mean(0) * self.scale**2

    def deviations(self, X: Array) -> tuple[Array, Array]:
        """The mean (b) and the calibrated deviations ``M x b`` from it, whose squares add up to the variance."""
        means, _ = self.members(X)
        return means.mean(0), self._deviations(means)

    def _deviations(self, means: Array) -> Array:
        freedom = len(means) - 1 if self.layers else len(means)
        return np.asarray((means - means.mean(0)) * (self.scale / np.sqrt(freedom)), dtype=np.float64)


def train(
    X: Array,
    y: Array,
    unseen: NDArray[np.bool_],
    training: Training,
    *,
    seed: int,
    device: torch.device,
    start: Networks | None = None,
) -> Networks:
    """Train an ensemble on standardised labels `y` (n) at scaled features `X` (``n x d``).

    Means and variances by the Gaussian likelihood, from random beginnings: Lakshminarayanan et al., NeurIPS 2017,
    arXiv:1612.01474, with the weights of Seitzer et al., ICLR 2022, arXiv:2203.09168. Unlike there each member is
    blind to the labels that `unseen` (``M x n``) names: they tell it when to stop, and all how wrong they are. `start`
    gives weights to begin with, halfway between what was learned and a fresh beginning (Ash & Adams, NeurIPS 2020,
    arXiv:1910.08475): an ensemble that only goes on agrees with itself too much. Raises ArithmeticError when nothing
    finite is found.
    """
    if len(y) < 2:
        return Networks()
    generator = torch.Generator().manual_seed(seed)
    layers = _beginning(X.shape[1], training, generator)
    warm = start is not None and _shapes(start.layers) == _shapes(layers)
    if start is not None and warm:
        layers = tuple(
            (0.5 * (w + v), 0.5 * (b + c)) for (w, b), (v, c) in zip(layers, start.layers, strict=True)
        )  # fmt: skip
    steps = training.count(len(y), 0.5 if warm else 1.0)
    layers = _descend(layers, X, y, unseen, training, steps, generator, device)
    if not all(bool(tensor.isfinite().all()) for layer in layers for tensor in layer):
        raise ArithmeticError("the networks' weights are not finite")
    networks = Networks(layers)
    return Networks(layers, _calibrated(networks, X, y, unseen))


def _forward(layers: Layers, X: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances ``M x b`` at ``M x b x d``."""
    for weights, bias in layers[:-1]:
        X = torch.nn.functional.silu(torch.baddbmm(bias, X, weights))
    out = torch.baddbmm(layers[-1][1], X, layers[-1][0])
    return out[..., 0], torch.nn.functional.softplus(out[..., 1]) + SMALLEST


def _beginning(d: int, training: Training, generator: torch.Generator) -> Layers:
    sizes = (d, training.width, training.width, 2)
    return tuple(
        (
            torch.randn(training.members, a, b, generator=generator) * (math.sqrt(1 / max(a, 1))),
            torch.zeros(training.members, 1, b),
        )
        for a, b in pairwise(sizes)
    )


def _shapes(layers: Layers) -> list[torch.Size]:
    return [weights.shape for weights, _ in layers]


def _descend(
    layers: Layers,
    X: Array,
    y: Array,
    unseen: NDArray[np.bool_],
    training: Training,
    steps: int,
    generator: torch.Generator,
    device: torch.device,
) -> Layers:
    """Minimise each member's loss on its own labels, and return each at its best on those that it left out."""
    features, labels = torch.from_numpy(X).float().to(device), torch.from_numpy(y).float().to(device)
    seen = [torch.from_numpy(np.flatnonzero(~row)) for row in unseen]
    parameters = [tensor.to(device).requires_grad_(True) for layer in layers for tensor in layer]
    current: Layers = tuple(zip(parameters[::2], parameters[1::2], strict=True))
    optimiser = torch.optim.AdamW(parameters, lr=training.rate, weight_decay=training.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.rate, total_steps=steps, pct_start=0.1)
    best = [tensor.detach().clone() for tensor in parameters]
    lowest = torch.full((len(seen),), math.inf, device=device)
    mask = torch.from_numpy(unseen).to(device)
    every = max(1, steps // LOOKS)
    for step in range(1, steps + 1):
        rows = torch.stack(
            [s[torch.randint(len(s), (min(training.batch, len(y)),), generator=generator)] for s in seen]
        )
        rows = rows.to(device)
        optimiser.zero_grad()
        mean, variance = _forward(current, features[rows])
        _loss(mean, variance, labels[rows]).mean(1).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 10.0 * len(seen))
        optimiser.step()
        schedule.step()
        if step % every and step != steps:
            continue
        with torch.no_grad():
            error = _validation(current, features, labels, mask)
            better = (error < lowest) | ~mask.any(1)
            lowest = torch.where(better, error, lowest)
            best = [torch.where(better[:, None, None], new, old) for new, old in zip(parameters, best, strict=True)]
    found = [tensor.detach().cpu() for tensor in best]
    return tuple(zip(found[::2], found[1::2], strict=True))


def _loss(mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
    likelihood = 0.5 * ((y - mean).square() / variance + variance.log())
    return likelihood * variance.detach() ** BETA


def _validation(layers: Layers, features: Tensor, labels: Tensor, mask: Tensor, most: int = 2_000) -> Tensor:
    """Every member's mean loss (M) on the labels that it left out, the first `most` of all."""
    X, y, mask = features[:most], labels[:most], mask[:, :most]
    mean, variance = _forward(layers, X.expand(len(mask), -1, -1))
    loss = 0.5 * ((y - mean).square() / variance + variance.log())
    return torch.where(mask, loss, 0.0).sum(1) / mask.sum(1).clamp_min(1)


def _calibrated(networks: Networks, X: Array, y: Array, unseen: NDArray[np.bool_], most: int = 5_000) -> float:
    """The factor for standard deviations, from the labels that two members or more have not seen."""
    places = np.flatnonzero(unseen.sum(0) >= 2)[:most]
    X, y, unseen = X[places], y[places], unseen[:, places]
    count = unseen.sum(0)
    means, variances = networks.members(X)
    mean = (means * unseen).sum(0) / count
    between = ((means - mean) ** 2 * unseen).sum(0) / (count - 1)
    within = (variances * unseen).sum(0) / count
    return uncertainty_scale(np.abs(y - mean) / np.sqrt(np.maximum(between + within, SMALLEST)))
