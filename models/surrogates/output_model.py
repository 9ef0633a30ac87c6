"""What a Gaussian process believes of one output, and in which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.embedding import Places
from theoros.models.surrogates.ard_moments import Moments
from theoros.models.surrogates.fitting import State
from theoros.models.surrogates.outcome import IDENTITY, FittedWarp
from theoros.models.surrogates.outliers import Fences
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.scatter import Scatter
from theoros.models.surrogates.structure import Structure


@dataclass(frozen=True)
class OutputModel:
    """What is believed of one output, in standardised units: ``value = offset[f] + scale[f] * f(x)`` at fidelity f.

    `offset` and `scale` hold one number for each fidelity; `noise` is the standardised variance of a label. An output
    with a `warp` is believed in its units, and ``value = offset[f] + scale[f] * warp.inverse(f(x))``; only objectives
    have one. Where labels do not scatter alike everywhere, `scatter` says how, and `noise` is what is usual. What lies
    beyond the `fences`, where there are some, counts as lying on them. Where features of several encodings lie side by
    side, `columns` are those that this process reads.
    """

    structure: Structure
    posterior: Posterior
    offset: Array
    scale: Array
    noise: float
    state: State = field(repr=False)
    hyperparameters: Mapping[str, Any] = field(repr=False)
    warp: FittedWarp = IDENTITY
    places: Places | None = None
    scatter: Scatter | None = None
    fences: Fences | None = None
    columns: slice | None = None

    def inputs(self, features: Tensor, fidelity: int | Sequence[int]) -> Tensor:
        """Features ``n x d`` as the process sees them: categories in their `places`, and with the fidelity's column
        where it has one; differentiable in the features.
        """
        if self.columns is not None:
            features = features[:, self.columns]
        if self.places is not None:
            features = self.places.expand(features)
        if self.structure.tasks == 1:
            return features
        column = torch.as_tensor(fidelity, dtype=features.dtype, device=features.device).reshape(-1, 1)
        return torch.cat([features, column.expand(len(features), 1)], dim=1)

    @property
    def written_out(self) -> Moments | None:
        """The moments over the features themselves as arrays with their gradient, where that is possible."""
        plain = self.places is None and self.columns is None and self.structure.tasks == 1
        return self.posterior.written_out if plain else None

    def label_variance(self, inputs: Tensor, fidelity: int | Sequence[int]) -> Array:
        """Standardised variances (b) of labels' noise at the process's inputs ``b x d``."""
        return np.full(len(inputs), self.noise) if self.scatter is None else self.scatter.variance(inputs, fidelity)

    def conditioned(self, features: Tensor, fidelity: Sequence[int], values: Tensor) -> OutputModel:
        """Also know the noise-free standardised `values` (``p x s``)."""
        return replace(self, posterior=self.posterior.conditioned(self.inputs(features, fidelity), values))

    def standardised(self, values: Array, fidelity: int | Sequence[int]) -> Array:
        """Values of the output (b) in the process's own units."""
        if self.fences is not None:
            values = self.fences.clipped(values, fidelity)
        return self.warp.forward((values - self.offset[fidelity]) / self.scale[fidelity])

    def natural(self, values: Array, fidelity: int | Sequence[int]) -> Array:
        """The inverse of `standardised`, for values ``... x b``."""
        return np.asarray(self.offset[fidelity] + self.scale[fidelity] * self.warp.inverse(values), dtype=np.float64)

    def spread(self, means: Array, deviations: Array, fidelity: int | Sequence[int]) -> Array:
        """Half the width of the central 68 % of normal beliefs (b), in the output's unit."""
        if not self.warp.sign:
            return np.asarray(self.scale[fidelity] * deviations, dtype=np.float64)
        low, high = (self.natural(means + side * deviations, fidelity) for side in (-1, 1))
        return np.asarray((high - low) / 2, dtype=np.float64)
