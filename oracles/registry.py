"""Where oracles are found: by built-in name, by entry point, or by ``module:Name``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from theoros.oracles.failures import MissingDependency

#: A package publishes its oracles under this entry-point group: ``name = "package.module:Class"``.
ENTRY_POINT_GROUP = "theoros.oracles"

#: Name -> ``module:Class``. Strings, so that listing them imports nothing.
BUILT_IN: Mapping[str, str] = {
    "pyscf": "theoros.oracles.chemistry.oracle:PySCFOracle",
    "xtb": "theoros.oracles.chemistry.oracle:XTBOracle",
    "ase": "theoros.oracles.ase_calculator:ASEOracle",
    "scattering": "theoros.oracles.physics.scattering:ScatteringOracle",
    "command": "theoros.oracles.command:CommandOracle",
    "synthetic": "theoros.oracles.synthetic:SyntheticOracle",
    "lookup": "theoros.oracles.lookup:LookupOracle",
    "foam": "theoros.oracles.physics.foam.oracle:FoamOracle",
}

SUMMARIES: Mapping[str, str] = {
    "pyscf": "quantum chemistry with PySCF, from GFN-xTB through DFT to coupled cluster",
    "xtb": "semi-empirical quantum chemistry, GFN1-xTB and GFN2-xTB by tblite",
    "ase": "any ASE calculator",
    "scattering": "a charged particle scattered by fixed charges, with a detector's noise",
    "command": "any program: JSON in, JSON out",
    "synthetic": "a test function of BoTorch, with noise, delays and failures on demand",
    "lookup": "a table of known answers, to rehearse a campaign",
    "foam": "a two-dimensional dry foam that coarsens, exactly or as a Potts model",
}


class OracleNotFoundError(ValueError):
    """No oracle answers to this reference; the message says which there are."""


class Listing(NamedTuple):
    """One line of ``theoros oracles list``: name, where it comes from, what it is."""

    name: str
    source: str
    summary: str


def available() -> list[Listing]:
    """All oracles that can be named, built-in ones first, without importing any of them."""
    listed = [Listing(name, "built-in", SUMMARIES[name]) for name in BUILT_IN]
    for point in sorted(_entry_points(), key=lambda point: point.name):
        if point.name not in BUILT_IN:
            summary = (point.dist.metadata.json.get("summary") or "") if point.dist else ""
            listed.append(Listing(point.name, _distribution(point), str(summary)))
    return listed


def find(reference: str, search_path: Path | None = None) -> Any:
    """The class, factory or ready oracle that `reference` names.

    `reference` is a built-in name, the name of an entry point in the group ``theoros.oracles``, or ``module:Name``
    with modules looked for in the folder `search_path` first (a campaign's own folder). A built-in name can't be
    taken by an entry point. Raises OracleNotFoundError with the closest names, or MissingDependency when the oracle is
    there and a library that it imports is not.
    """
    if reference in BUILT_IN:
        return _attribute(BUILT_IN[reference], reference)
    if ":" in reference:
        return _attribute(reference, reference, search_path)
    points = [point for point in _entry_points() if point.name == reference]
    if len({point.value for point in points}) > 1:
        sources = " and ".join(sorted(_distribution(point) for point in points))
        raise OracleNotFoundError(
            f"the oracle {reference!r} is published by {sources}. Name yours as module:Name, for example "
            f"{points[0].value}."
        )
    if points:
        return _attribute(points[0].value, reference)
    names = [listing.name for listing in available()]
    close = difflib.get_close_matches(reference, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(names)}, or write module:Name."
    raise OracleNotFoundError(f"there is no oracle {reference!r}. {hint}")


def look_in(folder: Path) -> None:
    """Let this process find modules in `folder`, a campaign's own, before any others.

    For good: what is found there may import its neighbours later, when it is asked.
    """
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.insert(0, path)
        importlib.invalidate_caches()


def _entry_points() -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINT_GROUP))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _attribute(target: str, reference: str, search_path: Path | None = None) -> Any:
    """Import ``module:Name``; `Name` may be dotted."""
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name or not module_name or not attribute:
        raise OracleNotFoundError(
            f"{reference!r} can't be read as module:Name. Write my_oracle:Reactor for Reactor in my_oracle.py."
        )
    if search_path is not None:
        look_in(search_path)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            where = f" in {search_path} or among the installed packages" if search_path else ""
            raise OracleNotFoundError(f"{reference!r}: there is no module {missing!r}{where}.") from None
        raise MissingDependency(
            f"the oracle {reference!r} needs the module {missing!r}, which is not installed. Install the package that "
            "has it in the environment of Theoros."
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, [name for name in vars(found) if name[0] != "_"], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise OracleNotFoundError(f"{reference!r}: the module {module_name!r} has no {part!r}.{hint}")
        found = getattr(found, part)
    return found
