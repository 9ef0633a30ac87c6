"""What a campaign file says below a model's name: how it is read, and what is said of a mistake."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any


class OptionError(ValueError):
    """An option is wrong. `field` is its path below the model's name, for example ``("residuals", 0)``."""

    def __init__(self, message: str, field: Sequence[str | int]) -> None:
        super().__init__(message)
        self.field = tuple(field)


def check_names(what: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise OptionError for an option that `what` (a twin) does not have."""
    if unknown := sorted(set(options) - set(known)):
        raise OptionError(f"A {what} has no option {unknown[0]!r}. It has {', '.join(known)}.", unknown[:1])


def whole(what: str, options: Mapping[str, Any], name: str, least: int, default: int) -> int:
    """The whole number that the option `name` gives, or its `default`; raises OptionError."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"A {what}'s {name} is a whole number from {least} on, not {value!r}.", (name,))
    return value


def yes_or_no(what: str, options: Mapping[str, Any], name: str, default: bool) -> bool:
    """Whether the option `name` says true, or its `default`; raises OptionError."""
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise OptionError(f"A {what}'s {name} is true or false, not {value!r}.", (name,))
    return value


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
