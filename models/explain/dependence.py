"""How a surrogate's prediction changes with one parameter, the others being as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Problem
from theoros.models.explain.means import parameter_names, predicted, table_of
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Library, Parameters

#: Values of a numeric parameter at which dependence is shown; a parameter with fewer shows them all.
STEPS = 25


@dataclass(frozen=True)
class Dependence:
    """The predicted mean of `output` over the `values` of a parameter, averaged over `n` candidates of the space.

    `low` and `high` are the 5 % and 95 % quantiles over those candidates (how much the others matter there), `std` the
    mean standard deviation of the model (how well it knows). `numeric` says whether the values have an order.
    """

    parameter: str
    output: str
    values: tuple[Any, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    std: tuple[float, ...]
    n: int
    numeric: bool


def dependences(
    model: FittedSurrogate, problem: Problem, output: str, *, n: int = 128, seed: int = 0
) -> list[Dependence]:
    """Partial dependence (Friedman, Ann. Statist. 29, 1189 (2001), doi:10.1214/aos/1013203451) on every parameter.

    Empty for molecules, which have no parameters. The other parameters are those of `n` random candidates of the space.
    """
    names = parameter_names(problem)
    if not names:
        return []
    candidates = problem.space.sample(n, np.random.default_rng(derived_seed(seed, "background")))
    return [_dependence(model, problem, output, name, candidates) for name in names]


def _dependence(
    model: FittedSurrogate, problem: Problem, output: str, name: str, candidates: Sequence[Candidate]
) -> Dependence:
    values = grid(problem, name)
    table = table_of(candidates)
    rows = [
        Candidate("parameters", {**{other: column[i] for other, column in table.items()}, name: value})
        for value in values
        for i in range(len(candidates))
    ]
    prediction = predicted(model, problem, rows)
    column = prediction.outputs.index(output)
    means = prediction.mean[:, column].reshape(len(values), len(candidates))
    spread = np.quantile(means, [0.05, 0.95], axis=1)
    return Dependence(
        name,
        output,
        tuple(values),
        tuple(means.mean(axis=1).tolist()),
        tuple(spread[0].tolist()),
        tuple(spread[1].tolist()),
        tuple(prediction.std[:, column].reshape(means.shape).mean(axis=1).tolist()),
        len(candidates),
        all(isinstance(value, int | float) and not isinstance(value, bool) for value in values),
    )


def grid(problem: Problem, name: str) -> list[Any]:
    """The values of a parameter at which its dependence is shown: evenly spaced, all of a short list."""
    space = problem.space
    if isinstance(space, Library):
        if name in space.categories:
            return list(space.categories[name])
        return list(np.linspace(*space.ranges[name], STEPS).tolist())
    assert isinstance(space, Parameters)  # as parameter_names has made sure
    parameter = space.parameters[name]
    if parameter.cardinality is not None and hasattr(parameter, "values"):
        values = parameter.values().tolist()
        if len(values) <= STEPS or hasattr(parameter, "choices"):
            return list(values)
        return [values[i] for i in np.linspace(0, len(values) - 1, STEPS).round().astype(int)]
    low, high = float(getattr(parameter, "low")), float(getattr(parameter, "high"))  # noqa: B009
    if getattr(parameter, "log", False):
        return list(np.geomspace(low, high, STEPS).tolist())
    return list(np.linspace(low, high, STEPS).tolist())
