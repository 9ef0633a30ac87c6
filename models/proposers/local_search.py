"""Local search over encoded parameters: no gradient, no assumption on the space or on the acquisition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array
from theoros.models.encoders import ParameterEncoder
from theoros.oracles.candidate import Candidate

Features = NDArray[np.float64]


def neighbours(encoder: ParameterEncoder, features: Features, width: float, rng: np.random.Generator) -> Features:
    """One perturbed copy of every row (``n x d``): normal steps of `width`, grid steps, now and then another category.

    At least one column changes in every row.
    """
    n, d = features.shape
    moved = rng.random((n, d)) < max(0.3, 1.0 / d)
    moved[np.arange(n), rng.integers(0, d, n)] = True
    result = features.copy()
    for i, column in enumerate(encoder.columns):
        rows = np.flatnonzero(moved[:, i])
        if column.kind == "categorical":
            result[rows, i] = rng.integers(0, len(column.choices), len(rows))
            continue
        steps = width * rng.standard_normal(len(rows))
        if column.kind == "grid" and (grid := column.grid()) is not None:
            spacing = 1.0 / max(1, len(grid) - 1)
            steps = np.where(np.abs(steps) < spacing, np.sign(steps) * spacing, steps)
        result[rows, i] = np.clip(features[rows, i] + steps, 0.0, 1.0)
    return result


def local_search(
    encoder: ParameterEncoder,
    score: Callable[[list[Candidate]], Array],
    starts: list[Candidate],
    rng: np.random.Generator,
    *,
    rounds: int = 8,
    copies: int = 16,
    beam: int = 8,
) -> dict[str, tuple[Candidate, float]]:
    """Climb from `starts` by random neighbours of shrinking width; return every valid candidate met, with its score.

    In each round the `beam` best have `copies` neighbours each; constraints reject the invalid ones.
    """
    met: dict[str, tuple[Candidate, float]] = {}

    def look(candidates: list[Candidate | None]) -> None:
        new = list({c.hash: c for c in candidates if c is not None and c.hash not in met}.values())
        if new:
            met.update({c.hash: (c, float(s)) for c, s in zip(new, score(new), strict=True)})

    look(list(starts))
    for index in range(rounds):
        if not met:
            break
        best = sorted(met.values(), key=lambda pair: -pair[1])[:beam]
        features = encoder.encode([candidate for candidate, _ in best]).numpy().repeat(copies, axis=0)
        look(encoder.decode(neighbours(encoder, features, 0.2 * 0.5**index, rng)))
    return met
