"""Random forests (``random_forest``): the surrogate for tens of thousands of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from theoros.models.contract import FittedSurrogate, Paths
from theoros.models.data import Array, Dataset, Prediction, Problem
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.fitted_outputs import FittedOutputs, with_fidelity
from theoros.models.surrogates.standardise import standardisation
from theoros.models.surrogates.trees import SMALLEST, Forest, Growth, Table, grow
from theoros.models.tree_features import TreeFeatures, tree_features
from theoros.oracles.candidate import Candidate

#: Candidates at which paths are evaluated at once: bounds the memory of a matrix of trees by candidates.
CHUNK = 20_000


@dataclass(frozen=True)
class OutputForest:
    """What is believed of one output: ``value = offset[f] + scale[f] * f(x)`` at fidelity f, f being the forest's.

    `averages_noise` is True when the leaves' own variance is the labels' noise, and False when labels have none: then
    it is what the leaf does not resolve, and belongs to the value's uncertainty.
    """

    forest: Forest
    offset: Array
    scale: Array
    averages_noise: bool
    features: int
    labels: int


@dataclass(frozen=True, kw_only=True)
class FittedRandomForest(FittedOutputs[OutputForest]):
    """One forest for each output, over all fidelities of the problem."""

    features: TreeFeatures

    def moments(self, candidates: Sequence[Candidate], fidelity: NDArray[np.int64]) -> Prediction:
        """See `FittedOutputs.moments`."""
        X = with_fidelity(self.features.table(candidates), fidelity, len(self.fidelities))
        mean, std, noise = (np.empty((len(candidates), len(self.outputs))) for _ in range(3))
        for column, model in enumerate(self.models):
            means, between, within = model.forest.moments(X)
            scale = model.scale[fidelity]
            mean[:, column] = model.offset[fidelity] + scale * means
            std[:, column] = scale * np.sqrt(between if model.averages_noise else between + within)
            noise[:, column] = scale * np.sqrt(within) if model.averages_noise else 0.0
        return Prediction(self.outputs, mean, std, noise)

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions: the mean plus a random combination of the trees' deviations from it.

        ``f = mean + scale * sum_t w_t d_t / sqrt(T)`` with normal weights ``w`` has, jointly over all candidates, the
        covariance that the trees show, and there are as many different ones as decisions (single trees would repeat
        after T of them). d_t is the tree's deviation from the mean, plus a normal draw for its leaf when the leaf's
        variance counts as uncertainty.
        """
        weights = np.random.default_rng(derived_seed(seed, "weights")).standard_normal((n, _rank(self.output(output))))
        return partial(self._along, output, self.fidelities.index(fidelity), weights, derived_seed(seed, "leaves"))

    def _along(self, output: str, fidelity: int, weights: Array, seed: int, candidates: Sequence[Candidate]) -> Array:
        model = self.output(output)
        values = np.empty((len(weights), len(candidates)))
        for start in range(0, len(candidates), CHUNK):
            table = self.features.table(candidates[start : start + CHUNK])
            X = with_fidelity(table, np.full(len(table), fidelity), len(self.fidelities))
            mean, deviations = _deviations(model, X, seed)
            values[:, start : start + len(table)] = mean + weights @ deviations / np.sqrt(len(deviations))
        return np.asarray(model.offset[fidelity] + model.scale[fidelity] * values, dtype=np.float64)

    def describe(self, model: OutputForest) -> Mapping[str, Any]:
        """Trees, their size and the calibration's scale."""
        return {
            "trees": len(model.forest.trees),
            "leaves_per_tree": float(np.mean([(tree.node_count + 1) / 2 for tree in model.forest.trees] or [0])),
            "uncertainty_scale": model.forest.scale,
            "features": model.features,
        }


@dataclass(frozen=True)
class RandomForest:
    """Extremely randomised trees with the calibrated spread of `theoros.models.surrogates.trees`, over any features.

    The rival of Gaussian processes that stays cheap: a fit to 100,000 labels of ten parameters takes some three seconds
    on one core, since no tree sees more than `rows` of them. Labels of several fidelities are standardised each by
    itself, and the fidelity is one more feature. Labels of a deterministic oracle are followed exactly (leaves of one
    label); noisy ones are averaged in leaves of five, whose variance is then the noise.
    """

    trees: int = 64
    rows: int = 20_000

    name: ClassVar[str] = "random_forest"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedRandomForest:
        """Fit to all labels; trees can't fail numerically, so `previous` is not needed."""
        features = tree_features(problem.space)
        fidelity = np.array([problem.fidelities.index(point.fidelity) for point in dataset.points], dtype=np.int64)
        table = features.table([point.candidate for point in dataset.points])
        X = with_fidelity(table, fidelity, len(problem.fidelities))
        growth = self._growth(problem, X.shape[1], features.share)
        return FittedRandomForest(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            features=features,
            models=tuple(
                _fit_output(problem, dataset, output, X, fidelity, growth, derived_seed(seed, output))
                for output in problem.outputs
            ),
        )

    def _growth(self, problem: Problem, columns: int, share: float) -> Growth:
        # A split costs rows times columns tried: wide tables get fewer rows a tree, so that the fit's time is bounded.
        rows = min(self.rows, max(2_000, int(self.rows * 20 / max(columns * share, 1))))
        leaf = 1 if problem.deterministic else 5
        return Growth(self.trees, rows, share, leaf)


def _fit_output(
    problem: Problem,
    dataset: Dataset,
    output: str,
    X: Table,
    fidelity: NDArray[np.int64],
    growth: Growth,
    seed: int,
) -> OutputForest:
    values = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(output)]
    kept = np.isfinite(values)
    X, y, fidelity = X[kept], values[kept], fidelity[kept]
    offset, scale = standardisation(y, fidelity, len(problem.fidelities))
    forest = grow(
        X,
        (y - offset[fidelity]) / scale[fidelity],
        growth,
        seed=seed,
        checked=fidelity == len(problem.fidelities) - 1,
    )
    return OutputForest(forest, offset, scale, not problem.deterministic, X.shape[1], len(y))


def _rank(model: OutputForest) -> int:
    return max(1, len(model.forest.trees))


def _deviations(model: OutputForest, X: Table, seed: int) -> tuple[Array, Array]:
    """The mean (b) and the calibrated deviations ``trees x b`` from it, whose mean square is the variance."""
    forest = model.forest
    if not forest.trees:
        return np.zeros(len(X)), np.ones((1, len(X)))
    values, within = forest.leaves(X)
    mean = values.mean(0)
    deviations = values - mean
    if not model.averages_noise and within.max(initial=0.0) > SMALLEST:
        for t, (tree, leaf) in enumerate(zip(forest.trees, forest.places(X), strict=True)):
            normal = np.random.default_rng(derived_seed(seed, t)).standard_normal(tree.node_count)
            deviations[t] += np.sqrt(within[t]) * normal[leaf]
    return mean, forest.scale * deviations
