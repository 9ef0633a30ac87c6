"""How wide predictions have to be told, by the labels that came after them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from theoros.models.forecast import Forecast

Array = NDArray[np.float64]

#: The central intervals that are held to hold what they say.
LEVELS = (0.5, 0.9)
#: Their half-widths before any check, in units of those that the model itself would tell.
FIRST = (1.1, 1.5)
#: How far the logarithms of the half-widths go after the first check, and after how many a step is 1/sqrt(2) of that.
STEPS, SLOWER = (0.3, 0.6), 20
#: The heaviest tail and the lightest that are told apart from a normal one, in degrees of freedom.
HEAVIEST, LIGHTEST = 1.0, 100.0


class Shape(NamedTuple):
    """How an output's predictions are told: the model's standard deviation times `factor` as the scale of Student's t
    with `tail` degrees of freedom, infinitely many where it is normal.
    """

    factor: float
    tail: float


class Widths(NamedTuple):
    """What `checks` labels have taught: half-widths of the intervals of `LEVELS` in the model's standard deviations."""

    checks: int
    half: float
    ninety: float


@dataclass(frozen=True)
class Widening:
    """The shape of each output's told predictions, learned from predictions that were made before their labels.

    A surrogate at the most likely setting of its hyperparameters does not know that it might be another: with few
    labels its intervals are too narrow, and its errors have heavier tails than a normal distribution. So the
    half-widths of the 50 % and the 90 % interval are learned apart: after every check a half-width grows where the
    label was outside and shrinks where it was inside, in such proportion that it rests where the level says. However
    the errors are distributed, the share inside then tends to the level (Gibbs & Candès, arXiv:2106.00263; for
    quantiles Angelopoulos, Candès & Tibshirani, arXiv:2307.16895; with ever smaller steps Angelopoulos, Barber & Bates,
    arXiv:2402.01139). What is told is the Student distribution that has both intervals, where there is one. Only what
    is told of predictions is widened; what an acquisition weighs is not.
    """

    widths: Mapping[str, Widths] = field(default_factory=dict)

    def shape(self, output: str) -> Shape:
        """How predictions of `output` are told."""
        return _shape(self.widths.get(output, _UNTAUGHT))

    def told(self, output: str, mean: float, std: float) -> Forecast:
        """What is told of a label of which the model itself says `mean` and `std`."""
        factor, tail = self.shape(output)
        return Forecast(mean, std * factor, tail)

    def checked(self, predictions: Iterable[tuple[str, float, float, float]]) -> Widening:
        """Also know predictions that were told with this widening: (output, mean, scale, observed)."""
        errors: dict[str, list[float]] = {}
        for output, mean, std, observed in predictions:
            if std > 0:
                errors.setdefault(output, []).append((observed - mean) / std * self.shape(output).factor)
        known = self
        for output, own in sorted(errors.items()):
            known = known.learned(output, own)
        return known

    def learned(self, output: str, errors: Sequence[float]) -> Widening:
        """Also know `errors`, in their order, each in units of the standard deviation that the model had given."""
        own = self.widths.get(output, _UNTAUGHT)
        for error in errors:
            own = _after(own, abs(error))
        return Widening({**self.widths, output: own}) if len(errors) else self

    def record(self) -> dict[str, dict[str, float | None]]:
        """JSON data for the database, by output."""
        found: dict[str, dict[str, float | None]] = {}
        for output, own in self.widths.items():
            factor, tail = _shape(own)
            found[output] = {"factor": factor, "tail": tail if math.isfinite(tail) else None, **own._asdict()}
        return found

    @classmethod
    def recorded(cls, record: Mapping[str, Mapping[str, Any]] | None) -> Widening:
        """What a `record` says; nothing is known without one, or from one that has no half-widths."""
        return cls(
            {
                output: Widths(int(own["checks"]), float(own["half"]), float(own["ninety"]))
                for output, own in (record or {}).items()
                if "half" in own
            }
        )


def _quantiles(tail: float) -> tuple[float, float]:
    half, ninety = (float(stdtrit(tail, 0.5 + level / 2)) for level in LEVELS)
    return half, ninety


@cache
def _ratios() -> tuple[Array, Array]:
    """Degrees of freedom that become fewer, and the half-widths' ratio of each, which grows."""
    tails = np.geomspace(LIGHTEST, HEAVIEST, 400)
    half, ninety = np.asarray(stdtrit(tails, 0.5 + np.array(LEVELS)[:, None] / 2), dtype=np.float64)
    return tails, np.asarray(ninety / half)


_UNTAUGHT = Widths(0, *(first * width for first, width in zip(FIRST, _quantiles(math.inf), strict=True)))


@lru_cache(maxsize=256)  # it is asked for every prediction, and changes with labels only
def _shape(widths: Widths) -> Shape:
    """The Student distribution with these intervals; between them, where none has both."""
    ratio = widths.ninety / widths.half
    tails, ratios = _ratios()
    tail = float(np.exp(np.interp(ratio, ratios, np.log(tails)))) if ratio > ratios[0] else math.inf
    half, ninety = _quantiles(tail)
    return Shape(math.sqrt(widths.half * widths.ninety / (half * ninety)), tail)


def _after(widths: Widths, distance: float) -> Widths:
    """The half-widths after a label so many of the model's standard deviations off."""
    factor, tail = _shape(widths)
    outside = np.array([distance > factor * quantile for quantile in _quantiles(tail)])
    moves = np.array(STEPS) / math.sqrt(1 + widths.checks / SLOWER) * (outside - (1 - np.array(LEVELS)))
    half, ninety = (float(width * math.exp(move)) for width, move in zip(widths[1:], moves, strict=True))
    return Widths(widths.checks + 1, half, ninety)
