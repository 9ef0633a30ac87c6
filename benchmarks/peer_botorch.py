"""Bayesian optimisation as people write it with BoTorch: a design of Sobol points, then a GP and qLogEI."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.utils.sampling import draw_sobol_samples
from gpytorch.mlls import ExactMarginalLogLikelihood

Point = tuple[float, ...]


class BoTorch:
    """Chooses points of the unit cube to minimise what it is told. Failures are left out of the model.

    With `beside`, whoever chooses uses the last model and somebody else calls `refit`; otherwise choosing refits first
    whenever there are new labels. Threads may share it.
    """

    def __init__(self, dim: int, initial: int, seed: int, *, beside: bool = False) -> None:
        torch.manual_seed(seed)
        self._box = torch.tensor([[0.0] * dim, [1.0] * dim], dtype=torch.double)
        self._design = [tuple(x.tolist()) for x in draw_sobol_samples(self._box, initial, 1, seed=seed).squeeze(1)]
        self._rest = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed + 1)
        self._beside = beside
        self._lock = threading.Lock()
        self._labels: list[tuple[Point, float]] = []
        self._pending: list[Point] = []
        self._fitted = 0
        self._model: tuple[Any, float] | None = None
        #: Seconds that each guided choice took, fits included where choosing fits.
        self.seconds: list[float] = []

    def learn(self, x: Sequence[float], value: float | None) -> None:
        """What `x` gave; None for a failure."""
        with self._lock:
            self._pending.remove(tuple(x))
            if value is not None:
                self._labels.append((tuple(x), -value))

    @property
    def best(self) -> float:
        """The lowest value so far."""
        return -max(y for _, y in self._labels)

    def refit(self) -> bool:
        """Fit a model to all labels; False when there is none that is new."""
        with self._lock:
            labels = list(self._labels)
        if len(labels) == self._fitted or len(labels) < 2:
            return False
        X = torch.tensor([x for x, _ in labels], dtype=torch.double)
        Y = torch.tensor([[y] for _, y in labels], dtype=torch.double)
        model = SingleTaskGP(X, Y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        self._model, self._fitted = (model, float(Y.max())), len(labels)
        return True

    def choose(self, q: int = 1) -> list[Point]:
        """The next `q` points (fewer at the design's end), which are pending from now on."""
        with self._lock:
            points = [self._design.pop() for _ in range(min(q, len(self._design)))]
            pending = list(self._pending)
        if not points:
            points = self._guided(q, pending)
        with self._lock:
            self._pending += points
        return points

    def _guided(self, q: int, pending: list[Point]) -> list[Point]:
        started = time.perf_counter()
        if not self._beside:
            self.refit()
        if self._model is None:  # nothing has answered yet
            return [tuple(x.tolist()) for x in self._rest.draw(q).double()]
        model, best = self._model
        waiting: Any = torch.tensor(pending, dtype=torch.double) if pending else None
        acquisition = qLogExpectedImprovement(model, best_f=best, X_pending=waiting)
        found, _ = optimize_acqf(acquisition, self._box, q=q, num_restarts=5, raw_samples=128)
        self.seconds.append(time.perf_counter() - started)
        return [tuple(x.tolist()) for x in found]
