"""Design spaces from the data of a campaign file, which is the language of `Space.to_dict` too."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.conditions import When
from theoros.oracles.spaces.constraints import LinearConstraint
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.library import Library
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.one_parameter import Categorical, Integer, Ordinal, Parameter, Real
from theoros.oracles.spaces.parameters import Parameters
from theoros.oracles.spaces.starting_molecules import ZINC

_RANGE = re.compile(r"\s*([-+]?[\d.]+?(?:[eE][-+]?\d+)?)\s*\.\.\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


def space_from_dict(data: Any, base: Path | None = None) -> Space:
    """Build the space that `data` declares; relative file names are taken from the folder `base`.

    ``{parameters: {x: {real: [0, 1]}, ...}, constraints: [...]}``, ``{molecules: {...}}`` or ``{library: {...}}``.
    Raises SpaceError with the path of the field within `data`.
    """
    mapping = _mapping(data, ())
    _known(mapping, ("parameters", "constraints", "molecules", "library"), ())
    kinds = [kind for kind in ("parameters", "molecules", "library") if kind in mapping]
    if len(kinds) != 1:
        given = " and ".join(kinds) or "none of them"
        raise SpaceError((), f"it declares {given}. Write exactly one of parameters, molecules and library.")
    if kinds[0] == "parameters":
        return _parameters(mapping)
    if "constraints" in mapping:
        raise SpaceError(("constraints",), "constraints belong to parameters. Put other conditions into the question.")
    return _molecules(mapping["molecules"], base) if kinds[0] == "molecules" else _library(mapping["library"], base)


def _parameters(mapping: Mapping[str, Any]) -> Parameters:
    declared, conditions = {}, {}
    for name, item in _mapping(mapping["parameters"], ("parameters",)).items():
        field = ("parameters", name)
        given = dict(_mapping(item, field))
        if (when := given.pop("when", None)) is not None:
            conditions[name] = _when(when, (*field, "when"))
        declared[name] = _parameter(given, field)
    listed = mapping.get("constraints") or []
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list | tuple):
        raise SpaceError(("constraints",), 'it is not a list. Write for example ["x + 2*y <= 3"].')
    constraints = [_constraint(item, i) for i, item in enumerate(listed)]
    return Parameters(declared, constraints=constraints, conditions=conditions)


def _when(item: Any, field: tuple[str | int, ...]) -> When:
    """``{ligand: [A, B]}`` or ``{ligand: A}``."""
    mapping = _mapping(item, field)
    if len(mapping) != 1:
        raise SpaceError(field, "it must name one parameter and its values, for example when: {ligand: [A, B]}.")
    ((name, values),) = mapping.items()
    return When(name, tuple(values) if isinstance(values, list | tuple) else (values,))


def _parameter(item: Any, field: tuple[str | int, ...]) -> Parameter:
    builders: dict[str, Callable[..., Parameter]] = {
        "real": Real, "integer": Integer, "categorical": Categorical, "ordinal": Ordinal, "molecule": _molecule
    }  # fmt: skip
    mapping = _mapping(item, field)
    kinds = [kind for kind in builders if kind in mapping]
    if len(kinds) != 1:
        _known(mapping, (*builders, "unit", "log", "step", "smiles", "descriptors", "when"), field)
        raise SpaceError(field, f"it must have exactly one of {', '.join(builders)}. Write for example real: [0, 1].")
    kind, extra = kinds[0], {key: value for key, value in mapping.items() if key != kinds[0]}
    by_kind = {
        "real": ("unit", "log", "step"), "integer": ("unit", "log"), "categorical": ("unit", "smiles", "descriptors")
    }  # fmt: skip
    allowed = by_kind.get(kind, ("unit",))
    _known(extra, allowed, field, also=(kind,))
    if not isinstance(extra.get("unit", ""), str):
        raise SpaceError((*field, "unit"), f"{extra['unit']!r} is not a unit. Write text such as 'angstrom'.")
    if not isinstance(extra.get("log", False), bool):
        raise SpaceError((*field, "log"), f"{extra['log']!r} is not true or false.")
    if extra.get("step") is not None:
        extra["step"] = _number(extra["step"], (*field, "step"))
    try:
        if kind in ("real", "integer"):
            low, high = _range(mapping[kind], (*field, kind))
            return builders[kind](low, high, **extra)
        for told in ("smiles", "descriptors"):
            if extra.get(told) is not None:
                extra[told] = _mapping(extra[told], (told,))
        if kind == "molecule" and isinstance(mapping[kind], Mapping):
            return Categorical(*mapping[kind], smiles=_mapping(mapping[kind], ()), **extra)
        if not isinstance(mapping[kind], list | tuple):
            raise SpaceError((), f"{mapping[kind]!r} is not a list. Write the choices in brackets: [a, b].")
        return builders[kind](*mapping[kind], **extra)
    except SpaceError as error:
        raise (error if error.field[: len(field)] == field else error.under(*field, kind)) from None


def _molecule(*smiles: Any, unit: str = "") -> Categorical:
    """A choice between molecules that are called by their SMILES."""
    return Categorical(*smiles, unit=unit, smiles={text: text for text in smiles})


def _constraint(item: Any, index: int) -> LinearConstraint | str:
    if isinstance(item, str):
        return item
    field = ("constraints", index)
    mapping = _mapping(item, field)
    _known(mapping, ("coefficients", "op", "bound"), field)
    for key in ("coefficients", "op", "bound"):
        if key not in mapping:
            raise SpaceError((*field, key), "it is missing. A constraint has coefficients, op and bound.")
    coefficients = {
        name: _number(value, (*field, "coefficients", name))
        for name, value in _mapping(mapping["coefficients"], (*field, "coefficients")).items()
    }
    try:
        return LinearConstraint(coefficients, mapping["op"], _number(mapping["bound"], (*field, "bound")))
    except SpaceError as error:
        raise error.under(*field) from None


def _molecules(item: Any, base: Path | None) -> Molecules:
    field = ("molecules",)
    mapping = dict(_mapping(item or {}, field))
    _known(mapping, tuple(inspect.signature(Molecules).parameters), field)
    if "heavy_atoms" in mapping:
        low, high = _range(mapping["heavy_atoms"], (*field, "heavy_atoms"), example="2..9")
        mapping["heavy_atoms"] = (low, high)
    for name in ("elements", "forbid"):
        if name in mapping and not isinstance(mapping[name], list | tuple):
            raise SpaceError((*field, name), f"{mapping[name]!r} is not a list. Write it in brackets.")
    for name in ("alerts", "stereo"):
        if not isinstance(mapping.get(name, False), bool):
            raise SpaceError((*field, name), f"{mapping[name]!r} is not true or false.")
    if (file := mapping.get("file")) is not None:
        if not isinstance(file, str):
            raise SpaceError((*field, "file"), f"{file!r} is no file. Name a .smi, CSV or Parquet file.")
        mapping["file"] = file if base is None or file == ZINC else str((base / file).resolve())
    try:
        return Molecules(**mapping)
    except SpaceError as error:
        raise error.under(*field) from None


def _library(item: Any, base: Path | None) -> Library:
    field = ("library",)
    mapping: dict[str, Any] = {"file": item} if isinstance(item, str) else dict(_mapping(item, field))
    _known(mapping, tuple(inspect.signature(Library).parameters), field)
    if not isinstance(mapping.get("file"), str):
        raise SpaceError((*field, "file"), "it is missing. Name a CSV, Parquet or .smi file.")
    for name in ("columns", "exclude", "molecules"):
        if mapping.get(name) is not None:
            if not isinstance(mapping[name], list | tuple):
                raise SpaceError((*field, name), f"{mapping[name]!r} is not a list. Write it in brackets.")
            mapping[name] = tuple(str(column) for column in mapping[name])
    mapping["units"] = dict(_mapping(mapping.get("units") or {}, (*field, "units")))
    if base is not None:
        mapping["file"] = str((base / mapping["file"]).resolve())
    try:
        return Library(**mapping)
    except SpaceError as error:
        raise error.under(*field) from None


def _mapping(data: Any, field: tuple[str | int, ...]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise SpaceError(field, f"{data!r} is not a mapping. Write 'name: value' pairs.")
    for key in data:
        if not isinstance(key, str):
            raise SpaceError(field, f"the name {key!r} was read as {type(key).__name__}. Put it in quotes.")
    return data


def _known(
    mapping: Mapping[str, Any], allowed: tuple[str, ...], field: tuple[str | int, ...], also: tuple[str, ...] = ()
) -> None:
    for key in mapping:
        if key not in allowed:
            close = difflib.get_close_matches(key, (*allowed, *also), n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join((*also, *allowed))}."
            raise SpaceError((*field, key), f"there is no field {key!r} here. {hint}")


def _range(value: Any, field: tuple[str | int, ...], example: str = "[0, 1]") -> tuple[Any, Any]:
    """Two numbers from ``[low, high]`` or ``low..high``."""
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        value = [match[1], match[2]]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise SpaceError(field, f"{value!r} is not a range. Write for example {example}.")
    return _number(value[0], field), _number(value[1], field)


def _number(value: Any, field: tuple[str | int, ...]) -> Any:
    """A number; YAML 1.1 reads ``1e-3`` as text, so text that is a number counts as one."""
    if isinstance(value, str):
        for convert in (int, float):
            try:
                return convert(value)
            except ValueError:
                continue
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(field, f"{value!r} is not a number.")
    return value
