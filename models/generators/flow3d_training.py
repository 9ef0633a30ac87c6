"""Training of three-dimensional flow matching: structures in, weights out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from theoros.models.generators.flow3d_matching import loss
from theoros.models.generators.flow3d_molecules import Structure
from theoros.models.generators.flow3d_network import EndpointNetwork, State
from theoros.models.sampling import derived_seed


@dataclass(frozen=True)
class TrainingSettings:
    """`steps` of AdamW with batches of `batch` molecules of one size, at a `rate` that falls to zero (one cycle).

    A share `known` of the molecules is seen with types and bonds given, from which conformers are learned. Weights are
    averaged over steps with the factor `average`.
    """

    steps: int = 2_000
    batch: int = 32
    rate: float = 3e-3
    known: float = 0.25
    average: float = 0.99


def train(
    network: EndpointNetwork,
    molecules: Sequence[Structure],
    kinds: int,
    scale: float,
    settings: TrainingSettings,
    seed: int,
) -> list[float]:
    """Train the network in place, with averaged weights at the end; the loss of every step.

    There are `kinds` types of atoms, and `scale` is the unit of length in angstrom.
    """
    device = next(network.parameters()).device
    generator = torch.Generator(device=device).manual_seed(derived_seed(seed, "noise"))
    rng = np.random.default_rng(derived_seed(seed, "batches"))
    groups = by_size(molecules, kinds, scale, device)
    shares = np.array([len(group.time) for group in groups], dtype=float)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=settings.steps)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.average))  # type: ignore[no-untyped-call]
    losses = []
    for _ in range(settings.steps):
        group = groups[rng.choice(len(groups), p=shares / shares.sum())]
        rows = torch.from_numpy(rng.integers(len(group.time), size=settings.batch)).to(device)
        known = torch.from_numpy(rng.random(settings.batch) < settings.known).to(device)
        error = loss(network, State(*(part[rows] for part in group)), known, generator)
        optimiser.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        losses.append(float(error.detach()))
    network.load_state_dict(averaged.module.state_dict())
    return losses


def by_size(molecules: Sequence[Structure], kinds: int, scale: float, device: torch.device) -> list[State]:
    """Molecules as states at time 1, one state for each size, so that no tensor holds atoms that are none."""
    sizes = sorted({len(molecule.types) for molecule in molecules})
    return [
        stacked([molecule for molecule in molecules if len(molecule.types) == n], kinds, scale, device) for n in sizes
    ]


def stacked(molecules: Sequence[Structure], kinds: int, scale: float, device: torch.device) -> State:
    """Molecules of one size as a state at time 1, their bonds known."""
    positions = torch.from_numpy(np.stack([molecule.positions for molecule in molecules]) / scale)
    types = torch.from_numpy(np.stack([molecule.types for molecule in molecules]))
    bonds = torch.from_numpy(np.stack([molecule.orders for molecule in molecules])) + 1
    one: Tensor = torch.ones(len(molecules), device=device)
    return State(
        positions.to(device, torch.float32),
        functional.one_hot(types, kinds).to(device, torch.float32),
        bonds.to(device),
        one,
        one,
    )
