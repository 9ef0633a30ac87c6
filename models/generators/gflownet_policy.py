"""The network that chooses the next action of a growing molecule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from theoros.models.generators.gflownet_environment import Environment, Growth

#: Numbers that tell a state's size: heavy atoms left and open atoms, by the most heavy atoms; hydrogens at hand, by 4.
_EXTENT = 3


@dataclass(frozen=True)
class Steps:
    """States and the actions taken in them, ``n x t``, shorter sequences filled up with `LEAVE` at the end.

    `previous` are the actions before; `places` where growth was; `extents` ``n x t x 3``; `masks` ``n x t x actions``.
    """

    previous: Tensor
    places: Tensor
    extents: Tensor
    masks: Tensor
    taken: Tensor


class Policy(nn.Module):
    """A gated recurrent network over the actions so far, told which atom is at hand and how much room is left.

    Takes and gives float32. Actions that a mask forbids have probability 0.
    """

    def __init__(self, environment: Environment, width: int = 128) -> None:
        super().__init__()
        self.actions = nn.Embedding(environment.n_actions, width)
        self.places = nn.Embedding(environment.n_places, width)
        self.extent = nn.Linear(_EXTENT, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.out = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, environment.n_actions))

    def forward(self, steps: Steps, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logarithms of the actions' probabilities, ``n x t x actions``, and the memory after the last step."""
        here = self.places(steps.places) + self.extent(steps.extents)
        known, memory = self.memory(self.actions(steps.previous) + here, memory)
        logits = self.out(torch.cat([known, here], dim=-1))
        return torch.log_softmax(logits.masked_fill(~steps.masks, -torch.inf), dim=-1), memory

    def log_likelihood(self, steps: Steps) -> Tensor:
        """The logarithm of the probability of each sequence of actions (n,)."""
        log_probabilities: Tensor = self(steps)[0]
        return log_probabilities.gather(-1, steps.taken[..., None]).squeeze(-1).sum(-1)


def steps_of(environment: Environment, sequences: Sequence[Sequence[int]]) -> Steps:
    """The states that sequences of permitted actions pass through."""
    growths = [Growth() for _ in sequences]
    found, previous = [], [0] * len(growths)
    for t in range(max(len(sequence) for sequence in sequences)):
        now = [sequence[t] if t < len(sequence) else 0 for sequence in sequences]
        found.append(_step(environment, growths, previous, now))
        for growth, sequence in zip(growths, sequences, strict=True):
            if t < len(sequence):
                environment.extend(growth, sequence[t])
        previous = now
    fields = ("previous", "places", "extents", "masks", "taken")
    return Steps(*(torch.cat([getattr(step, name) for step in found], dim=1) for name in fields))


@torch.no_grad()
def sample(
    policy: Policy, environment: Environment, n: int, generator: torch.Generator, *, uniform: float = 0.0
) -> list[Growth]:
    """Grow `n` molecules; with probability `uniform` an action is any that is permitted rather than the policy's."""
    growths = [Growth() for _ in range(n)]
    previous, memory = [0] * n, None
    while not all(growth.complete for growth in growths):
        step = _step(environment, growths, previous, previous)
        log_probabilities, memory = policy(step, memory)
        weights, permitted = log_probabilities[:, 0].exp(), step.masks[:, 0].float()
        strays = torch.rand(n, generator=generator) < uniform
        weights = torch.where(strays[:, None], permitted, weights)
        previous = torch.multinomial(weights, 1, generator=generator)[:, 0].tolist()
        for growth, action in zip(growths, previous, strict=True):
            if not growth.complete:
                environment.extend(growth, action)
    return growths


def _step(environment: Environment, growths: Sequence[Growth], previous: list[int], taken: list[int]) -> Steps:
    most = environment.most
    extents = [((most - g.size) / most, len(g.open) / most, g.open[-1][2] / 4 if g.open else 0.0) for g in growths]
    return Steps(
        torch.tensor(previous)[:, None],
        torch.tensor([environment.place(growth) for growth in growths])[:, None],
        torch.tensor(extents, dtype=torch.float32)[:, None],
        torch.from_numpy(np.ascontiguousarray(environment.masks(growths)))[:, None],
        torch.tensor(taken)[:, None],
    )
