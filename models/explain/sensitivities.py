"""How much each parameter matters for what a surrogate predicts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import sobol_indices, uniform

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Problem
from theoros.models.encoders import ParameterEncoder
from theoros.models.explain.means import means_of, parameter_names, predicted, table_of
from theoros.models.sampling import derived_seed
from theoros.models.unit_cube import Column
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters
from theoros.oracles.spaces.molecule_properties import PROPERTIES, evaluate

#: Variance of the means, relative to their size, below which the surrogate is called constant.
CONSTANT = 1e-12


@dataclass(frozen=True)
class Sensitivity:
    """The share of the variance of an output's predicted mean that a parameter is behind.

    `first` is what it explains by itself, None where the method can't tell; `total` adds all interactions. `low` and
    `high` bound `total` at 90 %.
    """

    name: str
    first: float | None
    total: float
    low: float
    high: float


@dataclass(frozen=True)
class Sensitivities:
    """All parameters of one output, the one that matters most first.

    `method` is ``"sobol"``, ``"permutation"`` or ``"properties"``; `n` counts the candidates that were varied.
    `explained` is, for properties of molecules, the share of the means' variance that they explain together; else one.
    """

    output: str
    method: str
    n: int
    items: tuple[Sensitivity, ...]
    explained: float = 1.0


def sensitivities(
    model: FittedSurrogate, problem: Problem, output: str, *, n: int = 512, seed: int = 0
) -> Sensitivities:
    """Which parameters the predicted mean of `output` at the target fidelity depends on, over the design space.

    Sobol indices for a product of parameters, permutation importance where they are not free of each other
    (constraints, libraries), and for molecules the importance of their properties. `n` is rounded to a power of two.
    Raises ValueError for a space whose candidates are of another kind.
    """
    n = max(16, 2 ** round(np.log2(max(1, n))))
    space = problem.space
    if isinstance(space, Parameters) and not space.constraints:
        return _sobol(model, problem, space, output, n, seed)
    candidates = space.sample(n, np.random.default_rng(derived_seed(seed, "background")))
    if parameter_names(problem):
        return _permutation(model, problem, candidates, output, seed)
    if space.kind == "molecule":
        return _properties(model, problem, candidates, output, seed)
    raise ValueError(f"Candidates of kind {space.kind!r} have no named parameters, so there are no sensitivities.")


def _sobol(
    model: FittedSurrogate, problem: Problem, space: Parameters, output: str, n: int, seed: int
) -> Sensitivities:
    """First-order and total indices by Saltelli's design, with SciPy's estimators and bootstrap.

    Saltelli et al., Comput. Phys. Commun. 181, 259 (2010), doi:10.1016/j.cpc.2009.09.018. Parameters are drawn
    uniformly, logarithmic ones in their logarithm.
    """
    columns = ParameterEncoder.of(space).columns
    names = [column.name for column in columns]

    def mean(unit: Array) -> Array:
        table = {column.name: _values(column, unit[i]) for i, column in enumerate(columns)}
        return means_of(model, problem, table, output)[None, :]

    rng = np.random.default_rng(derived_seed(seed, "sobol"))
    if _constant(mean(np.random.default_rng(seed).random((len(names), 64)))[0]):
        return Sensitivities(output, "sobol", n, tuple(Sensitivity(name, 0.0, 0.0, 0.0, 0.0) for name in names))
    dists: list[Any] = [uniform()] * len(names)  # SciPy's stubs want a narrower quantile function
    found = sobol_indices(func=mean, n=n, dists=dists, rng=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a parameter without any effect leaves nothing to resample
        spread = found.bootstrap(confidence_level=0.9, n_resamples=200).total_order.confidence_interval
    first, total = np.ravel(found.first_order), np.ravel(found.total_order)
    low, high = (np.where(np.isfinite(end), end, total) for end in (np.ravel(spread.low), np.ravel(spread.high)))
    items = [Sensitivity(name, *(float(part[i]) for part in (first, total, low, high))) for i, name in enumerate(names)]
    return Sensitivities(output, "sobol", n, _by_weight(items))


def _values(column: Column, unit: Array) -> list[Any]:
    """A parameter's values at its quantiles `unit` (n): every setting of one that has settings is as likely."""
    settings = column.grid()
    if settings is None:
        return [column.decode(value) for value in unit.tolist()]
    places = np.minimum((unit * len(settings)).astype(int), len(settings) - 1)
    return [column.decode(settings[place]) for place in places]


def _permutation(
    model: FittedSurrogate, problem: Problem, candidates: Sequence[Candidate], output: str, seed: int
) -> Sensitivities:
    """Half the mean squared change of the prediction when a column is shuffled, over the variance of predictions.

    Breiman's permutation importance (Machine Learning 45, 5 (2001)) with the squared change in place of a loss, which
    is Jansen's estimator of the total index were the columns independent (doi:10.1016/S0010-4655(98)00154-4).
    """
    table, rng = table_of(candidates), np.random.default_rng(derived_seed(seed, "permutation"))
    base = means_of(model, problem, table, output) if candidates else np.zeros(0)
    items = []
    for name, values in table.items():
        order = rng.permutation(len(values))
        shuffled = {**table, name: [values[i] for i in order]}
        items.append(_from_changes(name, base, means_of(model, problem, shuffled, output), rng))
    return Sensitivities(output, "permutation", len(candidates), _by_weight(items))


def _from_changes(name: str, base: Array, changed: Array, rng: np.random.Generator) -> Sensitivity:
    if _constant(base):
        return Sensitivity(name, None, 0.0, 0.0, 0.0)
    shares = 0.5 * (base - changed) ** 2 / base.var()
    low, high = _bootstrap(shares, rng)
    return Sensitivity(name, None, float(shares.mean()), low, high)


def _properties(
    model: FittedSurrogate, problem: Problem, candidates: Sequence[Candidate], output: str, seed: int
) -> Sensitivities:
    """Which named properties of molecules the predicted means go along with.

    A random forest learns the means from the properties on half of the molecules. On the other half each property is
    shuffled, and its importance is what that costs of the explained variance (R^2).
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    prediction = predicted(model, problem, candidates)
    means = prediction.mean[:, prediction.outputs.index(output)]
    names = list(PROPERTIES)
    if len(candidates) < 8 or _constant(means):
        nothing = tuple(Sensitivity(name, None, 0.0, 0.0, 0.0) for name in names)
        return Sensitivities(output, "properties", len(candidates), nothing, 0.0)
    X = np.array([[evaluate(name, candidate) for name in names] for candidate in candidates])
    half, state = len(means) // 2, derived_seed(seed, "forest") % 2**31
    forest = RandomForestRegressor(100, random_state=state).fit(X[:half], means[:half])
    found = permutation_importance(forest, X[half:], means[half:], n_repeats=20, random_state=state)
    items = [
        Sensitivity(name, None, float(drops.mean()), *(float(q) for q in np.quantile(drops, [0.05, 0.95])))
        for name, drops in zip(names, found["importances"], strict=True)
    ]
    score = float(forest.score(X[half:], means[half:]))
    return Sensitivities(output, "properties", len(candidates), _by_weight(items), score)


def _by_weight(items: Sequence[Sensitivity]) -> tuple[Sensitivity, ...]:
    return tuple(sorted(items, key=lambda item: -item.total))


def _bootstrap(shares: Array, rng: np.random.Generator, resamples: int = 200) -> tuple[float, float]:
    picks: NDArray[np.int64] = rng.integers(0, len(shares), (resamples, len(shares)))
    low, high = np.quantile(shares[picks].mean(axis=1), [0.05, 0.95])
    return float(low), float(high)


def _constant(means: Array) -> bool:
    return len(means) < 2 or float(means.std()) <= CONSTANT * max(1e-300, float(np.abs(cast(Any, means)).max()))
