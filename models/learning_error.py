"""One number for how wrong a model of one output or several is."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_error(errors: Sequence[float], spreads: Sequence[float]) -> float:
    """The root mean square error of a single output, in its unit; of several (m) the root of the mean of their squares,
    each over the `spreads` (m) of its labels, so that a model that knows nothing but the means has about one.

    An output whose labels are all alike has no such unit, and counts in its own.
    """
    if len(errors) == 1:
        return float(errors[0])
    shares = [error / spread if spread > 0 else error for error, spread in zip(errors, spreads, strict=True)]
    return math.sqrt(sum(share**2 for share in shares) / len(shares))
