"""What a campaign file may say of a twin: how many members, how long they are trained, which laws they are taught."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from theoros.models.twins.physics import Residual
from theoros.models.twins.training import Training

#: The options, as the file has them.
NAMES = ("members", "steps", "residuals")


def configured(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `theoros.models.twins.ensemble.Twin` that `options` mean; raises ValueError.

    ``members`` is a number of two or more, ``steps`` the most steps of training, ``residuals`` a list of
    ``package.module:name`` of `Residual` objects.
    """
    if unknown := sorted(set(options) - set(NAMES)):
        raise ValueError(f"A twin has no option {unknown[0]!r}. It has {', '.join(NAMES)}.")
    training = Training()
    if "members" in options:
        training = replace(training, members=_whole("members", options["members"], 2))
    if "steps" in options:
        most = _whole("steps", options["steps"], 20)
        training = replace(training, steps=(min(training.steps[0], most), most))
    return {"training": training, "residuals": _residuals(options.get("residuals", ()))}


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"A twin's {name} is a whole number from {least} on, not {value!r}.")
    return value


def _residuals(paths: Any) -> tuple[Residual, ...]:
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        raise ValueError(f"A twin's residuals are a list of 'package.module:name', not {paths!r}.")
    return tuple(_residual(str(path)) for path in paths)


def _residual(path: str) -> Residual:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"The residual {path!r} can't be loaded: {error}. Write 'package.module:name' of something that can be "
            f"imported here."
        ) from error
    if not isinstance(found, Residual):
        raise ValueError(f"{path!r} is no residual. Put '@residual(\"{name}\")' above the function.")
    return found
