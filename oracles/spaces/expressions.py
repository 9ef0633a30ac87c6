"""Constraints that are not linear, read from text such as ``x * y <= 3`` or ``sqrt(x**2 + y**2) >= 1``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.spaces.constraints import TOLERANCE
from theoros.oracles.spaces.errors import SpaceError

#: What may be called, and by how many arguments.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "sqrt": (np.sqrt, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "abs": (np.abs, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
}
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.power,
}
#: Characters of an expression; more is no condition that a person wrote.
LONGEST = 500


@dataclass(frozen=True)
class ExpressionConstraint:
    """``left <= right`` or ``left >= right`` of two expressions over numeric parameters.

    Numbers, names, ``+ - * / **``, parentheses and `FUNCTIONS` may be used; nothing else is understood, so the text of
    a file can do no harm. Where an expression has no finite value (the logarithm of a negative number) the constraint
    is broken. Raises SpaceError for text that can't be read.
    """

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", " ".join(self.text.split()))
        _ = self._sides

    @cached_property
    def _sides(self) -> tuple[ast.expr, ast.expr, bool]:
        """Left, right, and whether left has to be the smaller."""
        if len(self.text) > LONGEST:
            raise self._error(f"it has more than {LONGEST} characters")
        try:
            tree = ast.parse(self.text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("it is no expression") from None
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or not isinstance(tree.ops[0], ast.LtE | ast.GtE):
            raise self._error("it is not one comparison by <= or >=")
        for node in ast.walk(tree):
            self._check(node)
        return tree.left, tree.comparators[0], isinstance(tree.ops[0], ast.LtE)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters that it is about."""
        called = set(FUNCTIONS)
        found = {node.id for side in self._sides[:2] for node in ast.walk(side) if isinstance(node, ast.Name)}
        return tuple(sorted(found - called))

    def satisfied_rows(self, columns: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Which rows of `columns` (each of length n) keep the constraint: shape (n,)."""
        left_side, right_side, smaller = self._sides
        with np.errstate(all="ignore"):
            left, right = (np.asarray(self._value(side, columns), dtype=float) for side in (left_side, right_side))
            excess = left - right if smaller else right - left
            slack = TOLERANCE * np.maximum(np.abs(left) + np.abs(right), 1e-300)
            kept = (excess <= slack) & np.isfinite(left) & np.isfinite(right)
        return np.broadcast_to(np.asarray(kept), np.shape(columns[self.names[0]]))

    def satisfied(self, data: Mapping[str, Any]) -> bool:
        """Whether one candidate's `data` keep the constraint, within rounding."""
        return bool(self.satisfied_rows(data))

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> str:
        """The text."""
        return self.text

    def _value(self, node: ast.expr, columns: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return np.asarray(columns[node.id], dtype=np.float64)
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, columns)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](
                np.float64(self._value(node.left, columns)), np.float64(self._value(node.right, columns))
            )
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return FUNCTIONS[node.func.id][0](*(self._value(argument, columns) for argument in node.args))

    def _check(self, node: ast.AST) -> None:
        """Refuse what is not arithmetic."""
        if isinstance(node, ast.Compare | ast.LtE | ast.GtE | ast.Load | ast.UAdd | ast.USub | ast.Name):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            return
        if isinstance(node, ast.BinOp | ast.operator) and type(getattr(node, "op", node)) in _OPERATORS:
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            name = node.func.id
            if name not in FUNCTIONS:
                raise self._error(f"{name} is no function here")
            if len(node.args) != FUNCTIONS[name][1]:
                raise self._error(f"{name} takes {FUNCTIONS[name][1]} arguments")
            return
        raise self._error(
            f"{ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__} is not arithmetic"
        )

    def _error(self, what: str) -> SpaceError:
        return SpaceError(
            (),
            f"{self.text!r} can't be read as a constraint: {what}. Compare two expressions by <= or >=, of numbers, "
            f"parameters, + - * / ** and {', '.join(FUNCTIONS)}.",
        )


def is_linear(text: str) -> bool:
    """Whether text looks like a linear constraint: no powers, calls, parentheses or products of two names."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # the reader of linear constraints says best what is wrong with it
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)):
            return False
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            sides = [any(isinstance(n, ast.Name) for n in ast.walk(side)) for side in (node.left, node.right)]
            if all(sides) or (isinstance(node.op, ast.Div) and sides[1]):
                return False
    return True
