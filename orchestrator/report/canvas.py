"""Figures that are drawn without a screen."""

from __future__ import annotations

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


def save(figure: Any, path: Path) -> Path:
    """Write the figure to `path` and let go of it."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path
