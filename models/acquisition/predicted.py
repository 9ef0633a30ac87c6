"""What the acquisitions share that read means and deviations only, or draws: any surrogate serves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import ndtr

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Pick, Point, Prediction, Problem
from theoros.oracles.candidate import Candidate

#: Units of the objective's spread lost per unit of its own spread by which a constraint is violated.
VIOLATION_WEIGHT = 10.0
#: Candidates that are predicted at once.
CHUNK = 20_000


def offers_posterior(model: FittedSurrogate) -> bool:
    """Whether the model is a `theoros.models.acquisition.base.GaussianBelief`, which can take pending points in."""
    return hasattr(model, "encode") and hasattr(model, "fidelity_indices")


def at_target(problem: Problem, model: FittedSurrogate, candidates: Sequence[Candidate]) -> Prediction:
    """The prediction of candidates (n) at the target fidelity.

    A model with ``predict_at(candidates, fidelity)`` is asked so, which spares rows of a library from becoming points.
    """
    chunks = [candidates[start : start + CHUNK] for start in range(0, max(1, len(candidates)), CHUNK)]
    predict_at = getattr(model, "predict_at", None)
    if predict_at is not None:
        parts = [predict_at(chunk, problem.target) for chunk in chunks]
    else:
        parts = [model.predict([Point(candidate, problem.target) for candidate in chunk]) for chunk in chunks]
    mean, std, noise = (np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "std", "noise"))
    return Prediction(parts[0].outputs, mean, std, noise)


def spread(problem: Problem, dataset: Dataset, output: str) -> float:
    """The standard deviation of the output's labels (all fidelities), 1 where they tell none: a unit for penalties."""
    values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
    values = values[np.isfinite(values)]
    deviation = float(values.std()) if len(values) > 1 else 0.0
    return deviation if deviation > 0 else 1.0


def optimistic(problem: Problem, prediction: Prediction, units: dict[str, float], width: float | Array) -> Array:
    """The objective `width` deviations to the good side, in `units`, less a penalty for violated constraints.

    `prediction` is of `b` candidates and `width` a number, or ``n x 1`` numbers for ``n x b`` values. Constraints are
    seen as optimistically.
    """

    def column(output: str) -> tuple[Array, Array]:
        index = prediction.outputs.index(output)
        return prediction.mean[:, index], prediction.std[:, index]

    goal = problem.objective
    mean, std = column(goal.output)
    total = (goal.utility(mean) + width * std) / units[goal.output]
    for constraint in problem.constraints:
        mean, std = column(constraint.output)
        sign = 1.0 if constraint.op == "<=" else -1.0
        violation = (sign * (mean - constraint.bound) - width * std) / units[constraint.output]
        total = total - VIOLATION_WEIGHT * np.maximum(violation, 0.0)
    return np.asarray(np.nan_to_num(total, nan=-np.inf), dtype=np.float64)


def likely(problem: Problem, prediction: Prediction) -> Array:
    """The probability (b) that each candidate of a prediction keeps all constraints, as if they were independent."""
    chance = np.ones(len(prediction.mean))
    for constraint in problem.constraints:
        column = prediction.outputs.index(constraint.output)
        sign = 1.0 if constraint.op == "<=" else -1.0
        room = sign * (constraint.bound - prediction.mean[:, column])
        chance = chance * ndtr(room / np.maximum(prediction.std[:, column], 1e-300))
    return chance


def units_of(problem: Problem, dataset: Dataset) -> dict[str, float]:
    """`spread` of every output that is judged."""
    return {name: spread(problem, dataset, name) for name in problem.judged}


def best_of(values: Array, n: int) -> list[Pick]:
    """The `n` largest of `values`, the first of equal ones first."""
    return [Pick(int(i), float(values[i])) for i in np.argsort(-values, kind="stable")[: max(n, 0)]]


def one_of_each(rows: Iterable[Array], n: int) -> list[Pick]:
    """For each of up to `n` score vectors (b) in turn, its best candidate that no earlier one has taken."""
    picks: list[Pick] = []
    taken: list[int] = []
    for row in rows:
        if len(picks) == min(n, len(row)):
            break
        left = row.copy()
        left[taken] = -np.inf
        index = int(np.argmax(left))
        if taken and not np.isfinite(left[index]):  # nothing that is left has a value: take what comes
            index = int(np.setdiff1d(np.arange(len(row)), taken)[0])
        taken.append(index)
        picks.append(Pick(index, float(row[index])))
    return picks
