"""The critic of made frames: it sees the films of a frame with their surroundings, and says which frames are exact.

Hinge losses (Lim & Ye, arXiv:1705.02894) and spectral normalisation of every layer (Miyato et al., arXiv:1802.05957),
one verdict for each half-film: what a PatchGAN (Isola et al., arXiv:1611.07004) does on a raster.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from theoros.models.twins.foam_frames import Made
from theoros.models.twins.foam_generator import GEOMETRY, gathered, geometry
from theoros.models.twins.foam_graph import FoamGraph, FoamState, Shape, graph_of, shape_of
from theoros.oracles.physics.foam import Foam

#: Beside the geometry the critic sees what is out of equilibrium, in these units: force, and gas not enclosed.
FORCE, GAS = 0.02, 0.01


class Critic(nn.Module):
    """A verdict on each half-film of a frame, H: large where it looks exact."""

    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Linear(GEOMETRY + 3, hidden))
        self.second = spectral_norm(nn.Linear(5 * hidden, hidden))
        self.out = spectral_norm(nn.Linear(hidden, 1))

    def forward(self, graph: FoamGraph, state: FoamState, shape: Shape) -> Tensor:
        """The verdicts."""
        force = shape.force[graph.tail] / FORCE
        across = force[:, 0] * -shape.tangent[:, 1] + force[:, 1] * shape.tangent[:, 0]
        wrong = ((state.areas - shape.enclosed) / GAS)[graph.left]
        seen = torch.stack([(force * shape.tangent).sum(1), across, wrong], dim=1)
        hidden = torch.relu(self.first(torch.cat([geometry(graph, state, shape), torch.tanh(seen)], dim=1)))
        hidden = torch.relu(self.second(gathered(graph, hidden)))
        verdict: Tensor = self.out(hidden)
        return verdict[:, 0]


def critic_loss(critic: Critic, exact: Sequence[Foam], made: Made) -> Tensor:
    """What the critic is to make small: verdicts below 1 on exact frames, and above -1 on made ones."""
    graph, state = graph_of(exact)
    real = critic(graph, state, shape_of(graph, state))
    last = made.rounds[-1]
    still = FoamState(last.state.vertices.detach(), last.state.pressures.detach(), last.state.areas)
    fake = critic(last.graph, still, shape_of(last.graph, still))
    return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()


def generator_loss(critic: Critic, made: Made) -> Tensor:
    """What the generator is to make small: the critic's bad opinion of its frames."""
    last = made.rounds[-1]
    verdict: Tensor = critic(last.graph, last.state, last.shape)
    return -verdict.mean()
