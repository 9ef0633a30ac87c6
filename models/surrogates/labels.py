"""The labels of one output, as a Gaussian process is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.data import Array, Dataset, Problem
from theoros.models.surrogates.outliers import DOUBT, Fences, fences
from theoros.models.surrogates.scatter import KnownScatter
from theoros.models.surrogates.standardise import standardisation
from theoros.models.surrogates.structure import Structure


@dataclass(frozen=True)
class Labels:
    """The labels of one output: features ``n x d``, fidelity indices and values ``n``, standardisation by fidelity.

    `errors` are the labels' own standard errors (n), in the output's unit, where the question tells of them. Values
    that lie beyond the `fences`, where there are some, stand on them, and are believed little.
    """

    features: Tensor
    fidelity: np.ndarray[Any, np.dtype[np.int64]]
    y: Array
    offset: Array
    scale: Array
    levels: tuple[str, ...]
    errors: Array | None = None
    fences: Fences | None = None
    doubted: NDArray[np.bool_] | None = None

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
        errors = standard_errors(problem, dataset, output)
        found, doubted = fences(problem, output, y, fidelity, guided(dataset)[kept]), None
        if found is not None:
            believed = found.clipped(y, fidelity)
            y, doubted = believed, believed != y
        offset, scale = standardisation(y, fidelity, len(problem.fidelities))
        return cls(
            features[torch.from_numpy(kept)],
            fidelity,
            y,
            offset,
            scale,
            problem.fidelities,
            None if errors is None else _completed(errors[kept]),
            found,
            doubted,
        )

    @property
    def standardised(self) -> Tensor:
        """Values (n) in units in which every fidelity has mean zero and variance one."""
        return torch.from_numpy((self.y - self.offset[self.fidelity]) / self.scale[self.fidelity])

    @property
    def known(self) -> Array | None:
        """Variances (n) of the labels' own errors in standardised units; None where the question tells of none."""
        if self.errors is None:
            return None
        return np.asarray(np.square(self.errors / self.scale[self.fidelity]), dtype=np.float64)

    @property
    def variance(self) -> Array | None:
        """Variances (n) that labels have beside the noise that is learned, in standardised units; None without any."""
        if self.doubted is None:
            return self.known
        doubt = np.where(self.doubted, DOUBT, 0.0)
        return np.asarray(doubt if self.known is None else self.known + doubt, dtype=np.float64)

    @property
    def message(self) -> str:
        """What a person should know of them; empty when all are believed."""
        count = 0 if self.doubted is None else int(self.doubted.sum())
        return f"{count} far beyond all other labels, and believed little" if count else ""

    def noise(self, learned: float) -> Tensor:
        """Variances (n) of the labels' noise, of which `learned` is the part that all have."""
        total = np.full(len(self.y), learned)
        return torch.from_numpy(total if self.variance is None else total + self.variance)

    def scatter(self, learned: float) -> KnownScatter | None:
        """How labels scatter at each fidelity, where their own errors are known: as the one in the middle does."""
        known = self.known
        if known is None or not len(known):
            return None
        own = [known[self.fidelity == level] for level in range(len(self.levels))]
        return KnownScatter(learned + np.array([float(np.median(part if len(part) else known)) for part in own]))

    def usual_noise(self, learned: float) -> float:
        """The variance of a label at the target fidelity."""
        scatter = self.scatter(learned)
        return learned if scatter is None else float(scatter.variances[-1])

    def inputs(self, structure: Structure) -> Tensor:
        """Features with the fidelity's column where the process has one."""
        if structure.tasks == 1:
            return self.features
        return torch.cat([self.features, torch.from_numpy(self.fidelity).double().unsqueeze(-1)], dim=1)


def standard_errors(problem: Problem, dataset: Dataset, output: str) -> Array | None:
    """The standard errors (n) of an output's labels as the question tells them, NaN where one has none.

    None where it tells nothing of this output, or names an output that no label has.
    """
    told = next((noise.std for noise in problem.noise if noise.output == output), None)
    if told is None or (isinstance(told, str) and told not in dataset.outputs):
        return None
    if not isinstance(told, str):
        return np.full(len(dataset), float(told))
    errors = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(told)]
    usable = np.where(np.isfinite(errors) & (errors >= 0), errors, np.nan)
    return usable if np.isfinite(usable).any() else None


def guided(dataset: Dataset) -> NDArray[np.bool_]:
    """Which labels (n) were chosen by a model; where nothing tells who chose them, all may have been."""
    if not dataset.origins:
        return np.ones(len(dataset), dtype=bool)
    return np.array([origin is None or origin.acquisition != "" for origin in dataset.origins], dtype=bool)


def _completed(errors: Array) -> Array | None:
    """Labels without an error of their own have the median of the others'; None where no label has one."""
    known = errors[np.isfinite(errors)]
    return np.where(np.isfinite(errors), errors, np.median(known)) if len(known) else None
