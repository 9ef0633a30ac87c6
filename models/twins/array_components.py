"""Outputs that are arrays as a few numbers each, and back: principal components that are learned beside scalars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array, Dataset, Structure
from theoros.models.feasibility import SUCCEEDS

#: Components are enough when they hold this share of the labels' variance; and so many there are at most.
ENOUGH, MOST = 0.999, 16
#: Labels whose rests are kept, to be drawn.
RESTS = 64


@dataclass(frozen=True, eq=False)
class Components:
    """Arrays of one shape: ``mean + scores @ axes + rest``, where cells are in one row and in the output's unit.

    `mean` has c cells, `axes` are ``k x c`` (the first principal components) and `rests` ``r x c``: what components
    leave out of labels, one of which a draw takes by lot, whether it is noise from cell to cell or too fine a detail.
    Cells are not divided by their own deviations: they share a unit, and those that hardly change should not count.
    `spread` is the root of the variance of all cells together, `kept` the components' share of that variance, and
    `labels` of these arrays were learned.
    """

    shape: tuple[int, ...]
    mean: Array
    axes: Array
    rests: Array
    spread: float
    kept: float
    labels: int

    @classmethod
    def of(cls, arrays: Array) -> Components:
        """Of the arrays of labels, ``n x *shape`` with n of one or more, all of them finite.

        As many components as hold `ENOUGH` of the variance, but no more than `MOST`, none that noise alone would make
        (Gavish & Donoho, IEEE Trans. Inf. Theory 60, 5040 (2014), arXiv:1305.5870), and fewer than half as many as
        labels: the others show what components leave out.
        """
        n, shape = len(arrays), arrays.shape[1:]
        cells = np.asarray(arrays, dtype=np.float64).reshape(n, -1)
        mean = cells.mean(0)
        centred = cells - mean
        variance = float((centred**2).sum() / max(1, n - 1))
        if variance <= 1e-20 * float((mean**2).sum()):
            variance = 0.0  # what rounding leaves of arrays that are all alike
        most = min(MOST, (n - 1) // 2, cells.shape[1])
        axes = np.zeros((0, cells.shape[1]))
        if most and variance > 0:
            from sklearn.decomposition import PCA

            found = PCA(svd_solver="full").fit(cells)
            enough = int(np.searchsorted(np.cumsum(found.explained_variance_ratio_), ENOUGH)) + 1
            axes = np.asarray(found.components_[: min(enough, most, _told(found.singular_values_, cells.shape))])
        rests = centred - centred @ axes.T @ axes
        kept = 1.0 - float((rests**2).sum() / max(1, n - 1)) / variance if variance > 0 else 1.0
        # The axes were fitted to the same labels, which took a share of what they leave out.
        rests *= np.sqrt((n - 1) / (n - 1 - len(axes))) if n > 1 else 1.0
        some = np.unique(np.linspace(0, n - 1, min(n, RESTS)).round().astype(int))
        return cls(shape, mean, axes, rests[some], np.sqrt(variance) if variance > 0 else 1.0, kept, n)

    @property
    def count(self) -> int:
        """How many components there are."""
        return len(self.axes)

    def scores(self, arrays: Array) -> Array:
        """``n x *shape`` to ``n x k``, in the output's unit."""
        cells = np.asarray(arrays, dtype=np.float64).reshape(len(arrays), -1)
        return np.asarray((cells - self.mean) @ self.axes.T, dtype=np.float64)

    def arrays(self, scores: Array, lots: NDArray[np.int64]) -> Array:
        """Whole arrays ``... x *shape`` with scores ``... x k``, whose rests are those of the `lots`, ``...``."""
        cells = self.mean + scores @ self.axes + self.rests[lots]
        return np.asarray(cells.reshape(*scores.shape[:-1], *self.shape), dtype=np.float64)

    def record(self) -> dict[str, Any]:
        """JSON data for a person."""
        return {"shape": list(self.shape), "count": self.count, "kept": self.kept, "labels": self.labels}


@dataclass(frozen=True, eq=False)
class LearnedArrays:
    """The `components` of each array and the labels' `scores` of all of them side by side, ``n x k``.

    Scores are NaN for a label whose array can't be learned; `message` says how many there are, and why.
    """

    components: Mapping[str, Components]
    scores: Array
    message: str = ""

    @classmethod
    def of(cls, names: Sequence[str], dataset: Dataset) -> LearnedArrays:
        """Of the arrays `names`, read here. One that no label has is left out."""
        components, columns, told = dict[str, Components](), [np.empty((len(dataset), 0))], []
        for name in names:
            read = _Read.of(dataset.structures.get(name, ()), _answered(dataset))
            scores = np.empty((len(dataset), 0))
            if read.arrays:
                whole = np.stack(list(read.arrays.values()))
                components[name] = Components.of(whole)
                scores = np.full((len(dataset), components[name].count), np.nan)
                scores[list(read.arrays)] = components[name].scores(whole)
            columns.append(scores)
            told += [f"{name}: {text}" for text in read.told(int(_answered(dataset).sum()))]
        return cls(components, np.concatenate(columns, axis=1), "; ".join(told))


@dataclass(frozen=True)
class _Read:
    """Arrays of one shape by the row of their label, and how many labels lack one for which reason."""

    arrays: Mapping[int, Array]
    lacking: int = 0
    unread: int = 0
    infinite: int = 0
    others: Sequence[tuple[int, ...]] = field(default=())

    @classmethod
    def of(cls, structures: Sequence[Structure | None], answered: NDArray[np.bool_]) -> _Read:
        """Those of the shape that most have. Of labels that were not `answered` nothing is missed."""
        found, unread = dict[int, Array](), 0
        for row, structure in enumerate(structures):
            if structure is None:
                continue
            try:
                found[row] = np.asarray(structure.read(), dtype=np.float64)
            except Exception:  # the store's own, which this room does not know: a lost artifact is a missing outcome
                unread += 1
        lacking = int(answered.sum()) - sum(bool(answered[row]) for row in found) - unread
        whole = {row: array for row, array in found.items() if array.size and np.isfinite(array).all()}
        if not whole:
            return cls({}, lacking, unread, len(found))
        (shape, _), *_ = Counter(array.shape for array in whole.values()).most_common(1)
        others = [array.shape for array in whole.values() if array.shape != shape]
        kept = {row: array for row, array in whole.items() if array.shape == shape}
        return cls(kept, lacking, unread, len(found) - len(whole), others)

    def told(self, labels: int) -> list[str]:
        """What a person should know, of so many labels."""
        found = []
        if self.others and self.arrays:
            shape, other = next(iter(self.arrays.values())).shape, self.others[0]
            found.append(
                f"{len(self.others)} of {labels} labels have the shape {_size(other)}, most {_size(shape)}: a "
                "twin learns arrays of one shape, and these are left out"
            )
        for count, why in ((self.lacking, "no array"), (self.unread, "an array that can't be read")):
            if count > 0:
                found.append(f"{count} of {labels} labels have {why}")
        if self.infinite:
            found.append(f"{self.infinite} of {labels} labels have an array that is empty or not finite, left out")
        return found


def _answered(dataset: Dataset) -> NDArray[np.bool_]:
    """Rows that are labels, and no failures: they have an output (n)."""
    columns = [k for k, output in enumerate(dataset.outputs) if output != SUCCEEDS]
    return np.asarray(np.isfinite(np.asarray(dataset.values, dtype=np.float64)[:, columns]).any(1))


def _told(singular: Array, shape: tuple[int, int]) -> int:
    """How many of all `singular` values of a matrix are larger than those of noise: the threshold of Gavish & Donoho
    for noise of unknown size, eq. 4 and 5. One at least.
    """
    beta = min(shape) / max(shape)
    threshold = (0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43) * float(np.median(singular))
    return max(1, int((singular > threshold).sum()))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"
