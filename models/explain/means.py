"""A surrogate's means as a function of plain values, for whoever varies parameters one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Point, Prediction, Problem
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Library, Parameters

#: Candidates that are predicted at once; bounds the memory of a fit to many labels.
CHUNK = 4_000

#: The values of some candidates by parameter, each (n).
Table = Mapping[str, Sequence[Any]]


def predicted(model: FittedSurrogate, problem: Problem, candidates: Sequence[Candidate]) -> Prediction:
    """Predictions at the target fidelity, ``n x m``."""
    points = [Point(candidate, problem.target) for candidate in candidates]
    parts = [model.predict(points[start : start + CHUNK]) for start in range(0, len(points), CHUNK)]
    if not parts:
        empty = np.zeros((0, len(problem.outputs)))
        return Prediction(problem.outputs, empty, empty, empty)
    mean, std, noise = (np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "std", "noise"))
    return Prediction(parts[0].outputs, mean, std, noise)


def means_of(model: FittedSurrogate, problem: Problem, table: Table, output: str) -> Array:
    """Predicted means (n) of `output` at the rows of `table`, which need not keep the space's constraints."""
    names = list(table)
    rows = zip(*(table[name] for name in names), strict=True)
    candidates = [Candidate("parameters", dict(zip(names, row, strict=True))) for row in rows]
    prediction = predicted(model, problem, candidates)
    return prediction.mean[:, prediction.outputs.index(output)]


def table_of(candidates: Sequence[Candidate]) -> dict[str, list[Any]]:
    """Candidates with parameters as a table."""
    names = list(candidates[0].data) if candidates else []
    return {name: [candidate.data[name] for candidate in candidates] for name in names}


def parameter_names(problem: Problem) -> tuple[str, ...]:
    """The parameters of the problem's candidates; empty for molecules, which have none."""
    space = problem.space
    if isinstance(space, Parameters):
        return tuple(space.parameters)
    if isinstance(space, Library) and space.kind == "parameters":
        return tuple(space.column_kinds)
    return ()
