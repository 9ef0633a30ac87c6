"""Pictures of a twin's answers beside its oracle's: what came, one draw of each, and how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from theoros.db import Store
from theoros.models.data import Array
from theoros.models.twins.unseen import DRAWN, Unseen
from theoros.orchestrator.report.canvas import canvas, plain
from theoros.orchestrator.report.twin import numeric_inputs

#: Labels that are worth a picture, rows of panels at most, and errors (deviations) from which on colours are alike.
LEAST, MOST_ROWS, FAR = 5, 3, 3.0


@dataclass(frozen=True)
class Beside:
    """Labels (p) that a twin had not seen, one draw of each, and the mean and deviation of its other draws: ``p x m``.

    `names` (m) are the outputs with their units; `inputs` are the parameters that are numbers, by name, p each.
    """

    names: tuple[str, ...]
    observed: Array
    draw: Array
    mean: Array
    std: Array
    inputs: dict[str, Array]


def beside(store: Store, campaign: str, name_of: Callable[[str], str]) -> Beside | None:
    """All labels of which model versions keep a draw, in the order of versions; None where they are too few to show.

    `name_of` gives an output's name with its unit.
    """
    records = [Unseen.recorded(version.hyperparameters.get(DRAWN)) for version in store.model_versions(campaign)]
    known = [record for record in records if record is not None]
    if not known:
        return None
    outputs, labels = known[-1].outputs, {label.sequence: label for label in store.label_records(campaign)}
    rows, asked = [], []
    for record in known:
        for place, number in enumerate(record.labels):
            label = labels.get(number)
            if record.outputs != outputs or label is None or any(output not in label.values for output in outputs):
                continue
            told = [[own[place] for own in columns] for columns in (record.draw, record.mean, record.std)]
            rows.append([[float(label.values[output]) for output in outputs], *told])
            asked.append(label.candidate.data)
    values = np.array(rows, dtype=np.float64).reshape(len(rows), 4, len(outputs))
    whole = np.asarray(np.isfinite(values).all((1, 2)))
    if whole.sum() < LEAST:
        return None
    inputs = numeric_inputs([data for data, kept in zip(asked, whole, strict=True) if kept])
    observed, draw, mean, std = values[whole].transpose(1, 0, 2)
    return Beside(tuple(map(name_of, outputs)), observed, draw, mean, std, inputs)


def events_figure(found: Beside) -> Any:
    """Rows of three panels: labels, draws at the same conditions, and labels less the mean draw.

    The first output is across and another one up; a single output is shown over the first parameter. Colours of labels
    and draws tell the first parameter, those of differences how many deviations the label is from the mean draw.
    """
    pairs = _pairs(found)
    figure, panels = canvas(len(pairs), 3, 11.0, 3.3 * len(pairs))
    shade = _shade(found)
    far = _deviations(found)
    for row, (across, up) in enumerate(pairs):
        came, drew, apart = panels[3 * row : 3 * row + 3]
        for axes, values, title in ((came, found.observed, "oracle"), (drew, found.draw, "twin, one draw of each")):
            marks = axes.scatter(_across(found, values, across), values[:, up], s=18, alpha=0.8, **shade)
            _titles(axes, title if row == 0 else "", found, across, up)
        _same_limits(came, drew)
        error = found.observed - found.mean
        last = far[:, up] if across is None else np.maximum(far[:, across], far[:, up])
        apart.axhline(0, color="0.4", lw=1)
        if across is not None:
            apart.axvline(0, color="0.4", lw=1)
        sizes = apart.scatter(
            _across(found, error, across), error[:, up], s=18, c=last, cmap="inferno_r", vmin=0, vmax=FAR
        )
        _titles(apart, "difference: oracle less mean draw" if row == 0 else "", found, across, up)
        if "c" in shade:
            figure.colorbar(marks, ax=drew, label=plain(next(iter(found.inputs))), pad=0.02)
        figure.colorbar(sizes, ax=apart, label="deviations of the draws", extend="max", pad=0.02)
    return figure


def _deviations(found: Beside) -> Array:
    """How many deviations of the draws the labels are from their mean, ``p x m``.

    Draws that are all alike are very far from any other label, though not infinitely: a figure leaves such points out.
    """
    error = np.abs(found.observed - found.mean)
    return error / np.maximum(found.std, 1e-6 * error + np.finfo(np.float64).tiny)


def _pairs(found: Beside) -> Sequence[tuple[int | None, int]]:
    """Which output is across (None: the first parameter), and which is up."""
    if len(found.names) == 1:
        return [(None, 0)]
    return [(0, up) for up in range(1, len(found.names))][:MOST_ROWS]


def _across(found: Beside, values: Array, across: int | None) -> Array:
    if across is not None:
        return values[:, across]
    return next(iter(found.inputs.values()), np.arange(1.0, len(values) + 1))


def _shade(found: Beside) -> dict[str, Any]:
    """Colours by the first parameter; none where that is what is across, or where there is none."""
    if not found.inputs or len(found.names) == 1:
        return {"color": "tab:blue"}
    values = next(iter(found.inputs.values()))
    wide = values.min() > 0 and values.max() > 30 * values.min()
    norm = (LogNorm if wide else Normalize)(values.min(), values.max())
    return {"c": values, "cmap": "viridis", "norm": norm}


def _titles(axes: Any, title: str, found: Beside, across: int | None, up: int) -> None:
    if title:
        axes.set_title(title, fontsize="medium")
    named = next(iter(found.inputs), "label") if across is None else found.names[across]
    axes.set_xlabel(plain(named))
    axes.set_ylabel(plain(found.names[up]))


def _same_limits(first: Any, second: Any) -> None:
    """Both panels show the same part of the plane."""
    for name in ("xlim", "ylim"):
        ends = [*getattr(first, f"get_{name}")(), *getattr(second, f"get_{name}")()]
        for axes in (first, second):
            getattr(axes, f"set_{name}")(min(ends), max(ends))
