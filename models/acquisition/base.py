"""What the built-in acquisition functions share: they read Gaussian beliefs, and score candidates through features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.deterministic import GenericDeterministicModel
from botorch.utils.probability.utils import log_ndtr
from torch import Tensor

from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, OutcomeConstraint, Point, Problem
from theoros.models.objective import Objective
from theoros.models.surrogates.ard_moments import Moments
from theoros.models.surrogates.output_model import OutputModel
from theoros.oracles.candidate import Candidate

#: Candidates that are encoded and scored at once; bounds the memory of a fingerprint matrix.
CHUNK = 2_000


class GaussianBelief(Protocol):
    """What ``"posterior"`` in a surrogate's `provides` means: independent Gaussian processes over encoded features."""

    outputs: tuple[str, ...]
    fidelities: tuple[str, ...]

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``."""
        ...

    def output(self, name: str) -> OutputModel:
        """The process of an output."""
        ...

    def fidelity_indices(self, points: Sequence[Point]) -> list[int]:
        """The place of each point's fidelity in the ladder."""
        ...


def belief_of(model: FittedSurrogate) -> GaussianBelief:
    """`model` as a Gaussian belief; raises TypeError when it offers no posterior over features."""
    if not all(hasattr(model, name) for name in ("encode", "output", "fidelity_indices")):
        raise TypeError(
            f"The surrogate {model.name!r} offers no posterior over features, which this acquisition needs. "
            f"Use 'std' or 'random' with it, or a Gaussian process."
        )
    return cast(GaussianBelief, model)


class FeatureAcquisition(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped
    """A BoTorch acquisition function of one point at the target fidelity: ``b x 1 x d`` features to ``b`` values."""

    def __init__(self) -> None:
        # BoTorch's constructor wants a model; its optimisers never ask ours, which hold their posteriors themselves.
        super().__init__(model=GenericDeterministicModel(lambda X: X[..., :1]))

    def forward(self, X: Tensor) -> Tensor:
        """Values ``b`` of features ``b x 1 x d``, larger is better."""
        return self.values(X.squeeze(-2))

    @abstractmethod
    def values(self, features: Tensor) -> Tensor:
        """Values ``b`` of features ``b x d``."""

    def with_gradient(self, features: Array) -> tuple[Array, Array]:
        """Values (b) and their gradients (``b x d``), each by its own row of features ``b x d``."""
        inputs = torch.from_numpy(features).requires_grad_(True)
        values = self.values(inputs)
        (gradient,) = torch.autograd.grad(values.sum(), inputs)
        return values.detach().numpy(), gradient.numpy()


def feature_scorer(model: FittedSurrogate, function: FeatureAcquisition) -> Score:
    """Score candidates by an acquisition function over their features; what is not a number scores -infinity."""
    belief = belief_of(model)

    def score(candidates: Sequence[Candidate]) -> Array:
        values = np.empty(len(candidates))
        for start in range(0, len(candidates), CHUNK):
            chunk = candidates[start : start + CHUNK]
            with torch.no_grad():
                values[start : start + len(chunk)] = function.values(belief.encode(chunk)).cpu().numpy()
        return np.nan_to_num(values, nan=-np.inf, posinf=np.finfo(np.float64).max, neginf=-np.inf)

    return score


class WrittenOut(FeatureAcquisition):
    """An acquisition of the outputs' moments at the target fidelity that knows its own gradient by them."""

    def __init__(self, models: Mapping[str, OutputModel]) -> None:
        super().__init__()
        self.models = models

    @abstractmethod
    def head(
        self, moments: Mapping[str, tuple[Array, Array]]
    ) -> tuple[Array, Mapping[str, tuple[Array, Array]]] | None:
        """Values (b) and their gradients by the means (``b x s``) and variances (b) of each output; None where only
        torch has them.
        """

    def with_gradient(self, features: Array) -> tuple[Array, Array]:
        """Values (b) and gradients ``b x d``: over arrays where every process can do that, else by torch."""
        written = {name: model.written_out for name, model in self.models.items()}
        if any(process is None for process in written.values()):
            return super().with_gradient(features)
        found = {name: cast(Moments, process).at(features) for name, process in written.items()}
        headed = self.head({name: (mean, variance) for name, (mean, variance, _) in found.items()})
        if headed is None:
            return super().with_gradient(features)
        values, gradients = headed
        total = np.zeros(features.shape)
        for name, (by_mean, by_variance) in gradients.items():
            total += found[name][2](by_mean, by_variance)
        return values, total


@dataclass(frozen=True)
class Bound:
    """An outcome constraint in the standardised units of its output at the target fidelity: ``sign * f <= limit``."""

    output: str
    sign: float
    limit: float


def standardised_objective(belief: GaussianBelief, objective: Objective) -> Objective:
    """Translate an objective into the units in which a process predicts its output at the target fidelity."""
    model = belief.output(objective.output)
    return objective.standardised(float(model.offset[-1]), float(model.scale[-1]))


def standardised_bound(belief: GaussianBelief, constraint: OutcomeConstraint) -> Bound:
    """Translate a constraint into the units in which a process predicts its output."""
    model = belief.output(constraint.output)
    sign = 1.0 if constraint.op == "<=" else -1.0
    return Bound(constraint.output, sign, sign * float((constraint.bound - model.offset[-1]) / model.scale[-1]))


def moments_of(models: Mapping[str, OutputModel], features: Tensor, fidelity: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Means ``b x s`` and variances ``b`` of each output at features ``b x d``."""
    return {name: model.posterior.moments(model.inputs(features, fidelity)) for name, model in models.items()}


def log_kept(bounds: Sequence[Bound], moments: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
    """The logarithm (``b x s``) of the probability that all bounds hold, as if they were independent; 0 without any."""
    total = torch.zeros((), dtype=torch.float64)
    for bound in bounds:
        mean, variance = moments[bound.output]
        total = total + log_ndtr((bound.limit - bound.sign * mean) / variance.sqrt().unsqueeze(-1))
    return total


def weighed(function: FeatureAcquisition, problem: Problem, belief: GaussianBelief) -> FeatureAcquisition:
    """A positive acquisition times the probability that the problem's constraints hold, if there are any."""
    return _Weighed(function, problem, belief) if problem.constraints else function


class _Weighed(FeatureAcquisition):
    """A positive acquisition times the probability that the constraints hold, as if they were independent."""

    def __init__(self, function: FeatureAcquisition, problem: Problem, belief: GaussianBelief) -> None:
        super().__init__()
        self.function, self.target = function, len(problem.fidelities) - 1
        self.models = {c.output: belief.output(c.output) for c in problem.constraints}
        self.bounds = [standardised_bound(belief, c) for c in problem.constraints]

    def values(self, features: Tensor) -> Tensor:
        """Values ``b`` of features ``b x d``."""
        chance = log_kept(self.bounds, moments_of(self.models, features, self.target)).exp()
        return self.function.values(features) * chance[:, 0]


def pending_features(belief: GaussianBelief, pending: Sequence[Point]) -> tuple[Tensor, list[int]]:
    """Features ``p x d`` of the pending points and their fidelities."""
    return belief.encode([point.candidate for point in pending]), belief.fidelity_indices(pending)


def hallucinated(belief: GaussianBelief, output: str, pending: Sequence[Point]) -> OutputModel:
    """The process of `output` as if every pending point had answered with its mean.

    Means stay, variances shrink (Desautels et al., JMLR 15, 4053 (2014)).
    """
    model = belief.output(output)
    if not pending:
        return model
    features, fidelity = pending_features(belief, pending)
    with torch.no_grad():
        means, _ = model.posterior.moments(model.inputs(features, fidelity))
    return model.conditioned(features, fidelity, means[:, :1])


def labelled_at_target(problem: Problem, dataset: Dataset) -> list[int]:
    """Rows of `dataset` whose objectives were all observed at the target fidelity."""
    columns = [dataset.outputs.index(goal.output) for goal in problem.objectives]
    return [
        row
        for row, point in enumerate(dataset.points)
        if point.fidelity == problem.target and np.isfinite(dataset.values[row, columns]).all()
    ]
