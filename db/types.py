"""Column types that take what the world sends (NUL bytes, NaN, NumPy scalars) and keep what both back ends can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import JSON, Dialect, Double, Text, TypeDecorator

from theoros.db.errors import StoreError

#: Characters of a JSON text; an answer can be as long (256 MiB).
LARGEST_JSON = 2**28


def plain(value: Any) -> Any:
    """`value` as strict JSON data: NumPy becomes Python, NaN and infinity become None, and keys become text."""
    if value is None or isinstance(value, bool | int | str):
        return clean(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    raise TypeError(
        f"{type(value).__name__} is not JSON data; the store keeps numbers, texts, lists and mappings of them"
    )


def dumps(value: Any) -> str:
    """Strict JSON text, with keys in their given order."""
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=True)


def loads(text: str | bytes) -> Any:
    """The data of a JSON text from a database, which anybody may have written to: no larger than an answer can be, and
    no deeper than Python can go.

    Raises StoreError.
    """
    if len(text) > LARGEST_JSON:
        raise StoreError(
            f"The database holds a JSON text of {len(text)} characters. Theoros writes none that is longer than "
            f"{LARGEST_JSON}. Something else has written to the database."
        )
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"The database holds a JSON text that cannot be read: {error}. Something else has written to the database."
        ) from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def clean(text: str) -> str:
    """`text` as both back ends can hold it: PostgreSQL refuses NUL, and UTF-8 refuses lone surrogates."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


class SafeText(TypeDecorator[str]):
    """Text of any origin, such as a child process's captured output."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Send text without NUL and lone surrogates."""
        return None if value is None else clean(value)


class Number(TypeDecorator[float]):
    """A float64 where NaN and infinity are kept as NULL, since SQLite has no NaN."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Send a finite float or NULL."""
        return None if value is None or not math.isfinite(value) else float(value)


class JsonData(TypeDecorator[Any]):
    """JSON kept as text with its key order (PostgreSQL `json`, not `jsonb`: a specification's order can matter)."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Send strict JSON data."""
        return plain(value)
