"""Plots of a campaign: progress beside its controls, predictions beside what came, and calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theoros.db import Store, overview
from theoros.db.records import LabelRecord, ModelVersionRecord
from theoros.models.learning_error import learning_error
from theoros.models.pareto import non_dominated
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.report.canvas import canvas, plain, save
from theoros.orchestrator.report.hypervolume import hypervolume_so_far, reference
from theoros.orchestrator.scorecard import Scorecard

if TYPE_CHECKING:
    import pandas as pd

#: Panels of a front at most: all pairs of four objectives.
MOST_PAIRS = 6


def plot_campaign(store: Store, campaign: str, folder: Path) -> list[Path]:
    """Draw all plots that the campaign has data for into `folder` and return their paths.

    ``progress.png`` (best so far, or the hypervolume, over cost, controls beside it), ``predictions.png`` (predicted
    against observed, each predicted before its label was seen) and ``calibration.png``; for molecules
    ``molecules.png``, the best ones drawn; for several objectives ``front.png``, each two of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [save(figure, folder / f"{name}.png") for name, figure in figures(store, campaign)]
    if (grid := _molecules(store, campaign, folder / "molecules.png")) is not None:
        paths.append(grid)
    return paths


def figures(store: Store, campaign: str) -> Iterator[tuple[str, Any]]:
    """The figures of `plot_campaign`, by the names of their files without suffix."""
    card = scorecard(store, campaign)
    yield "progress", _progress(store, campaign)
    checks = store.checks(campaign)
    goals = card.objectives if card.goal == "learn" else card.objectives[:1]
    tested = {goal.output: checks[checks["output"] == goal.output] for goal in goals} if len(checks) else {}
    if tested and all(len(own) >= 3 for own in tested.values()):
        yield "predictions", _predictions(card, tested)
        yield "calibration", _calibration(card, tested)
    if card.several:
        yield "front", _front(store, campaign, card)


def controls_of(store: Store, campaign: str) -> list[str]:
    """Names of the campaigns that were run as controls of this one."""
    return [record.name for record in store.campaigns() if record.control_of == campaign]


def _progress(store: Store, campaign: str) -> Any:
    card = scorecard(store, campaign)
    figure, (axes,) = canvas(1, 1, 6.0, 4.2)
    names = (campaign, *controls_of(store, campaign))
    found = {name: store.label_records(name) for name in names}
    start = reference(card, [label for labels in found.values() for label in labels]) if card.several else None
    for name, labels in found.items():
        if card.goal == "learn":
            known, errors = error_curve(card, store.model_versions(name), found)
            if known:
                axes.plot(known, errors, **({"lw": 2} if name == campaign else {"lw": 1.5, "ls": "--"}), label=name)
            continue
        series = card.best_so_far(labels) if start is None else hypervolume_so_far(card, labels, start)
        spent, cost = [], 0.0
        for label in labels:
            cost += card.cost_table[label.fidelity]
            if card.utilities(label) is not None:
                spent.append(cost)
        style = {"lw": 2} if name == campaign else {"lw": 1.5, "ls": "--"}
        axes.step(spent, series, where="post", label=name, **style)
    axes.set_xlabel(plain(f"cost (labels at {card.target!r})") if card.goal != "learn" else "labels")
    best = "hypervolume" if card.several else f"best {card.name_of(card.objective.output)}"
    axes.set_ylabel(plain(best if card.goal != "learn" else card.error_label))
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def error_curve(
    card: Scorecard, versions: Sequence[ModelVersionRecord], labels: Mapping[str, Sequence[LabelRecord]]
) -> tuple[list[int], list[float]]:
    """How many labels each model version knew, and its error on those that it had not seen.

    Several outputs are told in units of their spread over all `labels`, those of the campaign and of its controls, so
    that their curves compare (`theoros.models.learning_error`).
    """
    outputs = [goal.output for goal in card.objectives]
    everything = [label for own in labels.values() for label in own if label.fidelity == card.target]
    values = [[float(label.values[output]) for label in everything if output in label.values] for output in outputs]
    spreads = [float(np.std(own)) if own else 0.0 for own in values]
    spent, series = [], []
    for version in versions:
        told = {score.output: score.value for score in version.scores if score.metric == "rmse"}
        if all(output in told for output in outputs):
            spent.append(version.n_labels)
            series.append(learning_error([told[output] for output in outputs], spreads))
    return spent, series


def _front(store: Store, campaign: str, card: Scorecard) -> Any:
    """All labels by each two objectives, and those that no other is better than (in all objectives)."""
    labels = [label for label in store.label_records(campaign) if card.utilities(label) is not None]
    outputs = [goal.output for goal in card.objectives]
    values = {output: np.array([float(label.values[output]) for label in labels]) for output in outputs}
    kept = np.array([card.feasible(label) for label in labels], dtype=bool)
    best = np.zeros(len(labels), dtype=bool)
    if kept.any():
        best[kept] = non_dominated(np.array([card.utilities(label) for label in labels])[kept])
    pairs = list(combinations(outputs, 2))[:MOST_PAIRS]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, panels = canvas(rows, columns, 5.2 if columns == 1 else 4.0 * columns, 4.4 if rows == 1 else 3.6 * rows)
    for axes, (first, second) in zip(panels, pairs, strict=False):
        x, y = values[first], values[second]
        if not kept.all():
            axes.scatter(x[~kept], y[~kept], s=14, c="0.8", label="not feasible")
        axes.scatter(x[kept & ~best], y[kept & ~best], s=16, c="tab:blue", alpha=0.6, label="feasible")
        axes.scatter(x[best], y[best], s=36, c="tab:red", label="front")
        axes.set_xlabel(plain(card.name_of(first)))
        axes.set_ylabel(plain(card.name_of(second)))
    for axes in panels[len(pairs) :]:
        axes.set_visible(False)
    panels[0].legend()
    return figure


def _predictions(card: Scorecard, tested: Mapping[str, pd.DataFrame]) -> Any:
    """A panel for each output."""
    from scipy.stats import t

    figure, panels = canvas(1, len(tested), 4.6 * len(tested), 4.4)
    for axes, (output, checks) in zip(panels, tested.items(), strict=True):
        for fidelity, own in checks.groupby("fidelity"):
            half, style = t.ppf(0.95, _tails(own)) * own["std"], {"fmt": "o", "ms": 4, "lw": 0.8, "alpha": 0.7}
            axes.errorbar(own["observed"], own["mean"], yerr=half, label=plain(str(fidelity)), **style)
        ends = [checks[["observed", "mean"]].to_numpy().min(), checks[["observed", "mean"]].to_numpy().max()]
        axes.plot(ends, ends, "k--", lw=1)
        axes.set_xlabel(plain(f"observed {card.name_of(output)}"))
    panels[0].set_ylabel("predicted before it was seen (90 % interval)")
    if len(card.fidelities) > 1:
        panels[0].legend()
    return figure


def _tails(checks: pd.DataFrame) -> Any:
    """Degrees of freedom of what was told, shape (n,): infinitely many where the database has none."""
    return checks["tail"].to_numpy(dtype=float, na_value=np.inf)


def _calibration(card: Scorecard, tested: Mapping[str, pd.DataFrame]) -> Any:
    """One curve for each output."""
    from theoros.models.calibration import observed_levels

    levels = np.linspace(0.02, 0.98, 49)
    figure, (axes,) = canvas(1, 1, 4.6, 4.4)
    axes.plot([0, 1], [0, 1], "k--", lw=1)
    for output, checks in tested.items():
        mean, std, observed = (checks[name].to_numpy(dtype=float) for name in ("mean", "std", "observed"))
        inside = observed_levels(mean, std, observed, levels, _tails(checks))
        axes.plot(levels, inside, lw=2, label=plain(output))
    axes.set_xlabel("expected share inside the interval")
    axes.set_ylabel(f"observed share (n = {len(observed)})")
    if len(tested) > 1:
        axes.legend()
    return figure


def _molecules(store: Store, campaign: str, path: Path, n: int = 12) -> Path | None:
    """Draw the best molecules with their values; None when the candidates are no molecules."""
    card = scorecard(store, campaign)
    if card.several or card.desirability is not None:
        best = card.ranked(store.label_records(campaign))[:n]
    else:
        best = [label for label, _ in overview.best(store, campaign, card.ranking, n)]
    labels = [label for label in best if label.candidate.kind == "molecule"]
    if not labels:
        return None
    from rdkit import Chem
    from rdkit.Chem import Draw

    molecules = [Chem.MolFromSmiles(label.candidate.data["smiles"]) for label in labels]
    unit = card.units.get(card.objective.output, "")
    legends = [f"{i}. {card.value(label):.4g} {unit}" for i, label in enumerate(labels, start=1)]
    draw: Any = Draw.MolsToGridImage
    image = draw(molecules, molsPerRow=4, subImgSize=(260, 220), legends=legends, returnPNG=True)
    path.write_bytes(image if isinstance(image, bytes) else image.data)
    return path
