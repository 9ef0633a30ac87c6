"""Ask where the model is unsure, and above all near labels that it would have got wrong without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer, hallucinated, weighed
from theoros.models.acquisition.member_patterns import less_settled, one_after_another, patterns_of
from theoros.models.acquisition.predicted import at_target, likely, offers_posterior, spread
from theoros.models.acquisition.several import total, wanted
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.twins.contract import FittedTwin
from theoros.oracles.candidate import Candidate

#: Far from all labels the model is taken at its word; beside one this counts next to nothing.
PRIOR = 1e-3


@dataclass(frozen=True)
class LeaveOneOutVariance:
    """The posterior variance times how far labels near x lie from what is predicted of them without them.

    ``var(x) sum_i k(x, x_i) z_i^2 / sum_i k(x, x_i)``, with ``z_i^2`` the squared error of label i when it is left out,
    over the variance that the model then states (one on average, where it is honest). A stationary process is as sure
    of itself where the function is wild as where it is tame, so its variance alone fills the space; its errors know the
    difference. In the spirit of Mohammadi, Challenor, Williamson & Goodfellow (2022), arXiv:2005.01814, who emulate the
    expected squared leave-one-out error; here the process's own kernel carries it over. The errors cost one
    factorisation, no refits: Dubrule, Math. Geol. 15, 687 (1983), doi:10.1007/BF01033232.

    Of a twin it is the variance of the members' means, times how far labels nearby lie from what members foresaw that
    had not seen them (`theoros.models.twins.foreseen`).

    Pending points are conditioned on first; with a twin a candidate counts for less the more its members differ as they
    do at one that is asked already (`theoros.models.acquisition.member_patterns`, from `draws` draws). Of several
    outputs that are learned, values in standardised units add up. Where there are constraints it is weighed by the
    probability that they hold.
    """

    draws: int = 16

    name: ClassVar[str] = "loo_variance"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    instead: ClassVar[frozenset[str]] = frozenset({"left_out"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable; needs a Gaussian belief."""
        belief, target = belief_of(model), len(problem.fidelities) - 1
        parts = []
        for output in wanted(problem):
            known = _Known.of(problem, model, dataset, output)
            parts.append(_LeaveOneOutVariance(hallucinated(belief, output, pending), known, target))
        return weighed(total(parts), problem, belief)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Scaled variances, in squared standardised units."""
        if offers_posterior(model):
            return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))
        asked = self._patterns(problem, model, dataset, [point.candidate for point in pending], seed)

        def score(candidates: Sequence[Candidate]) -> Array:
            values = _of_members(problem, model, dataset, candidates)
            if not pending:
                return values
            return less_settled(values, self._patterns(problem, model, dataset, candidates, seed), asked)

        return score

    def batch(
        self,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        pending: Sequence[Point],
        candidates: Sequence[Candidate],
        n: int,
        *,
        seed: int,
    ) -> list[Pick] | None:
        """Of a twin one after another, each settled before the next; None with a posterior, which takes picks in."""
        if offers_posterior(model):
            return None
        values = self.scorer(problem, model, dataset, pending, seed=seed)(candidates)
        return one_after_another(values, self._patterns(problem, model, dataset, candidates, seed), n)

    def _patterns(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, candidates: Sequence[Candidate], seed: int
    ) -> Array:
        return patterns_of(problem, cast(FittedTwin, model), dataset, candidates, self.draws, seed)


class LeavesOut(Protocol):
    """What ``"left_out"`` means in a surrogate's `provides`."""

    def left_out_errors(self, candidates: Sequence[Candidate]) -> Array:
        """See `theoros.models.twins.fitted.FittedEnsemble.left_out_errors`."""
        ...


def _of_members(problem: Problem, model: FittedSurrogate, dataset: Dataset, candidates: Sequence[Candidate]) -> Array:
    """Variances of the members' means (n), in units of the labels' spread, times the errors nearby."""
    if not candidates:
        return np.zeros(0)
    prediction, errors = at_target(problem, model, candidates), cast(LeavesOut, model).left_out_errors(candidates)
    values = np.zeros(len(candidates))
    for output in wanted(problem):
        k = prediction.outputs.index(output)
        values += (prediction.std[:, k] / spread(problem, dataset, output)) ** 2 * errors[:, k]
    return np.asarray(np.nan_to_num(values * likely(problem, prediction), nan=-np.inf), dtype=np.float64)


@dataclass(frozen=True)
class _Known:
    """Labels of one output: the process's inputs ``n x d``, and squared standardised errors (n) when left out."""

    inputs: Tensor
    errors: Tensor

    @classmethod
    def of(cls, problem: Problem, model: FittedSurrogate, dataset: Dataset, output: str) -> _Known:
        belief = belief_of(model)
        process = belief.output(output)
        posterior = process.posterior
        with torch.no_grad():
            if _holds_labels(posterior):
                return cls(posterior.X, left_out_errors(posterior))
            rows = np.flatnonzero(np.isfinite(dataset.values[:, dataset.outputs.index(output)]))
            points = [dataset.points[row] for row in rows]
            fidelity = belief.fidelity_indices(points)
            inputs = process.inputs(belief.encode([point.candidate for point in points]), fidelity)
            return cls(inputs, _errors(process, inputs, dataset.values[rows, dataset.outputs.index(output)], fidelity))


def left_out_errors(posterior: Posterior) -> Tensor:
    """Squared errors (n) of an exact posterior's labels, each predicted without it, over their predictive variances."""
    unit = torch.eye(len(posterior.X), dtype=posterior.X.dtype, device=posterior.X.device)
    precision = torch.linalg.solve_triangular(posterior.factor, unit, upper=False).square().sum(0)
    errors: Tensor = posterior.weights[:, 0].square() / precision
    return errors


def _holds_labels(posterior: Posterior) -> bool:
    """Whether it is the exact posterior of labels, and not of inducing points that stand for them."""
    own = posterior.factor.square().sum(1)
    return bool(torch.allclose(own, posterior.kernel(posterior.X, diag=True) + posterior.noise, rtol=1e-3))


def _errors(process: OutputModel, inputs: Tensor, values: np.ndarray, fidelity: list[int]) -> Tensor:
    """The same of a sparse process, which has so many labels that leaving one out hardly matters: with all of them."""
    means, variances = process.posterior.moments(inputs)
    missed = torch.as_tensor(process.standardised(values, fidelity)) - means[:, 0]
    return missed.square() / (variances + torch.as_tensor(process.label_variance(inputs, fidelity)))


class _LeaveOneOutVariance(FeatureAcquisition):
    def __init__(self, process: OutputModel, known: _Known, target: int) -> None:
        super().__init__()
        self.process, self.known, self.target = process, known, target
        with torch.no_grad():
            self.scale = process.posterior.kernel(known.inputs, diag=True).sqrt()

    def values(self, features: Tensor) -> Tensor:
        """Scaled variances ``b`` of features ``b x d``."""
        inputs, kernel = self.process.inputs(features, self.target), self.process.posterior.kernel
        _, variance = self.process.posterior.moments(inputs)
        own = kernel(inputs, diag=True).sqrt().unsqueeze(-1)
        likeness = (kernel(inputs, self.known.inputs).to_dense() / (own * self.scale)).clamp_min(0.0)
        errors = (likeness @ self.known.errors + PRIOR) / (likeness.sum(1) + PRIOR)
        scaled: Tensor = variance * errors
        return scaled
