"""Explanations as people see them: tables in the terminal and plots on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from theoros.models.explain.dependence import Dependence
from theoros.models.explain.sensitivities import Sensitivities
from theoros.models.explain.what_if import LEVELS, Belief
from theoros.orchestrator.report.console import headed
from theoros.orchestrator.report.final import print_rows
from theoros.orchestrator.scorecard import Scorecard

#: What each method of weighing parameters measures.
METHODS: Mapping[str, str] = {
    "sobol": "Sobol indices: shares of the variance of the predicted mean",
    "permutation": "permutation importance: what shuffling a column changes, as a share of the variance",
    "properties": "permutation importance of properties of molecules: what shuffling one costs of R^2",
}


def print_sensitivities(console: Console, card: Scorecard, found: Sensitivities) -> None:
    """Parameters of one output by weight."""
    rows = [
        {"parameter": item.name, "alone": float("nan") if item.first is None else item.first, "in all": item.total}
        | {"90 % of resamples": f"{item.low:.3f} to {item.high:.3f}"}
        for item in found.items
    ]
    alone = ["alone"] if any(item.first is not None for item in found.items) else []
    print_rows(
        console,
        rows,
        ["parameter", *alone, "in all", "90 % of resamples"],
        f"What {card.name_of(found.output)} depends on ({METHODS[found.method]}; n = {found.n})",
    )
    if found.method == "properties":
        _say(console, f"together the properties explain {found.explained:.0%} of the predictions' variance")


def print_dependences(console: Console, card: Scorecard, found: Sequence[Dependence]) -> None:
    """Where the averaged prediction of each parameter is lowest and highest."""
    rows = []
    for item in found:
        low, high = int(np.argmin(item.mean)), int(np.argmax(item.mean))
        rows.append(
            {
                "parameter": item.parameter,
                "lowest": item.mean[low],
                "at": _value(item.values[low]),
                "highest": item.mean[high],
                "at ": _value(item.values[high]),
                "model's own ±": float(np.mean(item.std)),
            }
        )
    if rows:
        title = f"Partial dependence of {card.name_of(found[0].output)} (n = {found[0].n})"
        print_rows(console, rows, list(rows[0]), title)


def print_beliefs(console: Console, card: Scorecard, candidate: str, beliefs: Sequence[Belief]) -> None:
    """What is believed of a candidate, with intervals of labels."""
    rows = [
        {"output": card.name_of(belief.output), "fidelity": belief.fidelity, "mean": belief.mean, "±": belief.label_std}
        | {f"{level:.0%}": "{:.5g} to {:.5g}".format(*belief.intervals[level]) for level in LEVELS}
        for belief in beliefs
    ]
    columns = ["output", "fidelity", "mean", "±", *(f"{level:.0%}" for level in LEVELS)]
    print_rows(console, rows, columns, f"What a label of {candidate} would be")


def print_why(console: Console, card: Scorecard, found: Mapping[str, Any]) -> None:
    """Why a sample was chosen and what came of it."""
    console.print(headed(f"sample {found['number']}", f": {found['candidate']}"), soft_wrap=True)
    _say(console, f"  at fidelity {found['fidelity']}, {found['state']}; proposed by {found['proposer'] or 'nobody'}")
    if found["acquisition"]:
        value = "" if found["value"] is None else f" {found['value']:.5g}"
        _say(console, f"  chosen for its {found['acquisition']}{value}: {found['reason']}")
    elif found["reason"]:
        _say(console, f"  {found['reason']}")
    if (model := found["model"]) is not None:
        errors = ", ".join(
            f"{card.name_of(output)} {error:.3g}" for output, error in model["error"].items() if error is not None
        )
        told = f"; error on labels it had not seen: {errors}" if errors else ""
        _say(console, f"  by model version {model['version']} ({model['surrogate']}, {model['n_labels']} labels{told})")
    if found["seconds"] is not None:
        _say(console, f"  decided in {found['seconds']:.3g} s")
    if found["failure"]:
        _say(console, f"  it brought no label: {found['failure']}")
    rows = [
        {"output": card.name_of(output), "predicted": _or_nan(row["mean"]), "±": _or_nan(row["std"])}
        | {"observed": _or_nan(row["observed"]), "error in ±": _or_nan(row["error_in_std"])}
        for output, row in found["outputs"].items()
    ]
    if rows:
        print_rows(console, rows, list(rows[0]), "What was predicted of it, and what came")


def plot_sensitivities(card: Scorecard, found: Sequence[Sensitivities], path: Path) -> Path:
    """Bars of total weights with their spread, one panel for each output."""
    from theoros.orchestrator.report.canvas import canvas, save

    most = max(len(each.items) for each in found)
    figure, panels = canvas(1, len(found), 4.8 * len(found), 1.4 + 0.28 * most)
    for axes, each in zip(panels, found, strict=True):
        names = [item.name for item in each.items][::-1]
        total = np.array([item.total for item in each.items])[::-1]
        ends = np.array([[item.low, item.high] for item in each.items])[::-1]
        axes.barh(names, total, xerr=np.abs(ends.T - total) * [[1], [1]], color="tab:blue", alpha=0.8, label="in all")
        if all(item.first is not None for item in each.items):
            axes.plot([item.first for item in each.items][::-1], names, "k|", ms=10, mew=2, label="alone")
            axes.legend()
        axes.set_xlabel("share of the predictions' variance" if each.method != "properties" else "loss of R$^2$")
        axes.set_title(card.name_of(each.output), fontsize=10)
    return save(figure, path)


def plot_dependences(card: Scorecard, found: Sequence[Dependence], path: Path) -> Path:
    """The averaged prediction over each parameter; the band is where 90 % of the candidates lie."""
    from theoros.orchestrator.report.canvas import canvas, save

    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, panels = canvas(rows, columns, 4.0 * columns, 3.2 * rows)
    for axes, item in zip(panels, found, strict=False):
        if item.numeric:
            axes.plot(item.values, item.mean, lw=2)
            axes.fill_between(item.values, item.low, item.high, alpha=0.2)
        else:
            places = np.arange(len(item.values))
            spread = np.abs(np.array([item.low, item.high]) - np.array(item.mean))
            axes.errorbar(places, item.mean, yerr=spread, fmt="o", capsize=3)
            axes.set_xticks(places, [_short(value) for value in item.values], rotation=60, ha="right", fontsize=7)
        axes.set_xlabel(item.parameter)
        axes.set_ylabel(card.name_of(item.output))
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    return save(figure, path)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _value(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _short(value: Any, length: int = 16) -> str:
    text = _value(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
