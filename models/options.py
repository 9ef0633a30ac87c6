"""What a campaign file says below a model's name: how it is read, and what is said of a mistake."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError


class OptionError(ValueError):
    """An option is wrong. `field` is its path below the model's name, for example ``("residuals", 0)``."""

    def __init__(self, message: str, field: Sequence[str | int]) -> None:
        super().__init__(message)
        self.field = tuple(field)


def checked(what: str, kinds: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the `options` of `what` (``The twin``) mean, by pydantic's types, its `kinds`.

    Raises OptionError for the first that there is not, or that is none of its kind.
    """
    values: dict[str, Any] = {}
    for name, value in options.items():
        if not kinds:
            raise OptionError(f"{what} has no options. Leave {', '.join(map(repr, options))} out.", ())
        if name not in kinds:
            close = difflib.get_close_matches(str(name), kinds, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(kinds)}."
            raise OptionError(f"{what} has no option {name!r}. {hint}", (str(name),))
        try:
            values[name] = _adapter(kinds[name]).validate_python(value)
        except ValidationError as error:
            told = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise OptionError(f"{told[:1].lower()}{told[1:]} (got {value!r}). Or leave it out.", (name,)) from None
    return values


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def load(path: str) -> Any:
    """What ``module:Name`` names; raises ValueError, whatever the module raises.

    A campaign's own folder is one of those in which modules are looked for
    (`theoros.oracles.registry.look_in`).
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(
            f"{path!r} can't be loaded: {_told(error)}. Write 'module:Name' for Name in module.py beside the campaign "
            f"file, or 'package.module:Name' of an installed package."
        ) from error


def _told(error: Exception) -> str:
    if isinstance(error, ImportError | AttributeError | ValueError):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {error}".rstrip(".")
