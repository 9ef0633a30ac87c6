"""The question of a campaign, in the user's words: a goal, and constraints as readable strings."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Goal = Literal["optimize", "learn"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_AMOUNT = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*")
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


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Amount = Annotated[float | str, AfterValidator(_amount)]


@dataclass(frozen=True)
class Wish:
    """An objective as it was written: `sense` is the field that names the output, `target` what is to be matched."""

    output: str
    sense: Literal["maximize", "minimize", "match"]
    target: Bound | None = None
    worst: Bound | None = None


class Question(BaseModel):
    """What the user wants to know.

    `maximize` and `minimize` name an output of the oracle, or several; `match` gives outputs the values that they are
    to have (``{gap: 2.5 eV}``). More than one objective in all asks for the Pareto front, and then `worst` may say
    from which values on an output is worth something. `learn` stands alone. `subject to` bounds outputs, or properties
    of a candidate that need no oracle (``sa_score <= 4``). `record` asks for further outputs to be kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    maximize: Names = ()
    minimize: Names = ()
    match: dict[str, Amount] = Field(default_factory=dict)
    learn: str | None = None
    worst: dict[str, Amount] = Field(default_factory=dict)
    subject_to: tuple[str, ...] = Field(default=(), alias="subject to")
    record: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_goal(self) -> Question:
        wanted = [*self.maximize, *self.minimize, *self.match]
        if bool(wanted) == bool(self.learn):
            found = "none of them is given" if not wanted else f"{' and '.join([*wanted, 'learn'])} are given"
            raise ValueError(f"a question either has objectives (maximize, minimize, match) or one to learn; {found}")
        if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} can't be two objectives at once; name each output in one place")
        if self.worst and len(wanted) < 2:
            raise ValueError("worst values weigh several objectives against each other, and there are not several")
        if unknown := sorted(self.worst.keys() - set(wanted)):
            raise ValueError(f"worst names {', '.join(unknown)}, no objective; the objectives are {', '.join(wanted)}")
        for text in self.subject_to:
            parse_bound(text)
        return self

    @property
    def goal(self) -> Goal:
        """Which of the engine's goals this is."""
        return "learn" if self.learn else "optimize"

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """The objectives in the order of maximize, minimize and match; what is to be learned is one to maximize."""
        if self.learn:
            return (Wish(self.learn, "maximize"),)
        worst = {name: Bound(name, ">=", *parse_amount(value)) for name, value in self.worst.items()}
        targets = {name: Bound(name, "=", *parse_amount(value)) for name, value in self.match.items()}
        return (
            *(Wish(name, "maximize", None, worst.get(name)) for name in self.maximize),
            *(Wish(name, "minimize", None, worst.get(name)) for name in self.minimize),
            *(Wish(name, "match", target, worst.get(name)) for name, target in targets.items()),
        )

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The constraints, parsed."""
        return tuple(parse_bound(text) for text in self.subject_to)
