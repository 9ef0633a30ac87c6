"""One parameter of a design space: a real or whole number, or one of several choices."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import canonical_value
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.errors import SpaceError

Scalar = str | int | float | bool

#: Relative to a parameter's range: a value this far outside is rounding, and is clipped.
BOUND_TOLERANCE = 1e-9


def _checked_bounds(low: Any, high: Any, log: bool) -> None:
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise SpaceError((), f"{name} is {value!r}, which is not a finite number. Give two numbers, low and high.")
    if not low < high:
        raise SpaceError((), f"low {low} is not below high {high}. Exchange them, or leave a constant out.")
    if log and low <= 0:
        raise SpaceError((), f"low {low} has no logarithm. Give a positive low, or leave out log.")


@dataclass(frozen=True)
class Real:
    """A real number in [low, high], in `unit`.

    `log` spaces it by its logarithm, for models and for sampling alike. With `step` only low, low + step, ... can be
    set, as on a dial, and any value is rounded to the nearest of them. Raises SpaceError for impossible bounds.
    """

    low: float
    high: float
    log: bool = False
    unit: str = ""
    step: float | None = None

    def __post_init__(self) -> None:
        _checked_bounds(self.low, self.high, self.log)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if self.step is None:
            return
        if self.log:
            raise SpaceError((), "step and log exclude each other. Leave one out.")
        if not 0 < self.step <= self.high - self.low:
            raise SpaceError((), f"step {self.step} does not fit between {self.low} and {self.high}.")
        object.__setattr__(self, "step", float(self.step))

    @property
    def cardinality(self) -> int | None:
        """How many values there are; None for a continuum."""
        return None if self.step is None else int((self.high - self.low) / self.step * (1 + 1e-12)) + 1

    def values(self) -> NDArray[np.float64]:
        """All settings of a stepped parameter: shape (cardinality,)."""
        return cast(NDArray[np.float64], self.low + (self.step or 0.0) * np.arange(self.cardinality or 0))

    def coerce(self, value: Any) -> float:
        """`value` as a float within the bounds; raises ValueError saying what is allowed."""
        number = _number(value, self.allowed)
        slack = BOUND_TOLERANCE * (self.high - self.low)
        if not self.low - slack <= number <= self.high + slack:
            raise ValueError(f"{number:g} is outside {self.allowed}")
        if self.step is not None:
            number = self.low + self.step * min(round((number - self.low) / self.step), (self.cardinality or 1) - 1)
        return min(max(number, self.low), self.high)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        unit = f" {self.unit}" if self.unit else ""
        return f"[{self.low:g}, {self.high:g}]{unit}" + (f" in steps of {self.step:g}" if self.step else "")

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """`n` uniform draws (uniform in the logarithm with `log`): shape (n,)."""
        if self.step is not None:
            return cast(NDArray[np.float64], rng.choice(self.values(), n))
        if self.log:
            drawn = np.exp(rng.uniform(math.log(self.low), math.log(self.high), n))
            return np.clip(drawn, self.low, self.high)
        return rng.uniform(self.low, self.high, n)

    def to_dict(self) -> dict[str, Any]:
        """As in a campaign file: ``{real: [low, high], ...}``."""
        return _declared("real", [self.low, self.high], log=self.log, unit=self.unit, step=self.step)


@dataclass(frozen=True)
class Integer:
    """A whole number in low..high, both included, in `unit`; `log` spaces it by its logarithm."""

    low: int
    high: int
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        _checked_bounds(self.low, self.high, self.log)
        if self.low != int(self.low) or self.high != int(self.high):
            raise SpaceError((), f"the bounds {self.low} and {self.high} are not whole. Use real for fractions.")
        object.__setattr__(self, "low", int(self.low))
        object.__setattr__(self, "high", int(self.high))

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def values(self) -> NDArray[np.int64]:
        """All values: shape (cardinality,)."""
        return np.arange(self.low, self.high + 1)

    def coerce(self, value: Any) -> int:
        """`value` as an int within the bounds; raises ValueError saying what is allowed."""
        number = _number(value, self.allowed)
        if abs(number - round(number)) > 1e-6:
            raise ValueError(f"{number:g} is not a whole number in {self.allowed}")
        if not self.low <= round(number) <= self.high:
            raise ValueError(f"{number:g} is outside {self.allowed}")
        return round(number)

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        return f"{self.low}..{self.high}" + (f" {self.unit}" if self.unit else "")

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`n` uniform draws (each value's share of the logarithmic axis with `log`): shape (n,)."""
        if not self.log:
            return rng.integers(self.low, self.high, n, endpoint=True)
        drawn = np.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5), n))
        return np.clip(np.rint(drawn), self.low, self.high).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """As in a campaign file: ``{integer: [low, high], ...}``."""
        return _declared("integer", [self.low, self.high], log=self.log, unit=self.unit)


@dataclass(frozen=True, init=False)
class Categorical:
    """One of several `choices` without an order.

    What is known of the choices tells models which of them are alike: the molecules that they stand for (`smiles`, by
    choice), or numbers that describe them (`descriptors`, a list of the same length for every choice). Raises
    SpaceError for fewer than two choices, repeated ones, and for what is told of some choices only.
    """

    choices: tuple[Scalar, ...]
    unit: str = ""
    smiles: tuple[str, ...] | None = None
    descriptors: tuple[tuple[float, ...], ...] | None = None

    def __init__(
        self,
        *choices: Scalar,
        unit: str = "",
        smiles: Mapping[Any, str] | None = None,
        descriptors: Mapping[Any, Sequence[float]] | None = None,
    ) -> None:
        if len(choices) < 2:
            raise SpaceError((), f"{list(choices)} leaves no choice. Give at least two values.")
        for i, choice in enumerate(choices):
            if not isinstance(choice, str | int | float | bool) or (
                isinstance(choice, float) and not math.isfinite(choice)
            ):
                raise SpaceError((i,), f"{choice!r} can't be a choice. Give text, finite numbers or true and false.")
            if choice in choices[:i]:
                raise SpaceError((i,), f"{choice!r} occurs twice. Give every choice once.")
        object.__setattr__(self, "choices", tuple(canonical_value(choice) for choice in choices))
        object.__setattr__(self, "unit", unit)
        if smiles is not None and descriptors is not None:
            raise SpaceError(("descriptors",), "smiles and descriptors exclude each other. Leave one out.")
        object.__setattr__(self, "smiles", _told(self.choices, smiles, "smiles", _canonical_smiles))
        object.__setattr__(self, "descriptors", _told(self.choices, descriptors, "descriptors", _numbers))
        if self.descriptors is not None and len({len(row) for row in self.descriptors}) > 1:
            raise SpaceError(("descriptors",), "the choices have different numbers of descriptors. Give all the same.")

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return len(self.choices)

    def values(self) -> NDArray[Any]:
        """All choices as an object array: shape (cardinality,)."""
        array = np.empty(len(self.choices), dtype=object)
        array[:] = self.choices
        return array

    def coerce(self, value: Any) -> Scalar:
        """The declared choice that equals `value`; raises ValueError naming the choices and the closest."""
        try:
            plain = canonical_value(value)
        except ValueError:
            plain = None
        for choice in self.choices:
            if choice == plain and isinstance(choice, bool) == isinstance(plain, bool):
                return choice
        close = difflib.get_close_matches(str(value), [str(choice) for choice in self.choices], n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{value!r} is not one of {self.allowed}{hint}")

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        return ", ".join(str(choice) for choice in self.choices)

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        """`n` uniform draws: an object array of shape (n,)."""
        return self.values()[rng.integers(0, len(self.choices), n)]

    def to_dict(self) -> dict[str, Any]:
        """As in a campaign file: ``{categorical: [...], ...}``."""
        told: dict[str, Any] = {}
        if self.smiles is not None:
            told = {"smiles": dict(zip(map(str, self.choices), self.smiles, strict=True))}
        if self.descriptors is not None:
            told = {"descriptors": dict(zip(map(str, self.choices), map(list, self.descriptors), strict=True))}
        return _declared(type(self).__name__.lower(), list(self.choices), unit=self.unit) | told


class Ordinal(Categorical):
    """One of several `choices` in the order given, from lowest to highest."""


T = TypeVar("T")


def _told(
    choices: tuple[Scalar, ...], given: Mapping[Any, Any] | None, field: str, read: Callable[[Any], T]
) -> tuple[T, ...] | None:
    """What is told of each choice, in their order; names may be the choices themselves or their text."""
    if given is None:
        return None
    by_name = {str(name): value for name, value in given.items()}
    if missing := [str(choice) for choice in choices if str(choice) not in by_name]:
        raise SpaceError((field,), f"nothing is said of {', '.join(missing)}. Tell it of every choice, or of none.")
    if unknown := sorted(by_name.keys() - {str(choice) for choice in choices}):
        raise SpaceError((field, unknown[0]), f"{unknown[0]!r} is no choice. There are {', '.join(map(str, choices))}.")
    found = []
    for choice in choices:
        try:
            found.append(read(by_name[str(choice)]))
        except (InvalidCandidate, TypeError, ValueError) as error:
            raise SpaceError((field, str(choice)), f"{error}.") from None
    return tuple(found)


def _canonical_smiles(value: Any) -> str:
    from theoros.oracles.spaces.molecules import read_smiles

    return read_smiles(value)[1]


def _numbers(value: Any) -> tuple[float, ...]:
    row = tuple(float(number) for number in value)
    if not row or not all(math.isfinite(number) for number in row):
        raise ValueError(f"{value!r} is not a list of finite numbers")
    return row


Parameter = Real | Integer | Categorical | Ordinal


def ends(parameter: Parameter) -> tuple[float, float]:
    """The least and the greatest value of a parameter; raises ValueError naming a choice that is no number."""
    if not isinstance(parameter, Categorical):
        return parameter.low, parameter.high
    numbers = []
    for choice in parameter.choices:
        if isinstance(choice, bool) or not isinstance(choice, int | float):
            raise ValueError(f"{choice!r} is not a number")
        numbers.append(choice)
    return min(numbers), max(numbers)


def _number(value: Any, allowed: str) -> float:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number in {allowed}")
    return float(value)


def _declared(kind: str, value: Any, **extra: Any) -> dict[str, Any]:
    return {kind: value} | {key: item for key, item in extra.items() if item not in ("", False, None)}
