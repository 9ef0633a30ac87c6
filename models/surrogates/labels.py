"""The labels of one output, as a Gaussian process is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theoros.models.contract import Array, Dataset, Problem
from theoros.models.surrogates.standardise import standardisation
from theoros.models.surrogates.structure import Structure


@dataclass(frozen=True)
class Labels:
    """The labels of one output: features ``n x d``, fidelity indices and values ``n``, standardisation by fidelity."""

    features: Tensor
    fidelity: np.ndarray[Any, np.dtype[np.int64]]
    y: Array
    offset: Array
    scale: Array
    levels: tuple[str, ...]

    @classmethod
    def of(
        cls,
        problem: Problem,
        dataset: Dataset,
        output: str,
        features: Tensor,
        fidelity: np.ndarray[Any, np.dtype[np.int64]],
    ) -> Labels:
        """The rows of `dataset` that have `output`; `features` and `fidelity` are those of all rows."""
        values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
        kept = np.isfinite(values)
        y, fidelity = values[kept], fidelity[kept]
        offset, scale = standardisation(y, fidelity, len(problem.fidelities))
        return cls(features[torch.from_numpy(kept)], fidelity, y, offset, scale, problem.fidelities)

    @property
    def standardised(self) -> Tensor:
        """Values (n) in units in which every fidelity has mean zero and variance one."""
        return torch.from_numpy((self.y - self.offset[self.fidelity]) / self.scale[self.fidelity])

    def inputs(self, structure: Structure) -> Tensor:
        """Features with the fidelity's column where the process has one."""
        if structure.tasks == 1:
            return self.features
        return torch.cat([self.features, torch.from_numpy(self.fidelity).double().unsqueeze(-1)], dim=1)
