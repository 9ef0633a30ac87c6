"""What a campaign file may say of a twin: how many members, how long they train, which laws and arrays they learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from theoros.models.options import OptionError, checked, load
from theoros.models.twins.physics import Residual
from theoros.models.twins.training import Training

#: One member shows no spread, and two differ in one direction only, as if one pending answer were to settle all others;
#: fewer steps are no learning.
Members = Annotated[int, Field(ge=3, strict=True)]
Steps = Annotated[int, Field(ge=20, strict=True)]
#: The options of twins of numbers, and what they may be; laws and arrays are looked at more closely than by their type.
KINDS = {"members": Members, "steps": Steps, "residuals": Any, "arrays": Any}


def configured(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `theoros.models.twins.ensemble.Twin` that `options` mean; raises OptionError.

    ``members`` is a number of three or more, ``steps`` the most steps of training, ``residuals`` a list of
    ``module:name`` of `Residual` objects, and ``arrays`` a list of the array outputs that are learned too.
    """
    values, plain = checked("The twin", KINDS, options), Training()
    most = values.get("steps", plain.steps[1])
    members = values.get("members", plain.members)
    return {
        "training": replace(plain, members=members, steps=(min(plain.steps[0], most), most)),
        "residuals": residuals_of(values.get("residuals", ())),
        "reads": _arrays(values.get("arrays", ())),
    }


def _arrays(names: Any) -> tuple[str, ...]:
    listed = isinstance(names, Sequence) and not isinstance(names, str)
    if not listed or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise OptionError(f"A twin's arrays are a list of outputs, each named once, not {names!r}.", ("arrays",))
    return tuple(names)


def residuals_of(paths: Any) -> tuple[Residual, ...]:
    """The laws that a list of ``module:name`` names; raises OptionError."""
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        raise OptionError(f"A twin's residuals are a list of 'module:name', not {paths!r}.", ("residuals",))
    found: dict[str, Residual] = {}
    for i, path in enumerate(paths):
        law = _residual(str(path), ("residuals", i))
        if law.name in found:
            raise OptionError(
                f"Two laws are called {law.name!r}, and what is told of a law stands under its name. Give {path!r} "
                f"another, or leave it out.",
                ("residuals", i),
            )
        found[law.name] = law
    return tuple(found.values())


def _residual(path: str, field: tuple[str | int, ...]) -> Residual:
    try:
        found = load(path)
    except ValueError as error:
        raise OptionError(f"The residual {error}", field) from error
    if not isinstance(found, Residual):
        name = path.partition(":")[2]
        raise OptionError(f"{path!r} is no residual. Put '@residual(\"{name}\")' above the function.", field)
    return found
