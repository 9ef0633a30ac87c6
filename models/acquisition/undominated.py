"""Where hypervolume can still be gained: the space that a front leaves, as boxes or by places that stand for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from torch import Tensor

from theoros.models.acquisition.improvement import Utility, log_difference
from theoros.models.pareto import non_dominated
from theoros.models.rays import FEW, directions, log_orthant, reach
from theoros.models.sampling import derived_seed, unit_quasirandom

#: With more than a few objectives so many places stand for all space, those of all draws of the front together.
PLACES = 2048
#: Places on one ray from the reference, at distances of these orders beyond the front, in units of its extent.
PER_RAY, NEAREST, FARTHEST = 4, 1e-3, 10.0


class Undominated(Protocol):
    """The space that the fronts of s draws leave."""

    def log_gain(self, utilities: Sequence[Utility]) -> Tensor:
        """Log of the volume that beliefs on the m objectives, each ``b x s x 1``, are expected to gain: ``b x s``."""


@dataclass(frozen=True)
class Boxes:
    """Boxes that fill it: their corners ``s x k x m``, of which the upper ones may be infinite."""

    lower: Tensor
    upper: Tensor

    def log_gain(self, utilities: Sequence[Utility]) -> Tensor:
        """See `Undominated`."""
        gained: Tensor = torch.zeros(())
        for i, utility in enumerate(utilities):
            gained = gained + log_difference(
                utility.log_improvement(self.lower[..., i]), _above_upper(utility, self.upper[..., i])
            )
        return torch.logsumexp(gained, dim=-1)


def _above_upper(utility: Utility, upper: Tensor) -> Tensor:
    """The improvement on boxes' upper ends, of which some are infinite: nothing is better than these."""
    open_ended = upper.isinf() if utility.objective.sense != "match" else upper >= 0
    found = utility.log_improvement(torch.where(open_ended, torch.zeros_like(upper) - 1.0, upper))
    return torch.where(open_ended, torch.full_like(found, -math.inf), found)


@dataclass(frozen=True)
class Places:
    """Places in it, ``s x k x m``, and the logarithm of the volume that each stands for, ``s x k``.

    The volume gained is the integral, over all of it, of the chance that a candidate is better than a place.
    """

    at: Tensor
    log_volume: Tensor

    def log_gain(self, utilities: Sequence[Utility]) -> Tensor:
        """See `Undominated`."""
        gained = self.log_volume
        for i, utility in enumerate(utilities):
            gained = gained + utility.log_above(self.at[..., i])
        return torch.logsumexp(gained, dim=-1)


def undominated(utilities: Tensor, feasible: Tensor, reference: Tensor, seed: int) -> Undominated:
    """What the fronts of s draws leave above `reference` (m): boxes up to `FEW` objectives, else places.

    `utilities` of labels are ``n x s x m``, larger being better, and `feasible` is ``n x s``.
    """
    points = torch.where(feasible.unsqueeze(-1), utilities, reference).transpose(0, 1)
    fronts = [_front(draw[(draw > reference).all(-1)]) for draw in points]
    return _cut(fronts, reference) if len(reference) <= FEW else _spread(fronts, reference, seed)


def _front(better: Tensor) -> Tensor:
    return better[torch.from_numpy(non_dominated(better.numpy()))] if len(better) else better


def _cut(fronts: Sequence[Tensor], reference: Tensor) -> Boxes:
    """Boxes of Lacour et al. (Computers & Operations Research 79, 347 (2017)).

    Draws with fewer boxes are filled up with empty ones.
    """
    parts = [FastNondominatedPartitioning(ref_point=reference, Y=front).get_hypercell_bounds() for front in fronts]
    most = max(part.shape[1] for part in parts)
    filled = [torch.cat([part, reference.expand(2, most - part.shape[1], -1)], dim=1) for part in parts]
    return Boxes(*torch.stack(filled, dim=1))


def _spread(fronts: Sequence[Tensor], reference: Tensor, seed: int) -> Places:
    """Places beyond the front on rays from the reference (`theoros.models.rays`), other ones for every draw.

    What a candidate adds lies somewhere between close to the front and far from it, so that places are spread evenly
    over the logarithm of the distance, one in each of `PER_RAY` strata.
    """
    draws, m = len(fronts), len(reference)
    each = max(PLACES // (PER_RAY * draws), 1)
    ideal = torch.cat([*fronts, reference.unsqueeze(0)]).amax(0)
    unit = torch.where(ideal > reference, ideal - reference, torch.ones_like(reference))
    rays = directions(draws * each, m, derived_seed(seed, "rays")).reshape(draws, each, m)
    within = unit_quasirandom(draws * each, 1, derived_seed(seed, "distances")).reshape(draws, each, 1)
    beyond = NEAREST * (FARTHEST / NEAREST) ** ((np.arange(PER_RAY) + within) / PER_RAY)  # s x r x p
    scaled = [((front - reference) / unit).numpy() for front in fronts]
    left = np.stack([reach(front, own) for front, own in zip(scaled, rays, strict=True)])
    distance = left[..., None] + beyond
    at = reference + unit * torch.from_numpy(rays[:, :, None] * distance[..., None])  # s x r x p x m
    # The element of volume is that of the sphere times distance^(m - 1).
    stratum = math.log(math.log(FARTHEST / NEAREST) / PER_RAY)
    log_volume = (m - 1) * np.log(distance) + np.log(beyond) + (log_orthant(m) - math.log(each) + stratum)
    whole = torch.from_numpy(log_volume.reshape(draws, -1)) + unit.log().sum()
    return Places(at.reshape(draws, -1, m), whole)
