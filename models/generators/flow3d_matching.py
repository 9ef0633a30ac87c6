"""Conditional flow matching of molecules: from noise to data along straight lines, learned and followed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from theoros.models.generators.flow3d_network import UNKNOWN, Endpoint, State, centred

#: Rounds in which noise is permuted and turned towards the data.
ALIGNMENTS = 3
#: An endpoint's error at time t counts ``1 / (1 - t)²``, as the velocity's does, but no more than this.
MOST_WEIGHT = 10.0

Predict = Callable[[State], Endpoint]


def noise(batch: int, n: int, kinds: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Standard normal positions ``b x n x 3`` about their mean, and types ``b x n x k``."""
    device = generator.device
    positions = torch.randn(batch, n, 3, generator=generator, device=device)
    return centred(positions), torch.randn(batch, n, kinds, generator=generator, device=device)


def aligned(start: Tensor, end: Tensor, permute: Tensor) -> Tensor:
    """Noise positions `start` turned (or mirrored) towards `end`, both ``b x n x 3``; where `permute` (b, bool) the
    atoms change places as well.

    Short straight paths are easier to learn: equivariant optimal transport (Klein et al., arXiv:2306.15030; Song et
    al., arXiv:2312.07168). Assignments (`linear_sum_assignment`) and orthogonal Procrustes alternate. Noise stays
    noise, since its density knows neither axes nor, as long as nothing else tells the atoms apart, their order.
    """
    plain = torch.arange(start.shape[1], device=start.device)
    for _ in range(ALIGNMENTS):
        cost = torch.cdist(end, start).square().cpu().numpy()
        best = torch.from_numpy(np.stack([linear_sum_assignment(one)[1] for one in cost])).to(start.device)
        order = torch.where(permute[:, None], best, plain)
        start = torch.gather(start, 1, order[..., None].expand_as(start))
        left, _, right = torch.linalg.svd(start.transpose(1, 2) @ end)
        start = start @ (left @ right)
    return start


def between(start: tuple[Tensor, Tensor], end: State, time: Tensor, type_time: Tensor) -> State:
    """The state at a time (b) of coordinates and of types (b) on straight lines from noise to the data of `end`."""
    t, s = time[:, None, None], type_time[:, None, None]
    positions, types = start
    return State((1 - t) * positions + t * end.positions, (1 - s) * types + s * end.types, end.bonds, time, type_time)


def velocity(predict: Predict, state: State) -> tuple[Tensor, Tensor]:
    """Rates of change of positions and types at a time below 1.

    On straight lines the marginal velocity is ``(E[x₁ | x_t] - x_t) / (1 - t)`` (Lipman et al., arXiv:2210.02747), so
    the endpoint's expectation is what has to be learned (Eijkelboom et al., arXiv:2406.04843). Types that are known,
    at time 1, stay.
    """
    endpoint = predict(state)
    positions = (endpoint.positions - state.positions) / (1 - state.time)[:, None, None]
    left = (1 - state.type_time)[:, None, None]
    types = (endpoint.types.softmax(-1) - state.types) / left.clamp(min=1e-9)
    return positions, torch.where(left > 0, types, torch.zeros_like(types))


def loss(predict: Predict, end: State, known: Tensor, generator: torch.Generator) -> Tensor:
    """The mean error of endpoints from a random time: squared distance of positions, cross-entropy of types.

    Where `known` (b, bool) types and bonds are given and coordinates alone are learned; elsewhere bonds are hidden.
    """
    batch, n, kinds = end.types.shape
    start, types = noise(batch, n, kinds, generator)
    time = torch.rand(batch, generator=generator, device=generator.device)
    shown = end._replace(bonds=torch.where(known[:, None, None], end.bonds, UNKNOWN))
    state = between((aligned(start, end.positions, ~known), types), shown, time, torch.where(known, 1.0, time))
    endpoint = predict(state)
    off = (endpoint.positions - end.positions).square().sum(-1).mean(-1)
    weight = (1 - time).square().clamp(min=1 / MOST_WEIGHT).reciprocal()
    surprise = functional.cross_entropy(endpoint.types.transpose(1, 2), end.types.argmax(-1), reduction="none")
    return (weight * off + torch.where(known, 0.0, surprise.mean(-1))).mean()


@torch.no_grad()
def followed(predict: Predict, state: State, steps: int) -> State:
    """Follow the velocity from the state's time to 1 by `steps` Euler steps of one length for each molecule."""
    length = (1 - state.time) / steps
    type_length = (1 - state.type_time) / steps
    for _ in range(steps):
        positions, types = velocity(predict, state)
        state = State(
            state.positions + length[:, None, None] * positions,
            state.types + type_length[:, None, None] * types,
            state.bonds,
            state.time + length,
            state.type_time + type_length,
        )
    return state
