"""How labels scatter about the noise-free value where that is not the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.surrogates.posterior import Posterior

#: Logarithms of variances, relative to the labels' own, are believed within these.
LEAST, MOST = -18.0, 4.0


class Scatter(Protocol):
    """The variance of a label's noise, in the process's units, by place and fidelity."""

    def variance(self, inputs: Tensor, fidelity: int | Sequence[int]) -> Array:
        """Variances (b) of labels at the process's inputs ``b x d``."""
        ...


@dataclass(frozen=True)
class KnownScatter:
    """One variance for each fidelity: as the labels' own standard errors tell."""

    variances: Array

    def variance(self, inputs: Tensor, fidelity: int | Sequence[int]) -> Array:
        """See `Scatter.variance`."""
        return np.broadcast_to(self.variances[fidelity], (len(inputs),)).astype(np.float64)


@dataclass(frozen=True)
class LearnedScatter:
    """A process of the logarithm of the variance, ``offset + scale * g(x)``, and a `rest` that is alike everywhere."""

    posterior: Posterior
    offset: float
    scale: float
    rest: float = 0.0

    def variance(self, inputs: Tensor, fidelity: int | Sequence[int] = 0) -> Array:
        """See `Scatter.variance`; the most likely values."""
        with torch.no_grad():
            means, _ = self.posterior.moments(inputs)
        return np.asarray(self.rest + np.exp(np.clip(self.offset + self.scale * means[:, 0].numpy(), LEAST, MOST)))
