"""Figures that are drawn without a screen."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


def canvas(rows: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure (inches) and its panels, row by row."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    return figure, list(panels.flat)


def plain(text: str) -> str:
    """Text of any origin for a figure, in which dollars are no formula."""
    return text.replace("$", r"\$")


def save(figure: Any, path: Path) -> Path:
    """Write the figure to `path` and let go of it."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path


def as_png(figure: Any) -> bytes:
    """The figure as a PNG that a page can hold, and let go of it."""
    from matplotlib import pyplot

    target = io.BytesIO()
    figure.savefig(target, dpi=100, format="png")
    pyplot.close(figure)
    return target.getvalue()
