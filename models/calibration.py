"""Is the uncertainty honest? Scores of predictions that were made before their labels came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]

#: Standard deviations are not believed below this share of the observations' spread, or of the largest error: a zero
#: would make the likelihood infinite.
SMALLEST = 1e-12


def scores(mean: ArrayLike, std: ArrayLike, observed: ArrayLike, tail: ArrayLike = np.inf) -> dict[str, float]:
    """All scores of `n` predictions: ``rmse``, ``mae`` (the output's unit), ``nll`` (nats, per label), ``coverage_50``,
    ``coverage_90`` and ``miscalibration_area`` (shares).

    Arguments have shape (n,), and say Student's distribution with scale `std` and `tail` degrees of freedom, which may
    be one number; it is normal where `tail` is infinite. Rows with another value that is not finite are left out, and
    without any row left the result is empty. Raises ValueError for arrays of different shapes.
    """
    mean, std, observed, tail = _rows(mean, std, observed, tail)
    if len(mean) == 0:
        return {}
    from scipy.stats import t  # a second to load, which who only keeps predictions need not pay

    error = observed - mean
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "nll": float(-np.mean(t.logpdf(observed, tail, mean, std))),
        "coverage_50": coverage(mean, std, observed, 0.5, tail),
        "coverage_90": coverage(mean, std, observed, 0.9, tail),
        "miscalibration_area": miscalibration_area(mean, std, observed, tail),
    }


def coverage(mean: ArrayLike, std: ArrayLike, observed: ArrayLike, level: float, tail: ArrayLike = np.inf) -> float:
    """The share of observations in the central interval of probability `level`; `level` itself when calibrated."""
    return float(observed_levels(mean, std, observed, [level], tail)[0])


def observed_levels(
    mean: ArrayLike, std: ArrayLike, observed: ArrayLike, levels: Sequence[float] | Array, tail: ArrayLike = np.inf
) -> Array:
    """The calibration curve: the share of observations within the central intervals of probabilities `levels`."""
    mean, std, observed, tail = _rows(mean, std, observed, tail)
    distance = np.abs(observed - mean) / std
    half_widths = stdtrit(tail[None, :], 0.5 + 0.5 * np.asarray(levels, dtype=np.float64)[:, None])
    return np.asarray(np.mean(distance[None, :] <= half_widths, axis=1), dtype=np.float64)


def miscalibration_area(mean: ArrayLike, std: ArrayLike, observed: ArrayLike, tail: ArrayLike = np.inf) -> float:
    """The area between the calibration curve and the diagonal, 0 (calibrated) to 1/2.

    Exact for the step function that the curve is. Tran et al., Machine Learning: Science and Technology 1, 025006
    (2020), doi:10.1088/2632-2153/ab7e1a.
    """
    mean, std, observed, tail = _rows(mean, std, observed, tail)
    # The level of the narrowest central interval that holds each observation: uniform on [0, 1] when calibrated.
    needed = np.sort(2 * stdtr(tail, np.abs(observed - mean) / std) - 1)
    edges = np.concatenate([[0.0], needed, [1.0]])
    steps = np.arange(len(needed) + 1) / max(1, len(needed))
    return float(sum(_area(lo, hi, step) for lo, hi, step in zip(edges[:-1], edges[1:], steps, strict=True)))


def _area(low: float, high: float, step: float) -> float:
    """The integral of ``|step - x|`` from `low` to `high`."""
    if step <= low or step >= high:
        return abs(step - 0.5 * (low + high)) * (high - low)
    return 0.5 * ((step - low) ** 2 + (high - step) ** 2)


def _rows(mean: ArrayLike, std: ArrayLike, observed: ArrayLike, tail: ArrayLike) -> tuple[Array, Array, Array, Array]:
    arrays = [np.asarray(values, dtype=np.float64) for values in (mean, std, observed)]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"the shapes {[array.shape for array in arrays]} differ or are not one-dimensional")
    kept = np.isfinite(arrays[0]) & np.isfinite(arrays[1]) & np.isfinite(arrays[2])
    mean_, std_, observed_ = (array[kept] for array in arrays)
    tail_ = np.broadcast_to(np.asarray(tail, dtype=np.float64), arrays[0].shape)[kept]
    spread = max(np.ptp(observed_), np.abs(observed_ - mean_).max()) if len(observed_) else 0.0
    floor = SMALLEST * float(spread) + 1e-300
    return mean_, np.maximum(std_, floor), observed_, tail_
