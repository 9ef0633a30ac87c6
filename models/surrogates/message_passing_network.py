"""A directed message-passing network over molecules, and its training: tensors in, learned features out."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from theoros.models.data import Array
from theoros.models.molecule_graphs import ATOM_SIZES, BOND_SIZES
from theoros.models.surrogates.graph_batch import GraphBatch

#: Training looks at the labels that a network leaves out this often, and keeps its best state.
LOOKS = 15
#: Labels left out that are looked at each time, at most.
MOST_LOOKED_AT = 500


@dataclass(frozen=True)
class Training:
    """How a network is made: `hidden` numbers a bond and a molecule, `rounds` of messages, `features` learned ones.

    `passes` over the labels in batches of `batch`, but no fewer and no more than `steps`; `rate` and `decay` are
    AdamW's (Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101).
    """

    hidden: int = 64
    rounds: int = 4
    features: int = 64
    passes: int = 60
    steps: tuple[int, int] = (300, 2_000)
    batch: int = 50
    rate: float = 2e-3
    decay: float = 1e-3
    dropout: float = 0.1

    def count(self, labels: int, share: float = 1.0) -> int:
        """Optimiser's steps for `labels` labels, or a `share` of them for a network that has learned before."""
        low, high = self.steps
        return max(LOOKS, int(share * min(max(self.passes * labels // self.batch, low), high)))


@dataclass(frozen=True, eq=False)
class Molecules:
    """What the network reads: SMILES (n) and scaled descriptors ``n x d``, which join after the messages."""

    smiles: tuple[str, ...]
    descriptors: Array

    def graphs(self, rows: Sequence[int] | None, like: Tensor) -> tuple[GraphBatch, Tensor]:
        """The graphs and descriptors of some molecules (of all by default), of the type and on the device of `like`."""
        chosen = range(len(self.smiles)) if rows is None else rows
        graphs = GraphBatch.of([self.smiles[row] for row in chosen], like.dtype)
        return graphs.to(like.device), torch.from_numpy(self.descriptors[list(chosen)]).to(like)


class DirectedMessagePassing(nn.Module):
    """Messages along directed bonds, which never turn back: Yang et al., J. Chem. Inf. Model. 59, 3370 (2019).

    doi:10.1021/acs.jcim.9b00237. ``h⁰_vw = τ(W_i [x_v, e_vw])``, ``h_vw = τ(h⁰_vw + W_m Σ_{k≠w} h_kv)``; an atom is
    ``τ(W_a [x_v, Σ h_wv])`` and a molecule the mean of its atoms, beside which descriptors tell its size. Two more
    layers make `features` numbers, of which every output is a linear function.
    """

    def __init__(self, training: Training, descriptors: int, outputs: int) -> None:
        super().__init__()
        hidden, self.rounds = training.hidden, training.rounds
        self.first = nn.Linear(sum(ATOM_SIZES) + sum(BOND_SIZES), hidden, bias=False)
        self.message = nn.Linear(hidden, hidden, bias=False)
        self.atom = nn.Linear(sum(ATOM_SIZES) + hidden, hidden)
        self.mix = nn.Linear(hidden + descriptors, 2 * hidden)
        self.features = nn.Linear(2 * hidden, training.features)
        self.head = nn.Linear(training.features, outputs)
        self.dropout = nn.Dropout(training.dropout)

    def learned(self, graphs: GraphBatch, descriptors: Tensor) -> Tensor:
        """Learned features ``n x features`` of n molecules."""
        atoms = len(graphs.atoms)
        beginning = self.first(torch.cat([graphs.atoms[graphs.source], graphs.bonds], dim=1))
        bonds = torch.relu(beginning)
        for _ in range(self.rounds - 1):
            at_atoms = bonds.new_zeros(atoms, bonds.shape[1]).index_add(0, graphs.target, bonds)
            bonds = torch.relu(beginning + self.message(at_atoms[graphs.source] - graphs.other_way(bonds)))
        at_atoms = bonds.new_zeros(atoms, bonds.shape[1]).index_add(0, graphs.target, bonds)
        at_atoms = torch.relu(self.atom(torch.cat([graphs.atoms, at_atoms], dim=1)))
        total = at_atoms.new_zeros(len(graphs.size), at_atoms.shape[1]).index_add(0, graphs.molecule, at_atoms)
        mean = total / graphs.size.clamp_min(1).unsqueeze(1)
        hidden = self.dropout(torch.relu(self.mix(torch.cat([self.dropout(mean), descriptors], dim=1))))
        return torch.tanh(self.features(hidden))

    def forward(self, graphs: GraphBatch, descriptors: Tensor) -> Tensor:
        """Standardised outputs ``n x m``."""
        return cast(Tensor, self.head(self.learned(graphs, descriptors)))


def train(
    molecules: Molecules,
    y: Array,
    unseen: NDArray[np.bool_],
    training: Training,
    *,
    seed: int,
    device: torch.device,
    start: DirectedMessagePassing | None = None,
) -> DirectedMessagePassing:
    """Train on standardised labels `y` (``n x m``, NaN where there is none) but those that are `unseen` (n).

    These tell when to stop. `start` is a network to go on from, for half as many steps, when it has the same shape.
    Raises ArithmeticError when nothing finite is found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DirectedMessagePassing(training, molecules.descriptors.shape[1], y.shape[1])
        if warm := start is not None and _shapes(start) == _shapes(network):
            network = copy.deepcopy(start).requires_grad_(True)
        network = network.float().to(device)
        known = np.flatnonzero(np.isfinite(y).any(1))
        seen, held = known[~unseen[known]], known[unseen[known]][:MOST_LOOKED_AT]
        if len(seen):
            steps = training.count(len(y), 0.5 if warm else 1.0)
            _descend(network, molecules, torch.from_numpy(y).float().to(device), seen, held, training, steps)
    network = network.cpu().eval().requires_grad_(False)
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        raise ArithmeticError("the network's weights are not finite")
    return network


def learned_features(network: DirectedMessagePassing, molecules: Molecules, chunk: int = 1_000) -> Array:
    """Learned features ``n x features``, in double precision: a molecule's do not depend on which others are asked."""
    exact = copy.deepcopy(network).double().eval()
    like = exact.head.weight
    parts = [np.zeros((0, exact.head.in_features))]
    with torch.no_grad():
        for start in range(0, len(molecules.smiles), chunk):
            rows = range(start, min(start + chunk, len(molecules.smiles)))
            parts.append(exact.learned(*molecules.graphs(rows, like)).numpy())
    return np.concatenate(parts)


def _descend(
    network: DirectedMessagePassing,
    molecules: Molecules,
    y: Tensor,
    seen: NDArray[np.int64],
    held: NDArray[np.int64],
    training: Training,
    steps: int,
) -> None:
    """Minimise the squared error on `seen` rows, and leave the network at its best on the `held` ones."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=training.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.rate, total_steps=steps, pct_start=0.2)
    like, every = network.head.weight, max(1, steps // LOOKS)
    checked = molecules.graphs(held.tolist(), like) if len(held) else None
    lowest, best = math.inf, copy.deepcopy(network.state_dict())
    queue: list[int] = []
    for step in range(1, steps + 1):
        if len(queue) < min(training.batch, len(seen)):
            queue += seen[torch.randperm(len(seen)).numpy()].tolist()
        rows, queue = queue[: training.batch], queue[training.batch :]
        network.train()
        optimiser.zero_grad()
        _error(network(*molecules.graphs(rows, like)), y[rows]).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % every and step != steps:
            continue
        network.eval()
        with torch.no_grad():
            error = float(_error(network(*checked), y[held])) if checked is not None else -float(step)
        if error < lowest:
            lowest, best = error, copy.deepcopy(network.state_dict())
    network.load_state_dict(best)


def _error(found: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over the labels that there are."""
    there = y.isfinite()
    return torch.where(there, found - y.nan_to_num(), 0.0).square().sum() / there.sum().clamp_min(1)


def _shapes(network: nn.Module) -> list[torch.Size]:
    return [parameter.shape for parameter in network.parameters()]
