"""Ask where the model is unsure, and above all near labels that it would have got wrong without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import FeatureAcquisition, belief_of, feature_scorer, hallucinated, weighed
from theoros.models.acquisition.several import total, wanted
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Dataset, Point, Problem
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior

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

    Pending points are conditioned on first. Of several outputs that are learned, values in standardised units add up.
    Where there are constraints it is weighed by the probability that they hold.
    """

    name: ClassVar[str] = "loo_variance"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"learn"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, differentiable."""
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
        return feature_scorer(model, self.build(problem, model, dataset, pending, seed=seed))


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
