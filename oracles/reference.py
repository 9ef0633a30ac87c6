"""A reference to an oracle: JSON data from which any process can build it."""

from __future__ import annotations

import copy
import difflib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from theoros.oracles.contract import Oracle
from theoros.oracles.failures import OracleFailure
from theoros.oracles.registry import find
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Library, Parameters, Space, space_from_dict
from theoros.oracles.spaces.errors import FieldPath, SpaceError, dotted

#: What the campaign says elsewhere, and so can't be options.
GIVEN_BY_CAMPAIGN = ("space", "base")


class OracleOptionError(ValueError):
    """An oracle's options are wrong. `field` is the path within the options, `message` says what, why and the mend."""

    def __init__(self, field: FieldPath, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{dotted(field)}: {message}" if field else message)

    def __reduce__(self) -> tuple[type[OracleOptionError], tuple[FieldPath, str]]:
        """Pickle by field and message, so that the error crosses process boundaries."""
        return OracleOptionError, (self.field, self.message)


@dataclass(frozen=True)
class OracleReference:
    """Which oracle, with which options, over which space.

    `reference` is what `registry.find` reads. `options` are JSON data. `space` is the campaign's, as `Space.to_dict`
    writes it, or None for the oracle's own. `search_path` is the folder that relative files and ``module:Name`` are
    looked for in. `outputs` are the names that the question needs, or None for all.
    """

    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] | None = None
    search_path: str | None = None
    outputs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            # Through JSON once, so that the numbers YAML allows as keys are text here as they will be in a database.
            options, space = json.loads(json.dumps([self.options, self.space], allow_nan=False))
        except (TypeError, ValueError) as error:
            raise OracleOptionError((), f"the options of {self.reference!r} are not JSON data: {error}.") from None
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "space", space)

    def to_dict(self) -> dict[str, Any]:
        """JSON data that `from_dict` reads."""
        return {
            "reference": self.reference,
            "options": dict(self.options),
            "space": None if self.space is None else dict(self.space),
            "search_path": self.search_path,
            "outputs": None if self.outputs is None else list(self.outputs),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OracleReference:
        """The inverse of `to_dict`."""
        outputs = data.get("outputs")
        return cls(
            data["reference"],
            dict(data.get("options") or {}),
            data.get("space"),
            data.get("search_path"),
            None if outputs is None else tuple(outputs),
        )

    def load(self) -> Oracle:
        """Build the oracle in this process.

        A class or function that the reference names is called with the options as keyword arguments and, where its
        signature takes them, with ``space`` (a Space), ``outputs`` (the names asked for, unless the options declare
        outputs themselves), ``resources`` (a Resources) and ``base`` (the folder of relative files, a Path). A ready
        oracle (a decorated function) takes no options. For either, an option ``resources`` replaces those fields of
        the oracle's own that it names, and ``space`` narrows the oracle's own space.

        Raises OracleNotFoundError, OracleOptionError, SpaceError, or MissingDependency.
        """
        base = None if self.search_path is None else Path(self.search_path)
        target = find(self.reference, base)
        options = dict(self.options)
        wanted = _resources(options.pop("resources", None))
        space = None if self.space is None else space_from_dict(self.space, base)
        if not callable(target) or (not isinstance(target, type) and isinstance(target, Oracle)):
            return self._ready(target, options, wanted, space)
        accepted = _accepted(target)
        given: dict[str, Any] = {"space": space, "base": base}
        if self.outputs is not None and "outputs" not in options:
            given["outputs"] = list(self.outputs)
        if wanted is not None and "resources" in accepted:
            given["resources"] = _merged(accepted["resources"].default, wanted)
        self._check_names(target, accepted, given)
        options |= {name: value for name, value in given.items() if value is not None and name in accepted}
        built = self._call(target, options)
        return _adjusted(built, wanted, None if "space" in accepted else space, self.reference)

    def _ready(self, target: Any, options: Mapping[str, Any], wanted: Resources | None, space: Space | None) -> Oracle:
        if not isinstance(target, Oracle):
            raise OracleOptionError((), f"{self.reference!r} is a {type(target).__name__}, which is no oracle.")
        for name in options:
            raise OracleOptionError((name,), f"{self.reference!r} takes no options but resources. Leave it out.")
        return _adjusted(target, wanted, space, self.reference)

    def _check_names(self, target: Any, parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> None:
        """Raise OracleOptionError for options that the signature lacks, and for those it needs and does not get."""
        keywords = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target).parameters.values())
        listed = [name for name in parameters if name not in GIVEN_BY_CAMPAIGN]
        for name in self.options:
            if name in GIVEN_BY_CAMPAIGN:
                raise OracleOptionError(
                    (name,), f"{name} is no option of an oracle. The campaign declares it by itself."
                )
            if name not in parameters and name != "resources" and not keywords:
                close = difflib.get_close_matches(name, [*listed, "resources"], n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join([*listed, 'resources'])}."
                raise OracleOptionError((name,), f"the oracle {self.reference!r} has no option {name!r}. {hint}")
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in self.options and given.get(name) is None:
                hint = "Declare the campaign's space." if name == "space" else f"Add {name}: and its value."
                raise OracleOptionError((name,), f"the oracle {self.reference!r} needs {name!r}. {hint}")

    def _call(self, target: Any, options: Mapping[str, Any]) -> Oracle:
        try:
            built = target(**options)
        except (OracleOptionError, OracleFailure, SpaceError):
            raise
        except ValidationError as error:
            raise _from_pydantic(error) from error
        except ValueError as error:
            raise OracleOptionError(
                tuple(getattr(error, "field", ())), str(getattr(error, "message", error))
            ) from error
        if not isinstance(built, Oracle):
            lacks = [name for name in _MEMBERS if not hasattr(built, name)]
            raise OracleOptionError((), f"{self.reference!r} builds no oracle: it lacks {', '.join(lacks)}.")
        return built


_MEMBERS = ("name", "space", "outputs", "fidelities", "resources", "deterministic", "cache_version", "evaluate")


def _accepted(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a factory that can be given by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in inspect.signature(target).parameters.items() if p.kind in by_name}


def _resources(data: Any) -> Resources | None:
    if data is None or isinstance(data, Resources):
        return data
    if not isinstance(data, Mapping):
        raise OracleOptionError(("resources",), f"{data!r} is not a mapping. Write for example num_cpus: 2.")
    try:
        return Resources(**data)
    except ValidationError as error:
        wrapped = _from_pydantic(error, Resources.model_fields)
        raise OracleOptionError(("resources", *wrapped.field), wrapped.message) from error


def _merged(own: Any, wanted: Resources) -> Resources:
    """The oracle's own resources with the fields that `wanted` was given explicitly."""
    if not isinstance(own, Resources):
        return wanted
    return own.model_copy(update={name: getattr(wanted, name) for name in wanted.model_fields_set})


def _adjusted(oracle: Oracle, wanted: Resources | None, space: Space | None, reference: str) -> Oracle:
    """A copy of `oracle` with other resources or another space; itself when neither is asked for."""
    changes: dict[str, Any] = {}
    if wanted is not None:
        changes["resources"] = _merged(oracle.resources, wanted)
    if space is not None and space != oracle.space:
        _check_narrowing(oracle.space, space, reference)
        changes["space"] = space
    if not changes:
        return oracle
    oracle = copy.copy(oracle)  # a decorated function is shared by everyone who imports its module
    for name, value in changes.items():
        try:
            object.__setattr__(oracle, name, value)
        except AttributeError as error:
            raise OracleOptionError(
                (name,), f"the oracle {reference!r} computes its {name} itself, so they can't be set. Leave them out."
            ) from error
    return oracle


def _check_narrowing(own: Space, wanted: Space, reference: str) -> None:
    if own.kind != wanted.kind:
        raise SpaceError((), f"the oracle {reference!r} answers candidates of kind {own.kind!r}, not {wanted.kind!r}.")
    if isinstance(own, Parameters) and isinstance(wanted, Parameters | Library):
        names = set(wanted.parameters if isinstance(wanted, Parameters) else wanted.inputs)
        if names != set(own.parameters):
            raise SpaceError(
                ("parameters",),
                f"the oracle {reference!r} has {list(own.parameters)}, the campaign {sorted(names)}. "
                "Declare the same names, or leave out the space.",
            )


def _from_pydantic(error: ValidationError, fields: Mapping[str, Any] | None = None) -> OracleOptionError:
    """The first problem that pydantic found, in our words where pydantic's are for programmers."""
    first = error.errors(include_url=False)[0]
    path: FieldPath = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(path[-1]), list(fields or ()), n=1)
        hint = (
            f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(fields)}." if fields else "Leave it out."
        )
        return OracleOptionError(path, f"there is no field {path[-1]!r} here. {hint}")
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    # Validators of ours and of an oracle's author quote the value already, in full sentences.
    if first["type"] == "value_error" or repr(first["input"]) in message:
        return OracleOptionError(path, message if message.endswith("?") else f"{message}.")
    return OracleOptionError(path, f"{message}; got {first['input']!r}.")
