"""Training a generative flow network: first on molecules that exist, then by trajectory balance on a reward."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from theoros.models.generators.fragments import Vocabulary, take_apart, vocabulary_of
from theoros.models.generators.gflownet_environment import Environment, Growth
from theoros.models.generators.gflownet_policy import Policy, sample, steps_of
from theoros.models.generators.weights import trained
from theoros.models.sampling import derived_seed

#: Changes whenever the same corpus and settings would give other weights, so that those on disk are not used.
VERSION = 1

#: Logarithms of the rewards of molecules, given as SMILES: one each, in their order.
LogReward = Callable[[Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class Corpus:
    """How a policy learns to build molecules that exist: `epochs` over all, each built in another way every time."""

    fragments: int = 150
    epochs: int = 4
    batch: int = 128
    rate: float = 3e-3
    width: int = 128


@dataclass(frozen=True)
class Balance:
    """How a policy learns a reward: `steps` batches by trajectory balance.

    Of each batch `batch` molecules are grown, a part `uniform` of their actions at random, and `replayed` are the best
    met before, the k-th best with a weight of 1 / (k + 10). `rate` and `flow_rate` are Adam's, for the policy and for
    the logarithm of the flow, and fall to a tenth.
    """

    steps: int = 40
    batch: int = 64
    replayed: int = 32
    uniform: float = 0.05
    rate: float = 3e-3
    flow_rate: float = 0.1


@dataclass
class FlowNetwork:
    """A policy and the logarithm of the flow into it, which becomes that of the sum of all rewards."""

    environment: Environment
    policy: Policy
    log_flow: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.zeros(())))


def trajectory_balance(log_flow: Tensor, log_forward: Tensor, log_reward: Tensor) -> Tensor:
    """Mean squared imbalance of sequences (n,) in a tree, where the backward policy is 1 (Malkin et al., NeurIPS 2022,
    arXiv:2201.13259, equation 14). It is 0 for all sequences only where their probability is the reward over the flow.
    """
    return ((log_flow + log_forward - log_reward) ** 2).mean()


def flow_network(molecules: Sequence[str], most: int, corpus: Corpus, seed: int) -> FlowNetwork:
    """A network that builds up to `most` heavy atoms much as `molecules` are built; kept on disk.

    Raises ValueError when there is nothing to learn from.
    """
    if not molecules:
        raise ValueError("There are no molecules to learn fragments from.")
    environment = Environment(_vocabulary(tuple(molecules), corpus.fragments), most)
    torch_seed = derived_seed(seed, "policy")

    def fresh() -> Policy:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed)
            return Policy(environment, corpus.width)

    def train() -> Mapping[str, Tensor]:
        policy = fresh()
        imitate(policy, environment, molecules, corpus, seed)
        return policy.state_dict()

    key = {"gflownet": VERSION, "molecules": list(molecules), "most": most, "corpus": asdict(corpus), "seed": seed}
    policy = fresh()
    policy.load_state_dict(trained(key, train))
    return FlowNetwork(environment, policy)


def imitate(policy: Policy, environment: Environment, molecules: Sequence[str], corpus: Corpus, seed: int) -> None:
    """Maximise the likelihood of random ways to build `molecules`; those that can't be built are left out."""
    rng = np.random.default_rng(derived_seed(seed, "imitate"))
    assemblies = [take_apart(smiles) for smiles in molecules]
    optimizer = torch.optim.Adam(policy.parameters(), lr=corpus.rate)
    for epoch in range(corpus.epochs):
        built = [actions for each in assemblies if (actions := environment.actions(each, rng)) is not None]
        for group in optimizer.param_groups:
            group["lr"] = corpus.rate * (1 - epoch / corpus.epochs)
        order = rng.permutation(len(built))
        for first in range(0, len(built), corpus.batch):
            chosen = [built[i] for i in order[first : first + corpus.batch]]
            _descend(optimizer, policy, -policy.log_likelihood(steps_of(environment, chosen)).mean())


def balance(
    network: FlowNetwork,
    log_reward: LogReward,
    settings: Balance,
    seed: int,
    *,
    known: Sequence[str] = (),
    deadline: float = float("inf"),
) -> dict[str, float]:
    """Train until `settings.steps` are done or `time.monotonic()` passes `deadline`; return all rewards met.

    `known` molecules are replayed beside those met on the way.
    """
    environment, policy = network.environment, network.policy
    rng = np.random.default_rng(derived_seed(seed, "replay"))
    generator = torch.Generator().manual_seed(derived_seed(seed, "sample"))
    optimizer = torch.optim.Adam(
        [
            {"params": list(policy.parameters()), "lr": settings.rate},
            {"params": [network.log_flow], "lr": settings.flow_rate},
        ]
    )
    rates = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, settings.steps)
    met: dict[str, float] = dict(zip(known, log_reward(known), strict=True)) if known else {}
    for step in range(settings.steps):
        if time.monotonic() > deadline:
            break
        growths = sample(policy, environment, settings.batch, generator, uniform=settings.uniform)
        _meet(environment, growths, met, log_reward)
        replayed = _replay(environment, met, settings.replayed, rng)
        _meet(environment, replayed, met, log_reward)  # one with stereo marks is built without them
        growths += replayed
        targets = _targets(environment, growths, met)
        log_forward = policy.log_likelihood(steps_of(environment, [growth.actions for growth in growths]))
        if step == 0:
            # The flow with which the first batch is balanced on average, so that none of training is spent on it.
            network.log_flow.data = (targets - log_forward.detach())[: settings.batch].mean()
        _descend(optimizer, policy, trajectory_balance(network.log_flow, log_forward, targets))
        rates.step()
    return met


def _meet(environment: Environment, growths: Sequence[Growth], met: dict[str, float], log_reward: LogReward) -> None:
    """Take in the rewards of what was not met before."""
    smiles = dict.fromkeys(environment.smiles(growth) for growth in growths)
    new = [text for text in smiles if text not in met]
    if new:
        met.update(zip(new, log_reward(new), strict=True))


def _targets(environment: Environment, growths: Sequence[Growth], met: Mapping[str, float]) -> Tensor:
    """Each molecule's reward, divided among the ways to build it."""
    return torch.tensor([met[environment.smiles(growth)] - environment.log_ways(growth) for growth in growths])


def _replay(environment: Environment, met: Mapping[str, float], n: int, rng: np.random.Generator) -> list[Growth]:
    ranked = sorted(met, key=lambda smiles: -met[smiles])
    weights = 1 / (np.arange(len(ranked)) + 10)
    chosen = rng.choice(len(ranked), size=n, p=weights / weights.sum())
    built = [environment.actions(take_apart(ranked[i]), rng) for i in chosen]
    return [environment.grown(actions) for actions in built if actions is not None]


def _descend(optimizer: torch.optim.Optimizer, policy: Policy, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()


@lru_cache(maxsize=4)
def _vocabulary(molecules: tuple[str, ...], most: int) -> Vocabulary:
    return vocabulary_of(molecules, most)
