"""The question of a campaign, in the user's words: a goal, and constraints as readable strings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Goal = Literal["optimize", "learn"]

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


class Question(BaseModel):
    """What the user wants to know.

    Exactly one of `maximize`, `minimize` and `learn` names an output of the oracle. `subject to` bounds outputs, or
    properties of a candidate that need no oracle (``sa_score <= 4``). `record` asks for further outputs to be kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    maximize: str | None = None
    minimize: str | None = None
    learn: str | None = None
    subject_to: tuple[str, ...] = Field(default=(), alias="subject to")
    record: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_goal(self) -> Question:
        given = [name for name in ("maximize", "minimize", "learn") if getattr(self, name)]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none of them is given"
            raise ValueError(f"a question has exactly one of maximize, minimize and learn; {found}")
        for text in self.subject_to:
            parse_bound(text)
        return self

    @property
    def goal(self) -> Goal:
        """Which of the engine's goals this is."""
        return "learn" if self.learn else "optimize"

    @property
    def objective(self) -> str:
        """The output that is optimised or learned."""
        return self.maximize or self.minimize or self.learn or ""

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The constraints, parsed."""
        return tuple(parse_bound(text) for text in self.subject_to)
