"""Bayesian optimisation as people write it with BoTorch: a GP for each output, logEI, and what a problem needs more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf, optimize_acqf_mixed_alternating
from gpytorch.mlls import ExactMarginalLogLikelihood, SumMarginalLogLikelihood

from benchmarks.synthetic_methods import Label, Point
from benchmarks.synthetic_problems import TestProblem


class BoTorchLoop:
    """`SingleTaskGP` with its defaults, refitted for every batch, and `qLogExpectedImprovement`."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        torch.manual_seed(seed)
        self._problem, self._labels = problem, list[Label]()
        self._box = torch.tensor([[0.0] * problem.dim, [1.0] * problem.dim], dtype=torch.double)

    def tell(self, labels: Sequence[Label]) -> None:
        """Add labels."""
        self._labels += labels

    def ask(self, n: int) -> list[Point]:
        """Fit, and maximise."""
        X = torch.tensor([x for x, _, _ in self._labels], dtype=torch.double)
        Y = torch.tensor([[-value] for _, value, _ in self._labels], dtype=torch.double)
        if self._problem.constraints:
            slacks = torch.tensor([s for _, _, s in self._labels], dtype=torch.double)
            acquisition = _constrained(X, Y, slacks)
        else:
            model = SingleTaskGP(X, Y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            acquisition = qLogExpectedImprovement(model, best_f=float(Y.max()))
        if self._problem.binary:
            found, _ = optimize_acqf_mixed_alternating(
                acquisition,
                self._box,
                discrete_dims={i: [0.0, 1.0] for i in range(self._problem.binary)},
                q=n,
                num_restarts=5,
                raw_samples=128,
            )
        else:
            found, _ = optimize_acqf(acquisition, self._box, q=n, num_restarts=5, raw_samples=128)
        return [tuple(x) for x in found.tolist()]


def _constrained(X: torch.Tensor, Y: torch.Tensor, slacks: torch.Tensor) -> qLogExpectedImprovement:
    columns = [Y, *slacks.split(1, dim=1)]
    model = ModelListGP(*(SingleTaskGP(X, column, outcome_transform=Standardize(1)) for column in columns))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    feasible = (slacks >= 0).all(1)
    best = float(Y[feasible].max()) if bool(feasible.any()) else float(Y.min())
    return qLogExpectedImprovement(
        model,
        best_f=best,
        objective=GenericMCObjective(lambda samples, X=None: samples[..., 0]),
        constraints=[lambda samples, i=i: -samples[..., i] for i in range(1, len(columns))],
    )
