"""Pictures of an array beside what a twin drew of it: as curves where it has one axis, as images where it has two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.db import Store
from theoros.models.data import Array
from theoros.models.twins.unseen import DRAWN, PICTURED
from theoros.orchestrator.report.canvas import canvas, plain


@dataclass(frozen=True)
class PicturedArray:
    """An array of evaluation `label` as the oracle gave it (`exact`, ``*shape``), and one draw of each member of the
    model before version `version`, ``members x *shape``. `name` has its unit.
    """

    name: str
    label: int
    version: int
    exact: Array
    draws: Array


def pictured_arrays(store: Store, campaign: str, name_of: Callable[[str], str]) -> list[PicturedArray]:
    """The arrays of one or two axes of the last version that keeps draws of any; empty where none does.

    `name_of` gives an output's name with its unit.
    """
    for version in reversed(store.model_versions(campaign)):
        label = (version.hyperparameters.get(DRAWN) or {}).get(PICTURED)
        if label is None or not version.arrays:
            continue
        record = next((one for one in store.label_records(campaign) if one.sequence == label), None)
        if record is None:
            continue
        found = []
        for name, stored in version.arrays.items():
            exact = np.asarray(record.values[name]) if name in record.values else np.empty(())
            if exact.ndim in (1, 2) and stored.shape[1:] == exact.shape:  # roll-outs have another
                found.append(PicturedArray(name_of(name), label, version.number, exact, stored.read()))
        if found:
            return found
    return []


def array_figure(found: PicturedArray) -> Any:
    """Three panels: the oracle, the twin, and the oracle less the mean of the draws.

    Of curves every member's draw is shown over the label, of images the first member's, in the colours of the label.
    """
    figure, (came, drew, apart) = canvas(1, 3, 11.0, 3.3)
    error = found.exact - found.draws.mean(0)
    if found.exact.ndim == 1:
        came.plot(found.exact, color="tab:blue", lw=1.2)
        drew.plot(found.draws.T, color="tab:red", lw=0.7, alpha=0.6)
        apart.axhline(0, color="0.4", lw=1)
        apart.plot(error, color="0.2", lw=1.2)
        for axes in (came, drew, apart):
            axes.set_xlabel("place along the array")
        came.set_ylabel(plain(found.name))
        low, high = min(found.exact.min(), found.draws.min()), max(found.exact.max(), found.draws.max())
        for axes in (came, drew):
            axes.set_ylim(low - 0.05 * (high - low) - 1e-12, high + 0.05 * (high - low) + 1e-12)
    else:
        limits = {"vmin": float(found.exact.min()), "vmax": float(found.exact.max())}
        far = float(np.abs(error).max()) or 1.0
        came.imshow(found.exact, aspect="auto", **limits)
        shown = drew.imshow(found.draws[0], aspect="auto", **limits)
        differs = apart.imshow(error, aspect="auto", cmap="RdBu", vmin=-far, vmax=far)
        for axes in (came, drew, apart):
            axes.grid(visible=False)
        figure.colorbar(shown, ax=drew, label=plain(found.name), extend="both", pad=0.02)
        figure.colorbar(differs, ax=apart, label=plain(found.name), pad=0.02)
    draws = "a draw of each member" if found.exact.ndim == 1 else "one draw"
    for axes, title in ((came, "oracle"), (drew, f"twin, {draws}"), (apart, "difference: oracle less mean draw")):
        axes.set_title(title, fontsize="medium")
    return figure
