"""Can generated events be told from the process's own? Tests of whole events, conditions and outcomes together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist
from scipy.stats import norm

from theoros.models.data import Array

#: Events of each kind that a maximum mean discrepancy compares at most: it costs their square.
MOST_EVENTS = 1_000


class TwoSample(NamedTuple):
    """A statistic, and how likely one as large is when both samples are of one distribution."""

    statistic: float
    p_value: float


def maximum_mean_discrepancy(
    first: ArrayLike, second: ArrayLike, rng: np.random.Generator, *, permutations: int = 200
) -> TwoSample:
    """The squared distance between the kernel means of two samples, ``n x d`` and ``k x d``, without bias.

    A Gaussian kernel over outputs in units of their deviations, with the median distance as its width; the p-value is
    by permuting who is whose (Gretton et al., JMLR 13, 723 (2012)). Of more than `MOST_EVENTS` events of a kind that
    many are drawn. Raises ValueError as `classifier_two_sample` does.
    """
    X, Y = in_common_units(first, second)
    X, Y = (sample[rng.permutation(len(sample))[:MOST_EVENTS]] for sample in (X, Y))
    both = np.concatenate([X, Y])
    kernel = gaussian_kernel(both)
    members = np.zeros((len(both), permutations + 1))
    members[: len(X), 0] = 1.0
    for column in range(1, permutations + 1):
        members[rng.permutation(len(both))[: len(X)], column] = 1.0
    found = _squared_discrepancies(kernel, members)
    return TwoSample(float(found[0]), float((1 + (found[1:] >= found[0]).sum()) / (permutations + 1)))


def _squared_discrepancies(kernel: Array, members: Array) -> Array:
    """Unbiased squared discrepancies for each column of `members` (1 for the first sample, 0 for the second)."""
    np.fill_diagonal(kernel, 0.0)
    others = 1.0 - members
    n, k = members.sum(0), others.sum(0)
    to_first = kernel @ members
    within_first = (members * to_first).sum(0)
    between = (others * to_first).sum(0)
    within_second = kernel.sum() - within_first - 2 * between
    return np.asarray(within_first / (n * (n - 1)) + within_second / (k * (k - 1)) - 2 * between / (n * k))


def classifier_two_sample(first: ArrayLike, second: ArrayLike, *, seed: int, folds: int = 5) -> TwoSample:
    """How often a classifier that has not seen an event says rightly which sample it is of: 1/2 when it can't tell.

    Lopez-Paz & Oquab, ICLR 2017, arXiv:1610.06545, with gradient-boosted trees and cross-validation; samples are
    ``n x d`` and ``k x d``, and of the larger one as many are used as the smaller has. The p-value takes answers to be
    independent. Raises ValueError for samples of different width, or of fewer than ten events.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    X, Y = in_common_units(first, second)
    rng, n = np.random.default_rng(seed), min(len(X), len(Y))
    X, Y = (sample[rng.permutation(len(sample))[:n]] for sample in (X, Y))
    kinds = np.repeat([0, 1], n)
    model = HistGradientBoostingClassifier(max_iter=200, early_stopping=True, random_state=seed)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    said = cross_val_predict(model, np.concatenate([X, Y]), kinds, cv=split)
    right = float((said == kinds).mean())
    return TwoSample(right, float(norm.sf((right - 0.5) * 2 * np.sqrt(2 * n))))


def in_common_units(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    """Both samples in units of their joint deviation; raises ValueError as `classifier_two_sample` does."""
    X, Y = (np.asarray(sample, dtype=np.float64) for sample in (first, second))
    if X.ndim != 2 or Y.ndim != 2 or X.shape[1] != Y.shape[1] or min(len(X), len(Y)) < 10:
        raise ValueError(f"samples of shapes {X.shape} and {Y.shape} can't be compared: n x d and k x d, ten or more")
    spread = np.concatenate([X, Y]).std(0)
    unit = np.where(spread > 0, spread, 1.0)
    return X / unit, Y / unit


def gaussian_kernel(events: Array) -> Array:
    """A Gaussian kernel ``n x n`` between events ``n x d``, with their median squared distance as its width."""
    squares = cdist(events, events, "sqeuclidean")
    median = float(np.median(squares[np.triu_indices(len(events), 1)]))
    return np.asarray(np.exp(-squares / (median if median > 0 else 1.0)), dtype=np.float64)
