"""What is told of a label before it comes."""

from __future__ import annotations

import math
from typing import NamedTuple


class Forecast(NamedTuple):
    """A belief about one label, in the output's unit: Student's t around `mean` with the scale `std` and `tail` degrees
    of freedom. With an infinite `tail`, as every surrogate tells it itself, that is the normal distribution.
    """

    mean: float
    std: float
    tail: float = math.inf

    def interval(self, level: float) -> tuple[float, float]:
        """The bounds between which the label lies with probability `level`, as much of it below as above the mean."""
        from scipy.stats import t

        half = float(t.ppf(0.5 + level / 2, self.tail)) * self.std
        return self.mean - half, self.mean + half
