"""Parameters that mean something only where another one has certain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theoros.oracles.spaces.errors import SpaceError


@dataclass(frozen=True)
class When:
    """The parameter `name` has one of `values`."""

    name: str
    values: tuple[Any, ...]

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Whether it is so."""
        return data[self.name] in self.values

    def to_dict(self) -> dict[str, Any]:
        """As in a campaign file: ``{ligand: [A, B]}``."""
        return {self.name: list(self.values)}


def checked(conditions: Mapping[str, When], parameters: Mapping[str, Any]) -> dict[str, When]:
    """Conditions in the order in which they have to be decided: parents first.

    Raises SpaceError for parents that do not exist, values that a parent can't have, and circles.
    """
    found: dict[str, When] = {}
    for name, condition in conditions.items():
        field = ("parameters", name, "when")
        if condition.name not in parameters:
            raise SpaceError(field, f"{condition.name!r} is no parameter. There are {', '.join(parameters)}.")
        if not hasattr(parameters[condition.name], "choices"):
            raise SpaceError(
                field, f"{condition.name!r} has no choices. A condition is on a categorical or ordinal one."
            )
        values = []
        for value in condition.values:
            try:
                values.append(parameters[condition.name].coerce(value))
            except ValueError as error:
                raise SpaceError(field, f"{condition.name}: {error}.") from None
        if not values:
            raise SpaceError(field, "it names no value. Give those for which the parameter counts.")
        found[name] = When(condition.name, tuple(values))
    return {name: found[name] for name in _parents_first(found)}


def _parents_first(conditions: Mapping[str, When]) -> Sequence[str]:
    ordered: list[str] = []
    for first in conditions:
        chain: list[str] = []
        name = first
        while name in conditions and name not in ordered:
            if name in chain:
                raise SpaceError(("parameters", first, "when"), f"it depends on itself: {' -> '.join([*chain, name])}.")
            chain.append(name)
            name = conditions[name].name
        ordered += reversed(chain)
    return ordered
