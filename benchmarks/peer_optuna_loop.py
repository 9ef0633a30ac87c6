"""Optuna's samplers, asked and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution

from benchmarks.synthetic_methods import Label, Point
from benchmarks.synthetic_problems import TestProblem


class _Study:
    """A study in memory; the initial design enters as finished trials."""

    def __init__(self, problem: TestProblem, sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._space: dict[str, Any] = {
            f"x{i}": IntDistribution(0, 1) if i < problem.binary else FloatDistribution(0, 1)
            for i in range(problem.dim)
        }
        self._open: dict[Point, optuna.Trial] = {}

    def tell(self, labels: Sequence[Label]) -> None:
        for x, value, slacks in labels:
            trial = self._open.pop(x, None)
            if trial is None:
                params = {name: int(u) if isinstance(self._space[name], IntDistribution) else u
                          for name, u in zip(self._space, x, strict=True)}  # fmt: skip
                self._study.enqueue_trial(params)
                trial = self._study.ask(self._space)
            trial.set_user_attr("slacks", list(slacks))
            self._study.tell(trial, value)

    def ask(self, n: int) -> list[Point]:
        points = []
        for _ in range(n):
            trial = self._study.ask(self._space)
            point = tuple(float(trial.params[name]) for name in self._space)
            self._open[point] = trial
            points.append(point)
        return points


def _violations(trial: optuna.trial.FrozenTrial) -> list[float]:
    return [-slack for slack in trial.user_attrs.get("slacks", [])]


def _settings(problem: TestProblem, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": seed, "n_startup_trials": problem.initial}
    return found | ({"constraints_func": _violations} if problem.constraints else {})


class OptunaTPE(_Study):
    """Optuna's default sampler, multivariate, and aware of running trials where it is asked for several."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        more = {"multivariate": True, "constant_liar": problem.batch > 1}
        super().__init__(problem, optuna.samplers.TPESampler(**_settings(problem, seed), **more))


class OptunaGP(_Study):
    """Optuna's Gaussian processes."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        super().__init__(problem, optuna.samplers.GPSampler(**_settings(problem, seed), deterministic_objective=True))
