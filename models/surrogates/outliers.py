"""Labels that lie far beyond all others, and what is believed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array, Problem
from theoros.models.feasibility import SUCCEEDS

#: A label is far off when the gap between it and the others is so many times their range: at the bad end of an
#: objective, and elsewhere, where a real peak would be a loss.
FAR, FARTHER = 10.0, 100.0
#: The largest share of labels that may be far off at the bad end, and elsewhere (one label always may).
SHARE, FEW = 0.25, 0.05
#: Fewer labels can't tell what is usual.
LEAST = 8
#: At the good end of an objective a label is doubted when so many later ones, chosen by models that believed it, have
#: not borne it out.
BORNE_OUT = 10
#: Variance of noise of a label that is doubted, in units of the labels' own variance.
DOUBT = 1.0
#: Ranges below this share of the values themselves are rounding errors.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Fences:
    """Between which values labels are believed, by fidelity; infinite where all are."""

    low: Array
    high: Array

    def clipped(self, values: Array, fidelity: int | Sequence[int] | NDArray[np.int64]) -> Array:
        """Values (b) with what lies beyond put on the fence."""
        return np.asarray(np.clip(values, self.low[fidelity], self.high[fidelity]), dtype=np.float64)


def fences(
    problem: Problem, output: str, y: Array, fidelity: NDArray[np.int64], guided: NDArray[np.bool_]
) -> Fences | None:
    """The fences of the labels `y` (n) of an output, in the order of their decisions; None where none is far off.

    `guided` (n) tells which were chosen by a model.

    One absurd label would set the unit in which all others are seen, and its spike the length scale. To winsorise it
    and to believe it little (as relevance pursuit does, Ament et al., NeurIPS 2024, arXiv:2410.24222) costs nothing at
    the bad end of an objective. At the good end it may be what is looked for: there a label is believed until later
    ones have not borne it out, and two labels that agree are believed for good in a campaign of up to forty.
    """
    if output == SUCCEEDS:
        return None
    sides, vital = _good_end(problem, output)
    found = [
        _fence(y[fidelity == level], guided[fidelity == level], sides, vital)
        for level in range(len(problem.fidelities))
    ]
    low, high = (np.array(edges) for edges in zip(*found, strict=True))
    return Fences(low, high) if np.isfinite(low).any() or np.isfinite(high).any() else None


def _good_end(problem: Problem, output: str) -> tuple[int, tuple[float, ...]]:
    """1 where large values are good, -1 where small ones are, 0 where neither end is bad; and values that matter."""
    bounds = [constraint for constraint in problem.constraints if constraint.output == output]
    vital = tuple(constraint.bound for constraint in bounds)
    for goal in problem.objectives if problem.goal == "optimize" else ():
        if goal.output == output:
            target = (goal.target,) if goal.sense == "match" else ()
            return {"maximize": 1, "minimize": -1, "match": 0}[goal.sense], (*vital, *target)
    senses = {1 if constraint.op == ">=" else -1 for constraint in bounds}
    return (senses.pop() if len(senses) == 1 else 0), vital


def _fence(y: Array, guided: NDArray[np.bool_], good: int, vital: Sequence[float]) -> tuple[float, float]:
    n = len(y)
    if n < LEAST:
        return -np.inf, np.inf
    ordered = np.sort(y)
    with np.errstate(over="ignore"):
        gaps = np.diff(ordered)
        middle = ordered[(3 * n) // 4] - ordered[n // 4]
        if gaps.max() <= FAR * middle or middle <= ROUNDING * np.abs(ordered[n // 4 : (3 * n) // 4]).max():
            return -np.inf, np.inf
        wide = np.flatnonzero(gaps > FAR * middle)
        below, above = wide[wide < n // 2], wide[wide >= n // 2]
        first, last = int(below[-1]) + 1 if len(below) else 0, int(above[0]) if len(above) else n - 1
        edges = np.array([ordered[first], ordered[last], *vital])
        low, high = float(edges.min()), float(edges.max())
        beyond_high = _far_off(y - high, high - low, good, guided)
        beyond_low = _far_off(low - y, high - low, -good, guided)
    return (low if beyond_low else -np.inf), (high if beyond_high else np.inf)


def _far_off(beyond: Array, width: float, side: int, guided: NDArray[np.bool_]) -> bool:
    """Whether labels that lie `beyond` a range of some `width` at one end are not to be believed.

    `side` is 1 at the good end, -1 at the bad one and 0 where neither is.
    """
    outside = np.flatnonzero(beyond > 0)
    if not len(outside):
        return False
    far, share = (FAR, SHARE) if side < 0 else (FARTHER, FEW)
    few = len(outside) <= max(1, int(share * len(beyond)))
    later = int(guided[outside[0] + 1 :].sum())
    return bool(few and beyond[outside].min() > far * width and (side <= 0 or later >= BORNE_OUT))
