"""How good a twin's draws are as forecasts: CRPS and energy score, beside what the process itself would get.

Draws are arrays ``S x p x m``: `S` answers drawn at each of `p` points, with `m` outputs. Observations are ``p x m``; a
NaN among them gives NaN for what it takes part in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from scipy.stats import norm

from theoros.models.data import Array, Point
from theoros.models.twins.contract import FittedTwin
from theoros.models.twins.scoring_calibration import LEVELS, central_coverage, pit
from theoros.models.twins.scoring_process import noise_ratio

#: Draws in all, over all members, by which a point is judged unless the caller says otherwise.
DRAWS = 256


def crps(draws: ArrayLike, observed: ArrayLike) -> Array:
    """The continuous ranked probability score of each output at each point, ``p x m``, in the outputs' units.

    ``E|X - y| - E|X - X'| / 2``, smaller is better (Gneiting & Raftery, JASA 102, 359 (2007),
    doi:10.1198/016214506000001437). The fair estimator: however few draws there are (two or more), it expects what
    infinitely many would (Ferro, Q. J. R. Meteorol. Soc. 140, 1917 (2014), doi:10.1002/qj.2270). Raises ValueError for
    shapes that don't fit.
    """
    drawn, seen = _checked(draws, observed)
    return np.asarray(np.abs(drawn - seen).mean(0) - own_crps(drawn), dtype=np.float64)


def own_crps(draws: ArrayLike) -> Array:
    """The CRPS that the process expects of itself that made `draws` (``S x ...``, two or more): ``E|X - X'| / 2``.

    Nothing can expect less of answers that scatter so. Without bias, as `crps` is; shape ``...``.
    """
    drawn = np.sort(np.asarray(draws, dtype=np.float64), axis=0)
    n = len(drawn)
    # Sorted, a value takes part in sum_ij |x_i - x_j| with a weight that only its rank decides.
    weights = (2 * np.arange(1, n + 1) - n - 1) / (n * (n - 1))
    return np.asarray(np.tensordot(weights, drawn, axes=1), dtype=np.float64)


def gaussian_crps(mean: ArrayLike, std: ArrayLike, observed: ArrayLike) -> Array:
    """The same score of a normal distribution, in closed form; `std` is positive.

    Gneiting et al., Mon. Weather Rev. 133, 1098 (2005), doi:10.1175/MWR2904.1. Of a process that answers with normal
    noise of deviation `s`, the best that is to be expected is ``s / sqrt(pi)``.
    """
    mean, std, observed = (np.asarray(values, dtype=np.float64) for values in (mean, std, observed))
    z = (observed - mean) / std
    return np.asarray(std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)), dtype=np.float64)


def energy_score(draws: ArrayLike, observed: ArrayLike, scale: ArrayLike = 1.0) -> Array:
    """``E||X - y|| - E||X - X'|| / 2`` at each point (p): the CRPS of answers as a whole, with their correlations.

    Outputs are divided by `scale` (m) before their distances are taken, so that units don't decide. Gneiting & Raftery
    2007, as above, and the fair estimator of it too.
    """
    drawn, seen = _checked(draws, observed)
    unit = np.asarray(scale, dtype=np.float64)
    drawn, seen = drawn / unit, seen / unit
    to_seen = np.linalg.norm(drawn - seen, axis=-1).mean(0)
    return np.array([to_seen[i] - 0.5 * pdist(drawn[:, i]).mean() for i in range(drawn.shape[1])], dtype=np.float64)


def ratio(scores: Array, ideal: Array) -> Array:
    """Mean scores over the mean of the process's own (both ``p x ...``), one being perfect; points without a score are
    left out.
    """
    known = np.isfinite(scores) & np.isfinite(ideal)
    mine, best = (np.where(known, values, 0.0).sum(0) for values in (scores, ideal))
    return np.asarray(np.divide(mine, best, out=np.full_like(mine, np.nan), where=best > 0), dtype=np.float64)


def pooled(samples: Array) -> Array:
    """What all members drew (``members x n x p x m``) as draws of the one mixture, ``members * n x p x m``."""
    return samples.reshape(-1, *samples.shape[2:])


@dataclass(frozen=True)
class TwinScores:
    """How a twin stood against answers (``p x m``) that it had not seen.

    `crps` and `pit` are ``p x m``, `energy_score` is (p), with the outputs divided by the observations' deviations.
    `crps_ratio` (m) and `energy_ratio` are relative to the process's own answers, and `noise_ratio` (m) is the
    deviation of draws within a member over theirs; NaN where no other answers of the process are known.
    """

    outputs: tuple[str, ...]
    crps: Array
    energy_score: Array
    pit: Array
    crps_ratio: Array
    energy_ratio: float
    noise_ratio: Array

    def figures(self) -> dict[str, dict[str, float]]:
        """For each output ``crps``, ``crps_ratio``, ``noise_ratio`` and ``coverage_50``, ``_90``, ``_95``."""
        return {
            output: {
                "crps": float(np.nanmean(self.crps[:, i])),
                "crps_ratio": float(self.crps_ratio[i]),
                "noise_ratio": float(self.noise_ratio[i]),
                **{f"coverage_{100 * level:.0f}": central_coverage(self.pit[:, i], level) for level in LEVELS},
            }
            for i, output in enumerate(self.outputs)
        }


def examine(
    twin: FittedTwin,
    points: Sequence[Point],
    observed: Array,
    *,
    replicates: Array | None = None,
    draws: int = DRAWS,
    seed: int,
) -> TwinScores:
    """Hold draws at `points` (p) against answers `observed`, ``p x m``, that were not learned from.

    `replicates`, ``R x p x m`` with R of two or more, are other answers of the process at the same points: they are
    scored as a twin would be that is the process itself. `draws` are taken in all, shared among the members.
    """
    samples = twin.sample(points, max(2, -(-draws // twin.members)), seed=seed)
    drawn, seen = _checked(pooled(samples), observed)
    spread = np.nanstd(seen, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    mine, energy = crps(drawn, seen), energy_score(drawn, seen, scale)
    m = seen.shape[1]
    relative, relative_energy, noise = np.full(m, np.nan), np.nan, np.full(m, np.nan)
    if replicates is not None:
        relative = ratio(mine, crps(replicates, seen))
        relative_energy = float(ratio(energy, energy_score(replicates, seen, scale)))
        noise = noise_ratio(samples, np.std(np.asarray(replicates, dtype=np.float64), axis=0, ddof=1))
    return TwinScores(twin.outputs, mine, energy, pit(drawn, seen), relative, relative_energy, noise)


def _checked(draws: ArrayLike, observed: ArrayLike) -> tuple[Array, Array]:
    drawn, seen = np.asarray(draws, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if drawn.ndim != 3 or drawn.shape[1:] != seen.shape:
        raise ValueError(f"draws have the shape {drawn.shape} and observations {seen.shape}: S x p x m and p x m fit")
    if len(drawn) < 2:
        raise ValueError("one draw tells nothing of a distribution; draw two or more")
    return drawn, seen
