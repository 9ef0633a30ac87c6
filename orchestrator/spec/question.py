"""The question of a campaign, in the user's words: a goal, and constraints as readable strings."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Goal = Literal["optimize", "learn"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_AMOUNT = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


@dataclass(frozen=True)
class Bound:
    """A constraint as it was written: ``name op value unit``; `op` is ``"<="`` or ``">="``."""

    name: str
    op: str
    value: float
    unit: str


def parse_bound(text: str) -> Bound:
    """Read ``"gap >= 4 eV"``; raises ValueError that shows how to write it."""
    match = _CONSTRAINT.fullmatch(text)
    if not match:
        raise ValueError(
            f"{text!r} is not a constraint; write NAME <= NUMBER or NAME >= NUMBER with an optional unit, "
            "for example 'gap >= 4 eV'"
        )
    name, op, value, unit = match.groups()
    return Bound(name, op if op.endswith("=") else op + "=", float(value), unit)


def parse_amount(value: float | str) -> tuple[float, str]:
    """Read ``2.5`` or ``"2.5 eV"`` as a number and a unit, ``""`` where none is given; raises ValueError otherwise."""
    match = _AMOUNT.fullmatch(str(value))
    if isinstance(value, bool) or not match or not math.isfinite(float(match[1])):
        raise ValueError(f"{value!r} is not an amount; write a number with an optional unit, for example '2.5 eV'")
    return float(match[1]), match[2]


def _names(value: Any) -> Any:
    """One name, or several."""
    return () if value is None else (value,) if isinstance(value, str) else value


def _amount(value: float | str) -> float | str:
    parse_amount(value)
    return value


def _error(value: float | str) -> float | str:
    """A standard deviation, or the name of an output."""
    if isinstance(value, str) and _NAME.fullmatch(value.strip()):
        return value.strip()
    try:
        size, _ = parse_amount(value)
    except ValueError:
        size = -1.0
    if size < 0:
        raise ValueError(
            f"{value!r} is neither a standard deviation nor an output; write a number of zero or more with an optional "
            "unit, for example '0.5 eV', or the name of the output that gives each label's standard error"
        )
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Amount = Annotated[float | str, AfterValidator(_amount)]
Error = Annotated[float | str, AfterValidator(_error)]


@dataclass(frozen=True)
class Wish:
    """An objective as it was written: `sense` is the field that names the output, `target` what is to be matched."""

    output: str
    sense: Literal["maximize", "minimize", "match", "desirability"]
    target: Bound | None = None
    worst: Bound | None = None


class Desired(BaseModel):
    """Where an output is of no use (`low`) and where it is as good as anyone asks for (`high`, which may be less).

    With a `target` between them it is best there and of no use at both. `weight` is what it counts beside the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Amount
    high: Amount
    target: Amount | None = None
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    def amount(self, name: str, field: Literal["low", "high", "target"]) -> Bound | None:
        """One of the amounts of the output `name`, parsed; None for a target that is not given."""
        value = getattr(self, field)
        return None if value is None else Bound(name, "=", *parse_amount(value))


class Question(BaseModel):
    """What the user wants to know.

    `maximize` and `minimize` name an output of the oracle, or several; `match` gives outputs the values that they are
    to have (``{gap: 2.5 eV}``). More than one objective in all asks for the Pareto front, and then `worst` may say
    from which values on an output is worth something. `desirability` makes one number of several outputs instead
    (``{gap: {low: 2 eV, high: 3 eV}}``). `learn` names an output, or several, that a model is to predict everywhere. It
    and `desirability` stand alone. `subject to` bounds outputs, or properties of a
    candidate that need no oracle (``sa_score <= 4``). `record` asks for further outputs to be kept.
    `noise` tells how far labels scatter: a standard deviation (``{yield: 2 percent}``), or the output that gives each
    label's own standard error (``{yield: yield_error}``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    maximize: Names = ()
    minimize: Names = ()
    match: dict[str, Amount] = Field(default_factory=dict)
    desirability: dict[str, Desired] = Field(default_factory=dict)
    learn: Names = ()
    worst: dict[str, Amount] = Field(default_factory=dict)
    subject_to: tuple[str, ...] = Field(default=(), alias="subject to")
    record: tuple[str, ...] = ()
    noise: dict[str, Error] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_goal(self) -> Question:
        wanted = [*self.maximize, *self.minimize, *self.match]
        given = [*wanted, *(["desirability"] if self.desirability else []), *(["learn"] if self.learn else [])]
        if sum(map(bool, (wanted, self.desirability, self.learn))) != 1:
            raise ValueError(
                "a question either has objectives (maximize, minimize, match), or a desirability, or one to learn; "
                + (f"{' and '.join(given)} are given" if given else "none of them is given")
            )
        if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} can't be two objectives at once; name each output in one place")
        if twice := sorted({name for name in self.learn if self.learn.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} can't be learned twice; name each output once")
        if self.worst and len(wanted) < 2:
            raise ValueError("worst values weigh several objectives against each other, and there are not several")
        if unknown := sorted(self.worst.keys() - set(wanted)):
            raise ValueError(f"worst names {', '.join(unknown)}, no objective; the objectives are {', '.join(wanted)}")
        for text in self.subject_to:
            parse_bound(text)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialise(self)
        if not self.desirability:  # questions that were stored before there was such a field are the same
            data.pop("desirability", None)
        if len(self.learn) < 2:  # and so are those from when one output could be learned
            data["learn"] = self.learn[0] if self.learn else None
        return data

    @property
    def goal(self) -> Goal:
        """Which of the engine's goals this is."""
        return "learn" if self.learn else "optimize"

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """The objectives in the order of maximize, minimize and match, or the outputs of the desirability; each output
        that is to be learned is one to maximize.
        """
        if self.learn:
            return tuple(Wish(name, "maximize") for name in self.learn)
        if self.desirability:
            return tuple(Wish(name, "desirability") for name in self.desirability)
        worst = {name: Bound(name, ">=", *parse_amount(value)) for name, value in self.worst.items()}
        targets = {name: Bound(name, "=", *parse_amount(value)) for name, value in self.match.items()}
        return (
            *(Wish(name, "maximize", None, worst.get(name)) for name in self.maximize),
            *(Wish(name, "minimize", None, worst.get(name)) for name in self.minimize),
            *(Wish(name, "match", target, worst.get(name)) for name, target in targets.items()),
        )

    @property
    def error_outputs(self) -> dict[str, str]:
        """The outputs that give standard errors, by the output whose labels have them."""
        return {name: value for name, value in self.noise.items() if isinstance(value, str) and _NAME.fullmatch(value)}

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The constraints, parsed."""
        return tuple(parse_bound(text) for text in self.subject_to)
