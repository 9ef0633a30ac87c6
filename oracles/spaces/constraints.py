"""Linear constraints over numeric parameters, read from text such as ``x + 2*y <= 3``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.spaces.errors import SpaceError

OPERATORS = ("<=", ">=", "==")

#: Relative to the size of the terms: what rounding to `SIGNIFICANT_DIGITS` and a few additions may cost.
TOLERANCE = 1e-9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<op><=|>=|==|[-+*/<>=()]))"
)


@dataclass(frozen=True)
class LinearConstraint:
    """``sum_i coefficients[i] * parameter_i  op  bound`` with `op` one of ``<=``, ``>=``, ``==``.

    Raises SpaceError when it constrains nothing or its numbers are not finite.
    """

    coefficients: Mapping[str, float]
    op: str
    bound: float

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise SpaceError(("op",), f"{self.op!r} is not an operator of a constraint. Use one of {OPERATORS}.")
        kept = {str(name): float(c) for name, c in sorted(self.coefficients.items()) if c != 0}
        if not kept:
            raise SpaceError((), "no parameter is left in the constraint. Name at least one with a coefficient.")
        if not np.isfinite([*kept.values(), self.bound]).all():
            raise SpaceError((), "a coefficient or the bound is not a finite number.")
        object.__setattr__(self, "coefficients", kept)
        object.__setattr__(self, "bound", float(self.bound) + 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it is about."""
        return tuple(self.coefficients)

    @classmethod
    def parse(cls, text: str) -> LinearConstraint:
        """Read ``"x + 2*y <= 3"``: sums of numbers and number-times-name terms on either side of one operator."""
        return _Parser(text).constraint()

    def excess(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """Left side minus bound for columns of equal length n: shape (n,), or () for single values."""
        total = sum(c * np.asarray(columns[name], dtype=np.float64) for name, c in self.coefficients.items())
        return np.asarray(total - self.bound, dtype=np.float64)

    def satisfied_rows(self, columns: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Which rows of `columns` (each of length n) keep the constraint: shape (n,)."""
        excess = self.excess(columns)
        size = abs(self.bound) + sum(abs(c) * np.abs(np.asarray(columns[n])) for n, c in self.coefficients.items())
        slack = TOLERANCE * np.maximum(size, 1e-300)
        if self.op == "<=":
            return np.asarray(excess <= slack)
        if self.op == ">=":
            return np.asarray(excess >= -slack)
        return np.asarray(np.abs(excess) <= slack)

    def satisfied(self, data: Mapping[str, Any]) -> bool:
        """Whether one candidate's `data` keep the constraint, within rounding."""
        return bool(self.satisfied_rows(data))

    def __hash__(self) -> int:
        return hash((tuple(self.coefficients.items()), self.op, self.bound))

    def __str__(self) -> str:
        text = ""
        for name, c in self.coefficients.items():
            sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
            text += sign + (name if abs(c) == 1 else f"{_shown(abs(c))}*{name}")
        return f"{text} {self.op} {_shown(self.bound)}"

    def to_dict(self) -> str | dict[str, Any]:
        """The text when every name can be written in one, else ``{coefficients, op, bound}``."""
        if all(re.fullmatch(r"[^\W\d]\w*", name) for name in self.coefficients):
            return str(self)
        return {"coefficients": dict(self.coefficients), "op": self.op, "bound": self.bound}


def _shown(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


class _Parser:
    """Recursive descent over: constraint = sum op sum; sum = term {(+|-) term}; term = factor {(*|/) factor}."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokenize(text))
        self.position = 0

    def constraint(self) -> LinearConstraint:
        left, left_constant = self.sum()
        op = self.take()
        if op in ("<", ">", "="):
            raise self.error(f"{op!r} is not an operator of a constraint", f"Write {op + '=' if op != '=' else '=='!r}")
        if op not in OPERATORS:
            raise self.error(f"{op or 'the end'!r} stands where an operator is needed", "Write <=, >= or ==")
        right, right_constant = self.sum()
        if self.peek() in ("<=", ">=", "==", "<", ">", "="):
            raise self.error("it compares more than two sides", "Write it as two constraints")
        if self.peek():
            raise self.error(f"{self.peek()!r} was not expected", "Write sums of terms such as 2*x")
        names = left.keys() | right.keys()
        coefficients = {name: left.get(name, 0.0) - right.get(name, 0.0) for name in names}
        try:
            return LinearConstraint(coefficients, op, right_constant - left_constant)
        except SpaceError as error:
            raise self.error(error.message.split(". ")[0], "Name at least one parameter") from None

    def sum(self) -> tuple[dict[str, float], float]:
        """The coefficients and the constant of one side."""
        coefficients: dict[str, float] = {}
        constant = 0.0
        sign = self.sign() if self.peek() in ("+", "-") else 1.0
        while True:
            name, factor = self.term()
            if name is None:
                constant += sign * factor
            else:
                coefficients[name] = coefficients.get(name, 0.0) + sign * factor
            if self.peek() not in ("+", "-"):
                return coefficients, constant
            sign = self.sign()

    def sign(self) -> float:
        sign = 1.0
        while self.peek() in ("+", "-"):
            sign *= -1.0 if self.take() == "-" else 1.0
        return sign

    def term(self) -> tuple[str | None, float]:
        name, factor = self.factor()
        while self.peek() in ("*", "/"):
            operator = self.take()
            sign = self.sign()
            other, number = self.factor()
            if operator == "/":
                if other is not None or number == 0:
                    raise self.error("it divides by a parameter or by zero", "A constraint must be linear")
                factor /= sign * number
                continue
            if name is not None and other is not None:
                raise self.error(f"{name}*{other} is not linear", "Multiply parameters by numbers only")
            name, factor = name or other, factor * sign * number
        return name, factor

    def factor(self) -> tuple[str | None, float]:
        token = self.take()
        if token and (token[0].isdigit() or token[0] == "."):
            return None, float(token)
        if token and token[0] not in "+-*/<>=()":
            return token, 1.0
        if token in ("(", ")"):
            raise self.error("it has parentheses", "Multiply them out")
        raise self.error(f"{token or 'the end'!r} stands where a number or a parameter is needed", "Complete the term")

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def error(self, what: str, mend: str) -> SpaceError:
        return SpaceError((), f"{self.text!r} can't be read as a linear constraint: {what}. {mend}.")

    def _tokenize(self, text: str) -> list[str]:
        tokens, position = [], 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f"{text[position:].strip()[:1]!r} has no meaning here", "Use names, numbers, + - * /")
            tokens.append(match[match.lastgroup or 0])
            position = match.end()
        return tokens
