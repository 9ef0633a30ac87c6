"""One number for how desirable several outputs are together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from theoros.models.objective import Objective

#: Numbers, NumPy arrays or tensors.
Values = TypeVar("Values", bound=Any)

#: What a shortfall counts beside desirability: enough to tell candidates apart of which none is desirable at all.
SLOPE = 1e-3


@dataclass(frozen=True)
class Desirable:
    """How desirable an output is: 0 at `low`, 1 at `high`, linear between, and the same beyond them.

    `high` may be less than `low`: then small values are desirable. With a `target` between them it is 1 there and 0 at
    both. All are in the output's unit; `weight` is positive.

    Raises ValueError for values that leave no room between them.
    """

    output: str
    low: float
    high: float
    target: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.low == self.high:
            raise ValueError(f"{self.output!r} is as desirable at low as at high: both are {self.low:g}.")
        if self.target is not None and not min(self.low, self.high) < self.target < max(self.low, self.high):
            raise ValueError(
                f"the target {self.target:g} of {self.output!r} does not lie between {self.low:g} and {self.high:g}."
            )
        if not (self.weight > 0 and np.isfinite(self.weight)):
            raise ValueError(f"the weight {self.weight:g} of {self.output!r} is not positive.")

    @property
    def objective(self) -> Objective:
        """The same wish without its limits."""
        if self.target is not None:
            return Objective(self.output, "match", self.target)
        return Objective(self.output, "maximize" if self.high > self.low else "minimize")

    def ramps(self, values: Values) -> tuple[Values, ...]:
        """Lines of which the least one, cut at 0 and 1, is the desirability of `values`."""
        if self.target is None:
            return ((values - self.low) / (self.high - self.low),)
        return ((values - self.low) / (self.target - self.low), (values - self.high) / (self.target - self.high))

    def of(self, values: Any) -> NDArray[np.float64]:
        """The desirability of values (n) of the output: 0 to 1."""
        return cast(NDArray[np.float64], np.clip(np.minimum.reduce(self.ramps(np.asarray(values, dtype=float))), 0, 1))

    def standardised(self, offset: float, scale: float) -> Desirable:
        """The same wish in units ``(value - offset) / scale``; `scale` is positive."""
        low, high = (self.low - offset) / scale, (self.high - offset) / scale
        target = None if self.target is None else (self.target - offset) / scale
        return Desirable(self.output, low, high, target, self.weight)


@dataclass(frozen=True)
class Desirability:
    """The weighted geometric mean of the desirabilities of several outputs: 0 where one is of no use, 1 where none can
    be better.

    Harrington, Industrial Quality Control 21, 494 (1965); with linear desirabilities and weights, Derringer & Suich,
    J. Quality Technology 12, 214 (1980), doi:10.1080/00224065.1980.11980968, and Derringer, Quality Progress 27(6), 51
    (1994).
    """

    wishes: tuple[Desirable, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, which sum up to one."""
        total = sum(wish.weight for wish in self.wishes)
        return tuple(wish.weight / total for wish in self.wishes)

    def of(self, values: Mapping[str, Any]) -> NDArray[np.float64]:
        """The desirability (any shape) of outputs that have that shape each; NaN where one is."""
        parts = [wish.of(values[wish.output]) ** share for wish, share in zip(self.wishes, self.shares, strict=True)]
        return cast(NDArray[np.float64], np.multiply.reduce(parts))

    def graded(self, values: Mapping[str, Any]) -> NDArray[np.float64]:
        """`of`, less a little where outputs fall short, so that what is of no use is told apart by how near it is."""
        short = [
            share * np.minimum(np.minimum.reduce(wish.ramps(np.asarray(values[wish.output], dtype=float))), 0.0)
            for wish, share in zip(self.wishes, self.shares, strict=True)
        ]
        return cast(NDArray[np.float64], self.of(values) + SLOPE * np.add.reduce(short))
