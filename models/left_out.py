"""Which labels a member of an ensemble does not see, and how its uncertainty is scaled by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from theoros.models.data import Array
from theoros.oracles.candidate import Candidate

#: The uncertainty is scaled so that this share of left-out labels lies within its central interval. In the middle
#: between the 50 % and the 90 % intervals, and deaf to the size of outliers, which a likelihood is not.
CALIBRATED_SHARE = 0.8
#: Left-out labels that a scale is read from at least, and what it may be.
LEAST_CHECKED, SCALES = 8, (0.1, 10.0)


def left_out(candidates: Sequence[Candidate], members: int, folds: int) -> NDArray[np.bool_]:
    """Which labels each member does not see, ``members x n``: one of `folds` shares; none when labels are too few.

    A candidate belongs to its share by its hash. So all its labels are left out together, and a model that goes on
    from an earlier version leaves out what that one left out: else a label would be called unseen that was seen.
    """
    if len(candidates) < 2 * folds:
        return np.zeros((members, len(candidates)), dtype=bool)
    share = np.array([int(candidate.hash[-8:], 16) % folds for candidate in candidates])
    return np.stack([share == member % folds for member in range(members)])


def uncertainty_scale(off: Array) -> float:
    """The factor for standard deviations under which left-out labels are as far off as they say.

    `off` are the distances between left-out labels and their predictions, in predicted standard deviations.
    """
    if len(off) < LEAST_CHECKED:
        return 1.0
    scale = np.quantile(off, CALIBRATED_SHARE) / ndtri(0.5 + 0.5 * CALIBRATED_SHARE)
    return float(np.clip(scale, *SCALES))
