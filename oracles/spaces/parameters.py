"""Design spaces of named parameters: their product, cut by constraints, some of them counting only with others."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.oracles.candidate import Candidate, content_hash
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.conditions import When, checked
from theoros.oracles.spaces.constraints import LinearConstraint
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.expressions import ExpressionConstraint, is_linear
from theoros.oracles.spaces.one_parameter import Categorical, Integer, Parameter, Real, Scalar

Constraint = LinearConstraint | ExpressionConstraint


@dataclass(frozen=True, init=False)
class Parameters:
    """The product of named parameters, cut by constraints over the numeric ones.

    ``Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x + y <= 1"])``; names that are no Python identifiers go
    into one mapping, given as the only positional argument. `parameters` is kept in the order of the names, so that a
    space is the same after any JSON store. Candidates' data map each name to its value. Constraints that are not linear
    (``"x * y <= 0.2"``) are inequalities of `theoros.oracles.spaces.expressions`.

    `conditions` name parameters that count only where another one has certain values. Where one does not, its value is
    its lowest or first, so that two candidates that differ in nothing that counts are one.

    Raises SpaceError for a wrong declaration and for constraints that nothing satisfies.
    """

    parameters: Mapping[str, Parameter]
    constraints: tuple[Constraint, ...]
    conditions: Mapping[str, When]

    def __init__(
        self,
        parameters: Mapping[str, Parameter] | None = None,
        /,
        *,
        constraints: Iterable[str | Constraint] = (),
        conditions: Mapping[str, When] | None = None,
        **named: Parameter,
    ) -> None:
        if isinstance(constraints, Real | Integer | Categorical):
            raise SpaceError(
                ("parameters", "constraints"),
                "'constraints' is reserved for the constraints between parameters. Give the parameter another name.",
            )
        declared = {**(parameters or {}), **named}
        for name, parameter in declared.items():
            _check_parameter(name, parameter)
        if not declared:
            raise SpaceError(("parameters",), "there are none. Declare at least one parameter.")
        object.__setattr__(self, "parameters", {name: declared[name] for name in sorted(declared)})
        object.__setattr__(self, "constraints", _read_constraints(constraints, self.parameters))
        object.__setattr__(self, "conditions", checked(conditions or {}, self.parameters))
        if self.constraints:
            from theoros.oracles.spaces.sampling import check_feasible

            check_feasible(self)

    @property
    def kind(self) -> str:
        """The kind of its candidates."""
        return "parameters"

    @property
    def is_finite(self) -> bool:
        """False: products are searched, not ranked whole, even when `cardinality` is known."""
        return False

    @property
    def cardinality(self) -> int | None:
        """How many combinations there are before constraints; None when a parameter is continuous."""
        counts = [parameter.cardinality for parameter in self.parameters.values()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    @property
    def linear(self) -> tuple[LinearConstraint, ...]:
        """The linear constraints."""
        return tuple(constraint for constraint in self.constraints if isinstance(constraint, LinearConstraint))

    def candidate(self, data: Any) -> Candidate:
        """Canonicalise a mapping of name to value; what does not count may be left out.

        Ints become floats where the parameter is real and the reverse for whole floats; a value that rounding put
        outside its bounds is clipped. Raises InvalidCandidate naming the parameter, the value and what is allowed.
        """
        if isinstance(data, Candidate):
            data = data.data
        if not isinstance(data, Mapping):
            raise InvalidCandidate(f"{data!r} is not a mapping of parameter names to values")
        if unknown := data.keys() - self.parameters.keys():
            raise InvalidCandidate(
                f"there is no parameter {min(map(str, unknown))!r}; there are {list(self.parameters)}"
            )
        if missing := self.parameters.keys() - data.keys() - self.conditions.keys():
            raise InvalidCandidate(f"the candidate lacks a value for {sorted(missing)}")
        values: dict[str, Scalar] = {}
        for name in (*(n for n in self.parameters if n not in self.conditions), *self.conditions):
            parameter, condition = self.parameters[name], self.conditions.get(name)
            # A parent that does not count itself lets nothing else count.
            if condition is not None and not (condition.holds(values) and self._counts(condition.name, values)):
                values[name] = parameter.coerce(_first_value(parameter))
                continue
            if name not in data:
                raise InvalidCandidate(f"the candidate lacks a value for {[name]}")
            try:
                values[name] = parameter.coerce(data[name])
            except ValueError as error:
                raise InvalidCandidate(f"parameter {name!r}: {error}") from None
        values = {name: values[name] for name in self.parameters}
        for constraint in self.constraints:
            if not constraint.satisfied(values):
                raise InvalidCandidate(f"the candidate breaks the constraint {constraint}")
        return Candidate("parameters", values)

    def _counts(self, name: str, values: Mapping[str, Scalar]) -> bool:
        condition = self.conditions.get(name)
        return condition is None or (condition.holds(values) and self._counts(condition.name, values))

    def check(self, candidate: Candidate) -> None:
        """Raise InvalidCandidate when `candidate` is not in the space, or not in its canonical form."""
        if candidate.kind != self.kind:
            raise InvalidCandidate(f"a candidate of kind {candidate.kind!r} is not one of {self.kind!r}")
        if self.candidate(candidate.data) != candidate:
            raise InvalidCandidate(f"{candidate.text} is not in canonical form; build it with the space's candidate()")

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Draw up to `n` distinct candidates uniformly (log-uniformly where `log`), constraints kept.

        See `theoros.oracles.spaces.sampling`. Raises SpaceError for constraints that leave no room around any point.
        """
        from theoros.oracles.spaces.sampling import draw_distinct

        return draw_distinct(self, n, rng)

    def to_dict(self) -> dict[str, Any]:
        """JSON data from which `space_from_dict` builds an equal space."""
        declared = {name: p.to_dict() for name, p in self.parameters.items()}
        for name, condition in self.conditions.items():
            declared[name]["when"] = condition.to_dict()
        data: dict[str, Any] = {"parameters": declared}
        if self.constraints:
            data["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        return data

    def __hash__(self) -> int:
        return hash(content_hash(self.to_dict()))


def _first_value(parameter: Parameter) -> Scalar:
    return parameter.choices[0] if isinstance(parameter, Categorical) else parameter.low


def _check_parameter(name: Any, parameter: Any) -> None:
    if not isinstance(name, str) or not name or name != name.strip():
        raise SpaceError(("parameters",), f"{name!r} is not a name. Use text without outer blanks.")
    if name == "constraints":
        raise SpaceError(
            ("parameters", name), "'constraints' is reserved for the constraints between parameters. Rename it."
        )
    if not isinstance(parameter, Real | Integer | Categorical):
        raise SpaceError(
            ("parameters", name), f"{parameter!r} is no parameter. Use Real, Integer, Categorical or Ordinal."
        )


def _read_constraints(given: Iterable[str | Constraint], parameters: Mapping[str, Parameter]) -> tuple[Constraint, ...]:
    if isinstance(given, str | LinearConstraint | ExpressionConstraint):
        given = [given]
    constraints = []
    for i, item in enumerate(given):
        try:
            constraint = _read_constraint(item) if isinstance(item, str) else item
        except SpaceError as error:
            raise error.under("constraints", i) from None
        for name in constraint.names:
            if name not in parameters:
                close = difflib.get_close_matches(name, list(parameters), n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"There are {list(parameters)}."
                raise SpaceError(("constraints", i), f"{name!r} is no parameter of this space. {hint}")
            if isinstance(parameters[name], Categorical):
                raise SpaceError(
                    ("constraints", i), f"{name!r} is not numeric, so it can't be constrained. Use real or integer."
                )
        constraints.append(constraint)
    return tuple(constraints)


def _read_constraint(text: str) -> Constraint:
    return LinearConstraint.parse(text) if is_linear(text) else ExpressionConstraint(text)
