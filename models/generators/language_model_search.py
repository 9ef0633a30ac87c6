"""Reinforcement learning of a language model: a copy of the prior is drawn towards molecules of high value."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.generators.corpus import randomised
from theoros.models.generators.language_model import LanguageModel, batch_of, sampled, texts
from theoros.models.generators.language_model_training import descend
from theoros.models.sampling import derived_seed


class Judged(NamedTuple):
    """A molecule that counts: its canonical SMILES and its value, larger is better."""

    smiles: str
    value: float


#: Tells of each text which molecule it is, None for one that does not count (no molecule, or none that is wanted).
Judge = Callable[[Sequence[str]], list[Judged | None]]


@dataclass(frozen=True)
class Reinforcement:
    """How far and how fast the copy leaves the prior.

    In each of `steps` a `batch` is drawn and judged, and the log-likelihood of each text is drawn towards the prior's
    plus `sigma` (nats) times its reward in [0, 1] (Olivecrona et al., J. Cheminform. 9, 48 (2017),
    doi:10.1186/s13321-017-0235-x). The best `memory` molecules are shown again `rewritings` times a step, each time
    written in another way (Augmented Memory: Guo & Schwaller, JACS Au 4, 2160 (2024), doi:10.1021/jacsau.4c00066).
    The known best are remembered from the start. When the share of a batch that are distinct molecules that count falls
    below `collapse` times the prior's, the copy and its memory are given up for a new copy of the prior.
    """

    steps: int = 40
    batch: int = 64
    sigma: float = 30.0
    rate: float = 1e-3
    memory: int = 50
    rewritings: int = 2
    collapse: float = 0.25


class Step(NamedTuple):
    """One batch: the share of it that are distinct molecules that count, and whether the copy was given up for it."""

    unique: float
    collapsed: bool


def search(
    prior: LanguageModel,
    known: Sequence[str],
    judge: Judge,
    settings: Reinforcement,
    *,
    seed: int,
    deadline: float = float("inf"),
) -> list[Step]:
    """Look for molecules of high value, beginning with a copy of `prior` that is shown the `known` best; tell of steps.

    What is found is what `judge` was asked. The first batch is the prior's own. No step begins after `deadline`
    (`time.monotonic`); if it is not met, all depends on `seed` alone (on a GPU: up to its own rounding).
    """
    generator = torch.Generator(prior.device).manual_seed(derived_seed(seed, "draws"))
    prior = copy.deepcopy(prior).eval()
    agent, memory = _Agent(prior, settings), _Memory(settings.memory)
    memory.add(judge(known))
    history: list[Step] = []
    for number in range(settings.steps):
        if time.monotonic() > deadline:
            break
        sequences = sampled(agent.model, settings.batch, generator)
        judged = judge(texts(agent.model, sequences))
        memory.add(judged)
        unique = len({found.smiles for found in judged if found is not None}) / settings.batch
        collapsed = bool(history) and unique < settings.collapse * history[0].unique
        history.append(Step(unique, collapsed))
        if collapsed:
            agent = _Agent(prior, settings)
            memory.forget()
            continue
        rewards = memory.rewards()
        agent.learn(sequences, [rewards[found.smiles] if found else 0.0 for found in judged])
        agent.replay(memory.best, rewards, derived_seed(seed, number))
    return history


def ranked_rewards(values: Array) -> Array:
    """Rewards (n) in [0, 1] from values (n) in any unit: 1 for the best, falling with the logarithm of the rank to 0.

    Only the order counts; equals are rewarded alike.
    """
    ranks = np.searchsorted(np.sort(-values), -values, side="left")
    return np.asarray(1.0 - np.log1p(ranks) / np.log(max(len(values), 2)), dtype=np.float64)


class _Memory:
    """The values of all molecules met, and which of them are the best since it was last told to forget."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.met: dict[str, float] = {}
        self.best: list[str] = []

    def add(self, judged: Sequence[Judged | None]) -> None:
        """Take in what counts."""
        fresh = {found.smiles: found.value for found in judged if found is not None}
        self.met.update(fresh)
        self.best = sorted({*self.best, *fresh}, key=lambda smiles: (-self.met[smiles], smiles))[: self.size]

    def rewards(self) -> dict[str, float]:
        """The reward of every molecule met, by rank among all of them."""
        return dict(zip(self.met, ranked_rewards(np.array(list(self.met.values()))).tolist(), strict=True))

    def forget(self) -> None:
        """Remember no molecule as one of the best; values are kept, so that ranks stay what they were."""
        self.best = []


class _Agent:
    """A copy of the prior that learns."""

    def __init__(self, prior: LanguageModel, settings: Reinforcement) -> None:
        self.prior, self.settings = prior, settings
        # In training mode because recurrent units on a GPU have no gradient in the other; without the dropout.
        self.model = copy.deepcopy(prior).train()
        self.model.units.dropout = 0.0
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=settings.rate)

    def learn(self, sequences: Tensor, rewards: Sequence[float]) -> None:
        """One step towards the prior's log-likelihoods of `sequences` (``n x t``) plus sigma times `rewards` (n)."""
        with torch.no_grad():
            wanted = self.prior.log_likelihoods(sequences)
        wanted = wanted + self.settings.sigma * torch.tensor(rewards, dtype=wanted.dtype, device=wanted.device)
        descend(self.model, self.optimiser, (wanted - self.model.log_likelihoods(sequences)).square().mean())

    def replay(self, molecules: Sequence[str], rewards: Mapping[str, float], seed: int) -> None:
        """Learn the remembered `molecules` again, in new writings."""
        for step in range(self.settings.rewritings):
            sequences, kept = self._written(molecules, derived_seed(seed, step))
            if kept:
                self.learn(sequences, [rewards[smiles] for smiles in kept])

    def _written(self, molecules: Sequence[str], seed: int) -> tuple[Tensor, list[str]]:
        """One random writing of each molecule, and the molecules; those with unknown tokens are left out."""
        rows: list[list[int]] = []
        kept: list[str] = []
        for place, smiles in enumerate(molecules):
            row = self.model.vocabulary.encode(randomised(smiles, 1, derived_seed(seed, place))[0])
            if row is not None:
                rows.append(row)
                kept.append(smiles)
        return batch_of(rows, self.model.device), kept
