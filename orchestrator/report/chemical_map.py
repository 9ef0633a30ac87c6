"""A map of the molecules that a campaign has labelled: what lies near is alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.models.data import Array
from theoros.orchestrator.report.canvas import canvas, plain
from theoros.orchestrator.report.history import History, Sample
from theoros.orchestrator.report.similarity import bit_matrix
from theoros.orchestrator.report.structures import readable

#: Molecules on the map at most.
MOST = 2_000
#: The best molecules, which are always on the map and carry their rank.
NUMBERED = 12
#: Marks of the proposers, the most frequent first; those that come later share the last.
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class ChemicalMap:
    """Samples (n), one for each molecule, with their places ``n x 2``.

    `shares` (2) are the parts of the fingerprints' variance that the two axes tell; `molecules` is how many there are,
    of which more than `MOST` are drawn by lot.
    """

    samples: tuple[Sample, ...]
    places: Array
    shares: Array
    molecules: int


def chemical_map(history: History, *, most: int = MOST, seed: int = 0) -> ChemicalMap | None:
    """The first two principal components of count-Morgan fingerprints; None where there are too few molecules.

    Principal components are those of the molecules on the map. A molecule with labels at several fidelities is there
    once, by the last of its labels at the target if it has one.
    """
    from sklearn.decomposition import PCA

    samples = labelled_molecules(history)
    chosen = _drawn(history, samples, most, seed)
    bits = bit_matrix([sample.smiles for sample in chosen])
    if len({row.indices.tobytes() for row in bits}) < 3:  # a plane needs three different points
        return None
    pca = PCA(n_components=2, svd_solver="arpack", random_state=seed)
    places = np.asarray(pca.fit_transform(bits), dtype=np.float64)
    return ChemicalMap(tuple(chosen), places, np.asarray(pca.explained_variance_ratio_), len(samples))


def map_figure(history: History, found: ChemicalMap) -> Any:
    """The map: colours tell the objective (grey: no label at the target), marks the proposer, numbers the best."""
    card = history.card
    values = np.array([_value(history, sample) for sample in found.samples])
    order = [name for name, _ in Counter(sample.proposer for sample in found.samples).most_common()]
    figure, (axes,) = canvas(1, 1, 7.2, 5.0)
    known = values[np.isfinite(values)]
    limits = {"vmin": known.min(), "vmax": known.max()} if len(known) else {}
    coloured = None
    for place in reversed(range(min(len(order), len(MARKS)))):
        last = place == len(MARKS) - 1
        names = order[place:] if last else [order[place]]
        rows = np.array([i for i, sample in enumerate(found.samples) if sample.proposer in names])
        grey, seen = rows[~np.isfinite(values[rows])], rows[np.isfinite(values[rows])]
        mark = {"marker": MARKS[place], "s": 22, "linewidths": 0.3, "edgecolors": "k"}
        axes.scatter(*found.places[grey].T, c="0.8", **mark)
        coloured = axes.scatter(*found.places[seen].T, c=values[seen], cmap="viridis", **limits, **mark)
        label = "others" if last and len(names) > 1 else names[0] or "nobody"
        axes.scatter([], [], c="w", label=plain(label), **mark)
    if coloured is not None and len(known):
        figure.colorbar(coloured, ax=axes, label=plain(card.name_of(card.objective.output)))
    _number_the_best(history, found, axes)
    axes.set_xlabel(f"first component ({found.shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second component ({found.shares[1]:.0%})")
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return figure


def labelled_molecules(history: History) -> list[Sample]:
    """One labelled sample for each molecule, in the order of decisions."""
    found: dict[str, Sample] = {}
    for sample in history.samples:
        if sample.label is None or readable(sample.smiles) is None:
            continue
        key = sample.evaluation.candidate.hash
        if key not in found or sample.label.fidelity == history.card.target:
            found[key] = sample
    return sorted(found.values(), key=lambda sample: sample.number)


def _drawn(history: History, samples: list[Sample], most: int, seed: int) -> list[Sample]:
    """At most `most` of them: the best, and others by lot."""
    if len(samples) <= most:
        return samples
    best = {sample.number for sample in history.ranked[:NUMBERED]}
    others = [place for place, sample in enumerate(samples) if sample.number not in best]
    drawn = np.random.default_rng(seed).choice(others, most - (len(samples) - len(others)), replace=False)
    kept = {samples[place].number for place in drawn} | best
    return [sample for sample in samples if sample.number in kept]


def _value(history: History, sample: Sample) -> float:
    value = None if sample.label is None else history.card.value(sample.label)
    return np.nan if value is None else value


def _number_the_best(history: History, found: ChemicalMap, axes: Any) -> None:
    rows = {sample.number: row for row, sample in enumerate(found.samples)}
    for rank, sample in enumerate(history.ranked[:NUMBERED], start=1):
        if sample.number in rows:
            place = found.places[rows[sample.number]]
            axes.annotate(str(rank), place, xytext=(3, 3), textcoords="offset points", fontsize=8, color="tab:red")
