"""Are a twin's intervals honest? Where observations fall among its draws, in all and in each bin of the inputs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, bdtrc
from scipy.stats import kstest

from theoros.models.data import Array

#: The probabilities of the central intervals that are looked at.
LEVELS = (0.5, 0.9, 0.95)
#: Observations that each bin holds at least where the worst is looked for, and bins of an input at most.
LEAST_IN_BIN, MOST_BINS = 20, 4


def pit(draws: ArrayLike, observed: ArrayLike) -> Array:
    """The probability integral transform: the share of draws (``S x ...``) below each observation (``...``), in (0, 1).

    Uniform when the draws are of the distribution that observations come from (Dawid, J. R. Stat. Soc. A 147, 278
    (1984), doi:10.2307/2981683; Gneiting, Balabdaoui & Raftery, J. R. Stat. Soc. B 69, 243 (2007),
    doi:10.1111/j.1467-9868.2007.00587.x). An observation lies in the middle of its rank, and of its equals.
    NaN where there is no observation.
    """
    drawn, seen = np.asarray(draws, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    below = (drawn < seen).sum(0) + 0.5 * (drawn == seen).sum(0)
    return np.where(np.isfinite(seen), (below + 0.5) / (len(drawn) + 1), np.nan)


def central_coverage(pits: ArrayLike, level: float) -> float:
    """The share of observations in the central interval of probability `level`; NaN where there is none."""
    values = _known(pits)
    return float((np.abs(values - 0.5) <= 0.5 * level).mean()) if len(values) else float("nan")


def uniformity(pits: ArrayLike) -> float:
    """The p-value of the Kolmogorov-Smirnov test that the transforms are uniform; NaN where there is none."""
    values = _known(pits)
    return float(kstest(values, "uniform").pvalue) if len(values) else float("nan")


@dataclass(frozen=True)
class BinCoverage:
    """How many of the `n` observations whose input lies from `low` to `high` each central interval holds.

    `coverage` has one share for each of `levels`; `error` is the standard deviation that the share at each level has
    by chance when the intervals are honest.
    """

    low: float
    high: float
    n: int
    levels: tuple[float, ...]
    coverage: tuple[float, ...]

    @property
    def error(self) -> tuple[float, ...]:
        """``sqrt(level (1 - level) / n)``."""
        return tuple(float(np.sqrt(level * (1 - level) / max(1, self.n))) for level in self.levels)


def coverage_by_bin(
    pits: ArrayLike, inputs: ArrayLike, edges: Sequence[float] | Array, levels: Sequence[float] = LEVELS
) -> list[BinCoverage]:
    """Coverage of one output (`pits`, p) in the bins of one input (`inputs`, p) between `edges`, the last one closed.

    A twin that is right on average may be too sure in one place and too modest in another. Bins without an
    observation are left out.
    """
    values, where, ends = (np.asarray(item, dtype=np.float64) for item in (pits, inputs, edges))
    found = []
    for low, high in itertools.pairwise(ends):
        inside = (where >= low) & ((where < high) | ((where == high) & (high == ends[-1])))
        own = _known(values[inside])
        if len(own):
            shares = tuple(central_coverage(own, level) for level in levels)
            found.append(BinCoverage(float(low), float(high), len(own), tuple(levels), shares))
    return found


def equal_bins(inputs: ArrayLike, bins: int) -> Array:
    """Edges of up to `bins` bins that hold about as many of `inputs` each; fewer where values are alike."""
    values = _known(inputs)
    if not len(values):
        return np.empty(0)
    return np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)))


def worst_bin(pits: ArrayLike, inputs: ArrayLike, level: float) -> tuple[BinCoverage, float] | None:
    """The bin of any of the `inputs` (``p x d``) in which the coverage of `pits` (p) at `level` is least honest.

    Beside it how likely chance finds one like it when all intervals are honest: twice the smaller tail of the binomial
    distribution, times the number of bins (Bonferroni). Bins of an input hold about as many observations each,
    `LEAST_IN_BIN` or more; None where no input can be parted in two.
    """
    values, columns = np.asarray(pits, dtype=np.float64), np.asarray(inputs, dtype=np.float64)
    known = np.isfinite(values)
    values, columns = values[known], columns[known]
    parts = min(MOST_BINS, len(values) // LEAST_IN_BIN)
    found: list[tuple[float, BinCoverage]] = []
    for column in columns.T if parts > 1 else ():
        bins = coverage_by_bin(values, column, equal_bins(column, parts), (level,))
        bins = [one for one in bins if one.n >= LEAST_IN_BIN]
        if len(bins) > 1:
            found += [(_chance(round(one.coverage[0] * one.n), one.n, level), one) for one in bins]
    if not found:
        return None
    p, worst = min(found, key=lambda pair: pair[0])
    return worst, min(1.0, p * len(found))


def _chance(inside: int, n: int, level: float) -> float:
    """Twice the smaller tail of `inside` or fewer, or more, of `n` honest intervals."""
    return float(2 * min(bdtr(inside, n, level), bdtrc(inside - 1, n, level)))


def _known(values: ArrayLike) -> Array:
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat[np.isfinite(flat)]
