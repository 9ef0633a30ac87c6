"""Gates from the data of a campaign file: names, each with a setting where it needs one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from theoros.oracles.failures import MissingDependency
from theoros.oracles.resources import parse_duration
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.gates.base import Gate
from theoros.oracles.spaces.gates.own import Own
from theoros.oracles.spaces.gates.quick import COLLECTIONS, Alerts, Neutral, Novel, Within
from theoros.oracles.spaces.gates.relaxation import KeepsBonds
from theoros.oracles.spaces.gates.shape import Embeds, RelaxesInForceField
from theoros.oracles.spaces.molecule_properties import PROPERTIES
from theoros.oracles.spaces.starting_molecules import check_file

#: Seconds that an embedding, and a relaxation by GFN2-xTB, may take where the file does not say.
EMBEDDING, RELAXATION = 10.0, 60.0

#: A setting that a file gives, and the folder that relative names start from, to a gate.
Builder = Callable[[Any, "Path | None"], Gate]


def gates_from_data(data: Sequence[Any], base: Path | None = None) -> tuple[Gate, ...]:
    """Build the gates that `data` lists: names, and ``{name: setting}`` for a gate that has a setting.

    Files and modules are looked for in the folder `base` first. Raises SpaceError with the path of the field within
    `data`.
    """
    return tuple(_gate(item, (i,), base) for i, item in enumerate(data))


def _gate(item: Any, field: tuple[str | int, ...], base: Path | None) -> Gate:
    if isinstance(item, Mapping):
        ((name, setting),) = item.items()
        field = (*field, name)
    else:
        name, setting = item, None
    try:
        if ":" in name:
            return _own(name, setting, base)
        return _builder(name)(setting, base)
    except SpaceError as error:
        raise SpaceError(field, error.message) from None
    except MissingDependency as error:
        raise SpaceError(field, str(error)) from None


def _builder(name: str) -> Builder:
    if name in BUILDERS:
        return BUILDERS[name]
    if name in PROPERTIES:
        return lambda setting, base: _within(name, name, setting)
    known = (*BUILDERS, *PROPERTIES)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}, or write module:function."
    raise SpaceError((), f"there is no gate {name!r}. {hint}")


def _own(name: str, setting: Any, base: Path | None) -> Own:
    if setting not in (None, "early", "late"):
        raise SpaceError(
            (),
            f"{setting!r} does not say when {name} is asked. Write 'early' for every molecule that is met (the "
            "default), or 'late', if it is slow, for those about to be chosen.",
        )
    own = Own(name, None if base is None else str(base), setting == "late")
    try:
        function = own.function()
    except ValueError as error:
        raise SpaceError((), str(error)) from None
    if not callable(function):
        raise SpaceError((), f"{name} is no function. Name one that takes a SMILES and returns True, False or a text.")
    return own


def _alerts(setting: Any, base: Path | None) -> Alerts:
    names = [setting] if isinstance(setting, str) else setting
    known = f"Write for example 'alerts: brenk'; there are {', '.join(COLLECTIONS)}."
    if not isinstance(names, list | tuple) or not names:
        raise SpaceError((), f"it must name a collection of alerts, or several in brackets. {known}")
    for name in names:
        if name not in COLLECTIONS:
            raise SpaceError((), f"there is no collection of alerts {name!r}. {known}")
    return Alerts(tuple(dict.fromkeys(names)))


def _within(name: str, quantity: str, setting: Any) -> Within:
    """``4.5`` is a most, ``2..9`` and ``[2, 9]`` are both bounds."""
    given = setting.split("..") if isinstance(setting, str) else setting
    bounds = [None, given] if isinstance(given, int | float) else given
    if isinstance(bounds, list | tuple) and len(bounds) == 1:
        bounds = [None, bounds[0]]
    try:
        if not isinstance(bounds, list | tuple) or isinstance(given, bool):
            raise ValueError
        low, high = (None if bound is None else float(bound) for bound in bounds)
        finite = all(math.isfinite(bound) for bound in (low, high) if bound is not None)
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise SpaceError((), f"{setting!r} is no bound. Write '{name}: 4' for at most, or '{name}: 2..4' for a range.")
    if low is not None and high is not None and low > high:
        raise SpaceError((), f"nothing lies in {setting!r}: the first number is the larger. Turn them round.")
    return Within(quantity, low, high, name)


def _novel(setting: Any, base: Path | None) -> Novel:
    if not isinstance(setting, str):
        raise SpaceError((), "it must name a file of known molecules. Write for example 'novelty: known.smi'.")
    path = setting if base is None else str((base / setting).resolve())
    check_file(path, None)
    return Novel(path)


def _neutral(setting: Any, base: Path | None) -> Neutral:
    if setting is not None:
        raise SpaceError((), f"it has no setting, and {setting!r} is one. Write 'charges' alone.")
    return Neutral()


def _seconds(setting: Any, default: float) -> float:
    if setting is None:
        return default
    try:
        seconds = float(parse_duration(setting))
    except (TypeError, ValueError):
        seconds = math.nan
    if isinstance(setting, bool) or not 0 < seconds < math.inf:
        raise SpaceError((), f"{setting!r} is not how long it may take. Write for example '10 s', or leave it out.")
    return seconds


def _keeps_bonds(setting: Any, base: Path | None) -> KeepsBonds:
    from theoros.oracles.chemistry.tblite_backend import check_tblite

    check_tblite()
    return KeepsBonds(_seconds(setting, RELAXATION))


#: Name -> how a gate of that name is made; every property of a molecule is one besides.
BUILDERS: Mapping[str, Builder] = {
    "alerts": _alerts,
    "size": lambda setting, base: _within("size", "heavy_atoms", setting),
    "charges": _neutral,
    "novelty": _novel,
    "embed": lambda setting, base: Embeds(_seconds(setting, EMBEDDING)),
    "mmff": lambda setting, base: RelaxesInForceField(_seconds(setting, EMBEDDING)),
    "relax": _keeps_bonds,
}
