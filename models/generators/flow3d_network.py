"""An E(3)-equivariant network over molecules in space, of e3nn's tensor products: where every atom will end up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

#: The radial basis reaches so far, in units of the coordinates' root mean square; what is farther looks alike.
CUTOFF = 6.0
#: What is said of a pair's bond: nothing, or its order from 0 to 3.
BOND_KINDS = 5
UNKNOWN = 0
#: Sines and cosines by which a time is read.
TIME_WAVES = 8


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes: `scalars` numbers and `vectors` of each degree from 1 to `degree` an atom, `layers` of messages.

    `hidden` and `radial` are the width and the radial functions of the networks that weigh messages.
    """

    scalars: int = 48
    vectors: int = 16
    degree: int = 1
    layers: int = 3
    hidden: int = 48
    radial: int = 16


class State(NamedTuple):
    """Molecules of one size, each at a time of its own between noise (0) and data (1).

    `positions` ``b x n x 3`` in units of the coordinates' root mean square, `types` ``b x n x k`` (one-hot at time 1),
    `bonds` ``b x n x n``: 1 + order where the bonds are known, `UNKNOWN` where not. `time` (b) is the coordinates',
    `type_time` (b) the types'.
    """

    positions: Tensor
    types: Tensor
    bonds: Tensor
    time: Tensor
    type_time: Tensor


class Endpoint(NamedTuple):
    """What is expected at time 1: `positions` ``b x n x 3`` about their mean, `types` ``b x n x k`` as logits."""

    positions: Tensor
    types: Tensor


class Pairs(NamedTuple):
    """Every ordered pair of atoms, grouped by receiver: places of `receiver` and `sender`, both ``n (n - 1)``."""

    receiver: Tensor
    sender: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> Pairs:
        """The pairs of `n` atoms."""
        different = ~torch.eye(n, dtype=torch.bool, device=device)
        receiver, sender = different.nonzero(as_tuple=True)
        return cls(receiver, sender)


def require_e3nn() -> None:
    """Raise ValueError, with what to install, where e3nn is missing."""
    try:
        import e3nn  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "Three-dimensional flow matching needs the module 'e3nn', which is not installed. "
            "Install it with: pip install 'theoros[flow]'"
        ) from error


class EndpointNetwork(nn.Module):
    """Messages by tensor products with spherical harmonics, as in NequIP: Batzner et al., Nat. Commun. 13, 2453 (2022).

    doi:10.1038/s41467-022-29939-5; e3nn: Geiger & Smidt, arXiv:2207.09453. Every pair of atoms exchanges messages, and
    a message is weighed by distance, bond and both atoms' scalars. All irreducible representations have the parity
    of their degree, so the endpoint turns, and is mirrored, with what comes in. Distances alone enter: where
    the molecule lies does not matter.
    """

    def __init__(self, settings: NetworkSettings, kinds: int) -> None:
        super().__init__()
        require_e3nn()
        from e3nn import o3

        self.harmonics = o3.Irreps.spherical_harmonics(settings.degree)
        self.features = o3.Irreps(
            [
                (settings.vectors if degree else settings.scalars, (degree, (-1) ** degree))
                for _, (degree, _) in self.harmonics
            ]
        )
        self.settings = settings
        self.first = nn.Linear(kinds + 4 * TIME_WAVES, settings.scalars)
        self.layers = nn.ModuleList(_Layer(self.features, self.harmonics, settings) for _ in range(settings.layers))
        self.kinds = nn.Sequential(
            nn.Linear(settings.scalars, settings.hidden), nn.SiLU(), nn.Linear(settings.hidden, kinds)
        )
        self.shift = o3.Linear(self.features, o3.Irreps("1x1o"))

    def forward(self, state: State) -> Endpoint:
        """The expected endpoint of every molecule."""
        from e3nn import o3

        batch, n, _ = state.positions.shape
        pairs = Pairs.of(n, state.positions.device)
        apart = state.positions[:, pairs.sender] - state.positions[:, pairs.receiver]
        harmonics = o3.spherical_harmonics(self.harmonics, apart, normalize=True, normalization="component")
        edges = self._edges(apart.norm(dim=-1), state.bonds[:, pairs.receiver, pairs.sender])
        times = torch.cat([_waves(state.time), _waves(state.type_time)], dim=-1)
        scalars = self.first(torch.cat([state.types, times[:, None].expand(-1, n, -1)], dim=-1))
        features = torch.cat([scalars, scalars.new_zeros(batch, n, self.features.dim - scalars.shape[-1])], dim=-1)
        for layer in self.layers:
            features = features + layer(features, harmonics, edges, pairs)
        positions = state.positions + self.shift(features)
        return Endpoint(centred(positions), self.kinds(features[..., : self.settings.scalars]))

    def _edges(self, distance: Tensor, bonds: Tensor) -> Tensor:
        from e3nn.math import soft_one_hot_linspace

        radial = soft_one_hot_linspace(
            distance.clamp(max=CUTOFF), 0.0, CUTOFF, self.settings.radial, basis="gaussian", cutoff=False
        )
        return torch.cat([radial, nn.functional.one_hot(bonds, BOND_KINDS).to(radial)], dim=-1)


class _Layer(nn.Module):
    """One round of messages, and what an atom makes of their sum."""

    def __init__(self, features: Any, harmonics: Any, settings: NetworkSettings) -> None:
        super().__init__()
        from e3nn import o3
        from e3nn.nn import Gate

        self.scalars = settings.scalars
        self.product = _depthwise(features, harmonics)
        self.sent, self.received = (nn.Linear(settings.scalars, settings.hidden, bias=False) for _ in range(2))
        self.pair = nn.Linear(settings.radial + BOND_KINDS, settings.hidden)
        self.weights = nn.Sequential(
            nn.SiLU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, self.product.weight_numel),
        )
        vectors = o3.Irreps([part for part in features if part.ir.l > 0])
        gates = o3.Irreps([(vectors.num_irreps, (0, 1))])
        scalars = o3.Irreps([(settings.scalars, (0, 1))])
        self.gate = Gate(scalars, [nn.functional.silu], gates, [torch.sigmoid], vectors)
        self.own = o3.Linear(features, self.gate.irreps_in)
        self.heard = o3.Linear(self.product.irreps_out, self.gate.irreps_in)
        self.out = o3.Linear(self.gate.irreps_out, features)

    def forward(self, features: Tensor, harmonics: Tensor, edges: Tensor, pairs: Pairs) -> Tensor:
        """What is added to the atoms' features ``b x n x f``."""
        batch, n, _ = features.shape
        scalars = features[..., : self.scalars]
        hidden = self.pair(edges) + self.sent(scalars)[:, pairs.sender] + self.received(scalars)[:, pairs.receiver]
        messages = self.product(features[:, pairs.sender], harmonics, self.weights(hidden))
        heard = messages.reshape(batch, n, n - 1, messages.shape[-1]).sum(2) / math.sqrt(max(n - 1, 1))
        return self.out(self.gate(self.own(features) + self.heard(heard)))  # type: ignore[no-any-return]


def _depthwise(features: Any, harmonics: Any) -> Any:
    """The tensor product in which every feature meets every harmonic on its own, with a weight for each pair."""
    from e3nn import o3

    out: list[Any] = []
    instructions: list[Any] = []
    for i, (count, left) in enumerate(features):
        for j, (_, right) in enumerate(harmonics):
            for irrep in left * right:
                if irrep in features:
                    instructions.append((i, j, len(out), "uvu", True))
                    out.append((count, irrep))
    return o3.TensorProduct(
        features, harmonics, o3.Irreps(out), instructions, shared_weights=False, internal_weights=False
    )


def centred(positions: Tensor) -> Tensor:
    """Positions ``b x n x 3`` about every molecule's mean."""
    return positions - positions.mean(dim=1, keepdim=True)


def _waves(time: Tensor) -> Tensor:
    """A time (b) as sines and cosines ``b x 2 TIME_WAVES``."""
    angles = time[:, None] * math.pi * torch.arange(1, TIME_WAVES + 1, device=time.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
