"""From a YAML file, or a mapping, to a `CampaignSpec`; every mistake becomes one `SpecError`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError

#: Bytes of a campaign file, and values in it with what its aliases stand for.
LARGEST_FILE = 4 * 2**20
MOST_VALUES = 1_000_000


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML would silently resolve to the last."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    keys: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in keys:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        keys.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_spec(path: Path) -> CampaignSpec:
    """Read a campaign file. Raises SpecError with the file, the field and the mend."""
    name = path.name
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= LARGEST_FILE else ""
    except FileNotFoundError:
        raise SpecError(f"there is no file {str(path)!r}. Check the path.", file=name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the file can't be read: {error}.", file=name) from None
    if size > LARGEST_FILE:
        raise SpecError(
            f"the file has {size / 2**20:.0f} MiB; {LARGEST_FILE // 2**20} MiB are the most. "
            "Put long lists into a table, and name it in the file.",
            file=name,
        )
    loader = _UniqueKeys(text)
    try:
        data = loader.get_single_data()
    except yaml.YAMLError as error:
        raise SpecError(_yaml_message(error), file=name) from None
    finally:
        loader.dispose()
    _require_modest(data, name)
    if not isinstance(data, dict):
        raise SpecError(
            "the file is not a mapping of fields; a campaign file begins like 'campaign: my-name'.", file=name
        )
    return spec_from_dict(data, file=name)


def _require_modest(data: Any, file: str) -> None:
    """Refuse what aliases blow up: a few lines of YAML can stand for more values than any memory holds."""
    seen, waiting = 0, [data]
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise SpecError(
                f"the file stands for more than {MOST_VALUES} values, with what its aliases (*name) repeat. "
                "Put long lists into a table, and name it in the file.",
                file=file,
            )
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def spec_from_dict(data: Mapping[str, Any], *, file: str = "") -> CampaignSpec:
    """Validate a mapping as a campaign. Raises SpecError for its first mistake."""
    try:
        return CampaignSpec.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = _readable_path(first["loc"], data)
        raise SpecError(_message(first, field), field, file) from None


def _yaml_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or str(error)
    return f"{where}this is not valid YAML: {problem}. Check indentation, brackets and quotes near there."


def _readable_path(loc: tuple[str | int, ...], data: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Pydantic's path as it stands in the file: without the names of union branches, and with the oracle's own name."""
    path = [part for part in loc if not (isinstance(part, str) and ("[" in part or part in {"constrained-int", "int"}))]
    if path[:2] == ["budget", "fidelities"] and not isinstance(data.get("budget", {}).get("fidelities"), dict):
        path.pop(1)
    return tuple(path)


def _message(error: Any, field: tuple[str | int, ...]) -> str:
    if error["type"] == "missing":
        return f"this field is missing. {_HELP.get(str(field[-1]), 'Add it')}."
    if error["type"] == "extra_forbidden":
        known = _fields_at(CampaignSpec, field[:-1])
        close = difflib.get_close_matches(str(field[-1]), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"The fields here are {', '.join(sorted(known))}."
        return f"there is no such field. {hint}"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    given = error.get("input")
    shown = (
        f" (got {given!r})" if isinstance(given, str | int | float | bool | None) and repr(given) not in text else ""
    )
    if error["type"] == "string_pattern_mismatch":
        return f"a name has letters, digits, '.', '_' and '-' only, and starts with a letter or digit{shown}."
    return f"{text[:1].lower()}{text[1:]}{shown}."


_HELP = {
    "campaign": "Give the campaign a name, for example 'campaign: my-first'",
    "question": "Say what you want, for example 'question: {maximize: gap}'",
    "oracle": "Name who is asked, for example 'oracle: {pyscf: {...}}'; `theoros oracles list` shows them",
    "budget": "Say when to stop, for example 'budget: {labels: 60}'",
}


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
