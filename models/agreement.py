"""Whether a cheap level still ranks candidates as the truth does; one that does not is asked no more."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from theoros.models.data import Array, Dataset, Problem

#: Candidates with labels at both levels before which a level is not judged.
LEAST_SHARED = 8
#: A level is dropped once it is sure (one-sided, 97.5 %) that its rank correlation with the truth is below this.
LEAST_CORRELATION = 0.3
SURE = 1.96


def dropped(problem: Problem, dataset: Dataset) -> Mapping[str, str]:
    """The levels below the target that are no longer asked, and why.

    Spearman's rank correlation between a level's labels and the target's, over the candidates that have both, with its
    upper confidence bound by Fisher's transform (standard error ``1.03 / sqrt(n - 3)``; Fieller, Hartley & Pearson,
    Biometrika 44, 470 (1957)). A level is judged after every candidate that it shares with the target, and what it was
    dropped for once holds for the campaign: later labels do not call it back. With several objectives it stays as long
    as it ranks one of them.
    """
    found: dict[str, str] = {}
    for level in problem.fidelities[:-1]:
        verdicts = [_verdict(pairs) for pairs in _shared(problem, dataset, level)]
        if verdicts and all(verdicts):
            found[level] = f"{level} is no longer asked: {verdicts[0]}"
    return found


def _shared(problem: Problem, dataset: Dataset, level: str) -> list[Array]:
    """For each objective the labels at `level` and at the target (n x 2) of candidates that have both, in the order in
    which the second of the two came.
    """
    pairs: list[Array] = []
    for goal in problem.objectives:
        column = dataset.outputs.index(goal.output)
        first: dict[tuple[str, str], float] = {}
        both: list[tuple[float, float]] = []
        for point, values in zip(dataset.points, dataset.values, strict=True):
            key = (point.candidate.hash, point.fidelity)
            if point.fidelity not in (level, problem.target) or key in first or not np.isfinite(values[column]):
                continue
            first[key] = float(values[column])
            ends = [first.get((point.candidate.hash, name)) for name in (level, problem.target)]
            if ends[0] is not None and ends[1] is not None:
                both.append((ends[0], ends[1]))
        pairs.append(np.array(both).reshape(-1, 2))
    return pairs


def _verdict(pairs: Array) -> str:
    """Why a level is dropped; empty while it is not."""
    from scipy.stats import spearmanr  # a second to load, which campaigns with one level need not pay

    for n in range(LEAST_SHARED, len(pairs) + 1):
        correlation = float(spearmanr(pairs[:n, 0], pairs[:n, 1]).statistic) if _vary(pairs[:n]) else math.nan
        if math.isfinite(correlation) and _upper(correlation, n) < LEAST_CORRELATION:
            return f"it ranks {n} candidates otherwise than the truth (rank correlation {correlation:.2f})"
    return ""


def _vary(pairs: Array) -> bool:
    return bool((np.ptp(pairs, axis=0) > 0).all())


def _upper(correlation: float, n: int) -> float:
    z = math.atanh(min(max(correlation, -0.999999), 0.999999))
    return math.tanh(z + SURE * 1.03 / math.sqrt(n - 3))
