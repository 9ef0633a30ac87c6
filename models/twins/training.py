"""How members of a twin are trained: side by side, each on its own labels, and kept at their best on the others."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from theoros.oracles.candidate import Candidate

#: Training looks at the labels that a member leaves out this often.
LOOKS = 20
#: Labels by which a member is judged at most.
MOST = 500
#: Labels before which none is left out.
LEAST = 16


@dataclass(frozen=True)
class Training:
    """How a twin is trained: `members`, each blind to one label in `folds`.

    `passes` over the labels in batches of `batch`, but no fewer and no more than `steps`, first for means and then for
    shapes. `rates` of the two, and `decay`, are AdamW's (Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101); a rate
    rises and falls in one cycle with a cosine's end.
    """

    members: int = 8
    folds: int = 5
    passes: int = 200
    steps: tuple[int, int] = (400, 4_000)
    batch: int = 128
    rates: tuple[float, float] = (3e-3, 1e-2)
    decay: float = 1e-2

    def count(self, labels: int) -> int:
        """Optimiser's steps for `labels` labels."""
        low, high = self.steps
        return max(LOOKS, min(max(self.passes * labels // self.batch, low), high))


@dataclass(frozen=True, eq=False)
class Table:
    """What networks are trained on: scaled conditions ``n x d``, standardised outcomes ``n x m`` (NaN where a label
    lacks one), and which labels each member is blind to, ``M x n``.
    """

    conditions: Tensor
    outcomes: Tensor
    blind: Tensor

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.blind)

    def everywhere(self) -> Tensor:
        """The conditions of all labels for every member, ``M x n x d``."""
        return self.conditions.expand(self.members, -1, -1)

    def batches(self, size: int, generator: torch.Generator) -> Callable[[], tuple[Tensor, Tensor]]:
        """A function that draws conditions ``M x b x d`` and outcomes ``M x b x m`` from what each member may see."""
        seen = [torch.nonzero(~row.cpu())[:, 0] for row in self.blind]

        def draw() -> tuple[Tensor, Tensor]:
            rows = torch.stack([own[torch.randint(len(own), (size,), generator=generator)] for own in seen])
            rows = rows.to(self.conditions.device)
            return self.conditions[rows], self.outcomes[rows]

        return draw

    def held_out(self) -> HeldOut:
        """What each member is blind to, the first `MOST` labels of it."""
        most = min(MOST, int(self.blind.sum(1).max()))
        order = self.blind.int().argsort(dim=1, descending=True, stable=True)[:, :most]
        return HeldOut(self.conditions[order], self.outcomes[order], self.blind.gather(1, order))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Conditions ``M x k x d`` and outcomes ``M x k x m`` by which members are judged, where `there` (``M x k``)."""

    conditions: Tensor
    outcomes: Tensor
    there: Tensor

    def mean(self, scores: Tensor) -> Tensor:
        """Every member's mean (M) of `scores` ``M x k``; NaN for a member that is blind to nothing."""
        return torch.where(self.there, scores, 0.0).sum(1) / self.there.sum(1)


def blind_to(candidates: Sequence[Candidate], members: int, folds: int) -> NDArray[np.bool_]:
    """Which labels each member does not see, ``members x n``: one candidate in `folds`, another one in each member.

    By the candidate's hash, so that all its labels are left out together, in every version. No label is left out of
    very few.
    """
    if len(candidates) < LEAST:
        return np.zeros((members, len(candidates)), dtype=bool)
    blind = [
        [zlib.crc32(f"{member}:{candidate.hash}".encode()) % folds == 0 for candidate in candidates]
        for member in range(members)
    ]
    mask = np.array(blind, dtype=bool)
    mask[mask.all(1)] = False  # a member must see something
    return mask


def descend(
    module: nn.Module,
    loss: Callable[[], Tensor],
    score: Callable[[], Tensor],
    steps: int,
    rate: float,
    decay: float,
) -> None:
    """Minimise the members' `loss` (M) and leave each member of `module` as it was at its lowest `score` (M).

    The beginning counts as a state too. A member whose score is NaN keeps its last state, having no labels to be
    judged by. Every parameter of `module` has the members as its first axis. Raises ArithmeticError when nothing
    finite is found.
    """
    parameters = list(module.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    best, lowest = _looked(parameters, None, torch.tensor(math.inf), score)
    every = max(1, steps // LOOKS)
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        loss().sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 10.0 * len(parameters[0]))
        optimiser.step()
        schedule.step()
        if step % every == 0 or step == steps:
            best, lowest = _looked(parameters, best, lowest, score)
    for parameter, value in zip(parameters, best, strict=True):
        parameter.data = value
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise ArithmeticError("the networks' weights are not finite")


def _looked(
    parameters: Sequence[nn.Parameter], best: list[Tensor] | None, lowest: Tensor, score: Callable[[], Tensor]
) -> tuple[list[Tensor], Tensor]:
    """The best state and the lowest score of each member, after a look at the present state."""
    present = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        now = score()
    if best is None:
        return present, torch.where(now.isnan(), math.inf, now)
    better = (now < lowest) | now.isnan()
    chosen = [
        torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, old) for new, old in zip(present, best, strict=True)
    ]
    return chosen, torch.where(now < lowest, now, lowest)
