"""BoTorch's multi-fidelity knowledge gradient, as its tutorial has it, in a simulation.

Wu et al., UAI 2019, arXiv:1903.04703; Balandat et al., NeurIPS 2020, arXiv:1910.06403.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from botorch.acquisition import PosteriorMean
from botorch.acquisition.cost_aware import InverseCostWeightedUtility
from botorch.acquisition.fixed_feature import FixedFeatureAcquisitionFunction
from botorch.acquisition.knowledge_gradient import qMultiFidelityKnowledgeGradient
from botorch.acquisition.utils import project_to_target_fidelity
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskMultiFidelityGP
from botorch.models.cost import AffineFidelityCostModel
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf, optimize_acqf_mixed
from gpytorch.mlls import ExactMarginalLogLikelihood

from theoros.models.data import Choice, Point
from theoros.models.sampling import unit_quasirandom
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.workers.memory import Labelled

#: Imagined answers of a label, and the starts and raw points of its optimiser.
FANTASIES, RESTARTS, RAW = 16, 3, 64


class KnowledgeGradientChooser:
    """Minimises over a cube with two levels; `recommended` is after each label what it holds to be the best."""

    def __init__(self, plan: Plan) -> None:
        assert isinstance(plan.problem.space, Parameters)
        self._plan, self._space = plan, plan.problem.space
        self._names = list(self._space.parameters)
        self._d = len(self._names)
        self._cost = plan.problem.costs[0]
        torch.manual_seed(plan.spec.seed)
        design = unit_quasirandom(plan.initial, self._d, plan.spec.seed)
        self._design = [(u, level) for u in design for level in (0, 1)]
        self._X: list[list[float]] = []
        self._y: list[float] = []
        self._model: Any = None
        self.recommended: list[Candidate | None] = []

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice]:
        """The design, one after the other, and then the best gradient per cost."""
        if self._design:
            u, level = self._design.pop(0)
        else:
            found = self._best()
            u, level = found[: self._d], round(float(found[self._d]))
        point = Point(self._candidate(u), self._plan.problem.fidelities[level])
        return (Choice(point, "botorch", "mfkg", None),)

    def tell(self, label: Labelled) -> None:
        """Remember a label, and fit once the design has been asked."""
        level = self._plan.problem.fidelities.index(label.point.fidelity)
        self._X.append([float(label.point.candidate.data[name]) for name in self._names] + [float(level)])
        self._y.append(-label.values[0])
        self.recommended.append(None if self._design else self._fit())

    def _fit(self) -> Candidate:
        X, Y = torch.tensor(self._X, dtype=torch.double), torch.tensor(self._y, dtype=torch.double).unsqueeze(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskMultiFidelityGP(X, Y, outcome_transform=Standardize(m=1), data_fidelities=[self._d])
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        self._model = model
        mean = FixedFeatureAcquisitionFunction(PosteriorMean(model), self._d + 1, [self._d], [1.0])
        place, value = optimize_acqf(mean, self._box[:, :-1], q=1, num_restarts=5, raw_samples=128)
        self._best_mean = value
        return self._candidate(place[0].numpy())

    def _best(self) -> np.ndarray:
        cost = AffineFidelityCostModel(fidelity_weights={self._d: 1 - self._cost}, fixed_cost=self._cost)
        acquisition = qMultiFidelityKnowledgeGradient(
            model=self._model,
            num_fantasies=FANTASIES,
            current_value=self._best_mean,
            cost_aware_utility=InverseCostWeightedUtility(cost_model=cost),
            project=lambda X: project_to_target_fidelity(X, d=self._d + 1, target_fidelities={self._d: 1.0}),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, _ = optimize_acqf_mixed(
                acquisition,
                self._box,
                q=1,
                fixed_features_list=[{self._d: 0.0}, {self._d: 1.0}],
                num_restarts=RESTARTS,
                raw_samples=RAW,
                options={"batch_limit": RESTARTS, "maxiter": 100},
            )
        return np.asarray(found[0].numpy())

    @property
    def _box(self) -> torch.Tensor:
        return torch.tensor([[0.0] * (self._d + 1), [1.0] * (self._d + 1)], dtype=torch.double)

    def _candidate(self, u: np.ndarray) -> Candidate:
        return self._space.candidate(dict(zip(self._names, u.tolist(), strict=True)))
