"""The ranking-weighted ensemble of Feurer, Letham & Bakshy (arXiv:1802.02219), as people build it with BoTorch."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.gpytorch import GPyTorchModel
from botorch.optim import optimize_acqf
from gpytorch.distributions import MultivariateNormal
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.models import GP
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

from benchmarks.transfer_problems import Answer
from theoros.models.data import Dataset, Point, Problem
from theoros.models.proposers.earlier_best import best_of_earlier
from theoros.oracles.candidate import Candidate

#: Draws of rankings that weights are counted from.
DRAWS = 256


class Ensemble(GP, GPyTorchModel):  # type: ignore[misc]  # GPyTorch and BoTorch are untyped
    """A weighted sum of independent models, each of labels in its own standardised units."""

    def __init__(self, models: list[SingleTaskGP], weights: Tensor) -> None:
        super().__init__()
        self.models, self.weights, self._num_outputs = torch.nn.ModuleList(models), weights, 1

    def forward(self, X: Tensor) -> MultivariateNormal:
        """The ensemble's belief at ``... x q x d``."""
        mean, variance = torch.zeros(()), torch.zeros(())
        for model, weight in zip(self.models, self.weights, strict=True):
            if weight > 0:
                posterior = model.posterior(X)
                mean = mean + weight * posterior.mean.squeeze(-1)
                variance = variance + weight**2 * posterior.variance.squeeze(-1)
        return MultivariateNormal(mean, DiagLinearOperator(variance))


def rgpe(problem: Problem, answer: Answer, n: int, initial: int, seed: int) -> tuple[Dataset, list[float]]:
    """The labels of a campaign that begins with the best of earlier ones, and the seconds of each decision."""
    torch.manual_seed(seed)
    sources = [_fitted(*_data(earlier.dataset)) for earlier in problem.earlier]
    names = sorted(problem.earlier[0].dataset.points[0].candidate.data)
    X = _points(best_of_earlier(problem)[:initial], names)
    if len(X) < initial:
        X = torch.cat([X, torch.rand(initial - len(X), len(names), dtype=torch.double)])

    def loss(x: Tensor) -> list[float]:
        return [-answer(problem.space.candidate(dict(zip(names, x.tolist(), strict=True))))]

    Y = torch.tensor([loss(x) for x in X], dtype=torch.double)
    box = torch.tensor([[0.0] * len(names), [1.0] * len(names)], dtype=torch.double)
    seconds = []
    while len(X) < n:
        started = time.perf_counter()
        y = (Y - Y.mean()) / Y.std().clamp_min(1e-9)
        own = _fitted(X, y)
        model = Ensemble([*sources, own], weights(sources, own, X, y))
        acquisition = LogExpectedImprovement(model, best_f=float(model.posterior(X).mean.max()))
        found, _ = optimize_acqf(acquisition, box, q=1, num_restarts=5, raw_samples=256)
        seconds.append(time.perf_counter() - started)
        X = torch.cat([X, found.detach()])
        Y = torch.cat([Y, torch.tensor([loss(found[0])], dtype=torch.double)])
    points = tuple(Point(problem.space.candidate(dict(zip(names, x.tolist(), strict=True))), "full") for x in X)
    return Dataset(points, problem.outputs, -Y.numpy()), seconds


def weights(sources: list[SingleTaskGP], own: SingleTaskGP, X: Tensor, y: Tensor) -> Tensor:
    """How often each model ranks the labels best, with the paper's guard against weight dilution (its section 4)."""
    wrong = torch.stack(
        [*(_misranked(_drawn(source, X), y) for source in sources), _misranked(_left_out(own, X, y), y)]
    )
    keep = torch.ones(len(wrong), dtype=torch.bool)
    keep[:-1] = wrong[:-1].median(-1).values <= wrong[-1].quantile(0.95)
    wrong[~keep] = wrong.max() + 1
    least = wrong.argmin(0)
    ties = wrong[-1] == wrong.amin(0)
    least[ties] = len(wrong) - 1  # the target's own model is preferred
    return torch.bincount(least, minlength=len(wrong)).double() / DRAWS


def _misranked(drawn: Tensor, y: Tensor) -> Tensor:
    """Pairs of labels that each of the draws (``s x n``) puts in the wrong order: s."""
    predicted, true = drawn.unsqueeze(-1) < drawn.unsqueeze(-2), (y < y.T).expand(len(drawn), -1, -1)
    return (predicted != true).sum((-1, -2)).double()


def _drawn(model: SingleTaskGP, X: Tensor) -> Tensor:
    with torch.no_grad():
        return model.posterior(X).rsample(torch.Size([DRAWS])).squeeze(-1)


def _left_out(own: SingleTaskGP, X: Tensor, y: Tensor) -> Tensor:
    """Draws of each label from the model without it, hyperparameters kept: ``s x n``."""
    columns = []
    for i in range(len(X)):
        rest = torch.arange(len(X)) != i
        model = SingleTaskGP(X[rest], y[rest], outcome_transform=None)
        model.load_state_dict(own.state_dict())
        with torch.no_grad():
            columns.append(model.posterior(X[i : i + 1]).rsample(torch.Size([DRAWS])).reshape(DRAWS))
    return torch.stack(columns, dim=1)


def _fitted(X: Tensor, y: Tensor) -> SingleTaskGP:
    model = SingleTaskGP(X, y, outcome_transform=None)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def _data(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Points and standardised labels, larger being better."""
    names = sorted(dataset.points[0].candidate.data)
    Y: Any = -torch.from_numpy(np.ascontiguousarray(dataset.values[:, :1]))
    return _points([point.candidate for point in dataset.points], names), (Y - Y.mean()) / Y.std().clamp_min(1e-9)


def _points(candidates: list[Candidate], names: list[str]) -> Tensor:
    rows = [[float(candidate.data[name]) for name in names] for candidate in candidates]
    return torch.tensor(rows, dtype=torch.double).reshape(len(candidates), len(names))
