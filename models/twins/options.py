"""What a campaign file may say of a twin: how many members, how long they train, which laws and arrays they learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from theoros.models.options import OptionError, check_names, load, whole
from theoros.models.twins.physics import Residual
from theoros.models.twins.training import Training

#: The options, as the file has them.
NAMES = ("members", "steps", "residuals", "arrays")
#: Fewer members show no spread, and fewer steps no learning.
LEAST_MEMBERS, LEAST_STEPS = 2, 20


def configured(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `theoros.models.twins.ensemble.Twin` that `options` mean; raises OptionError.

    ``members`` is a number of two or more, ``steps`` the most steps of training, ``residuals`` a list of
    ``module:name`` of `Residual` objects, and ``arrays`` a list of the array outputs that are learned too.
    """
    check_names("twin", options, NAMES)
    training = Training()
    training = replace(training, members=whole("twin", options, "members", LEAST_MEMBERS, training.members))
    most = whole("twin", options, "steps", LEAST_STEPS, training.steps[1])
    training = replace(training, steps=(min(training.steps[0], most), most))
    return {
        "training": training,
        "residuals": residuals_of(options.get("residuals", ())),
        "reads": _arrays(options.get("arrays", ())),
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
