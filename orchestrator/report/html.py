"""HTML that is written by code: what is not marked as HTML is escaped, so that data stays data."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

#: Elements that have no content and no end tag.
_EMPTY = frozenset({"br", "hr", "img", "meta"})


class Html(str):
    """Text that is HTML already; only this module, and whoever draws an SVG, makes any from text."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | int | None) -> Html:
    """An element. Text among `children` is escaped, HTML is taken as it is, None is left out.

    A trailing underscore of an attribute's name is dropped (``class_``), others become hyphens; None leaves it out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Iterable[str | None]) -> Html:
    """HTML and text (which is escaped), one after the other."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts if part is not None))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[str] = ()) -> Html:
    """A table with a heading; the columns in `numeric` are aligned to the right."""
    kinds = ["number" if column in numeric else None for column in columns]
    head = tag("tr", *(tag("th", column, class_=kind) for column, kind in zip(columns, kinds, strict=True)))
    body = [tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return tag("table", tag("thead", head), tag("tbody", *body))


def image(png: bytes, alt: str) -> Html:
    """A picture that is part of the page."""
    return tag("img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}", alt=alt)


def number(value: float | None, unit: str = "", digits: int = 5) -> str:
    """A number with its unit; a dash for none, and for NaN."""
    if value is None or value != value:
        return "–"
    return f"{value:.{digits}g} {unit}".rstrip()
