"""Ax with its default strategy after the common design."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

from benchmarks.synthetic_methods import Label, Point
from benchmarks.synthetic_problems import TestProblem


class Ax:
    """The client that Ax's documentation recommends; `get_next_trials` knows running trials."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        logging.disable(logging.WARNING)
        self._names, self._binary = [f"x{i}" for i in range(problem.dim)], problem.binary
        self._slacks = [f"slack{i}" for i in range(problem.constraints)]
        self._client = Client(random_seed=seed)
        parameters: list[Any] = [
            ChoiceParameterConfig(name=name, values=[0, 1], parameter_type="int", is_ordered=True)
            if i < problem.binary
            else RangeParameterConfig(name=name, bounds=(0.0, 1.0), parameter_type="float")
            for i, name in enumerate(self._names)
        ]
        self._client.configure_experiment(parameters=parameters)
        self._client.configure_optimization(
            objective="-value", outcome_constraints=[f"{name} >= 0" for name in self._slacks] or None
        )
        self._client.configure_generation_strategy(
            initialization_budget=problem.initial, initialization_random_seed=seed, initialize_with_center=False
        )
        self._open: dict[Point, int] = {}

    def tell(self, labels: Sequence[Label]) -> None:
        """Complete trials; points that it did not ask for are attached first."""
        for x, value, slacks in labels:
            trial = self._open.pop(x, None)
            if trial is None:
                whole = [int(u) if i < self._binary else u for i, u in enumerate(x)]
                trial = self._client.attach_trial(dict(zip(self._names, whole, strict=True)))
            data = {"value": value, **dict(zip(self._slacks, slacks, strict=True))}
            self._client.complete_trial(trial, raw_data=data)

    def ask(self, n: int) -> list[Point]:
        """The next trials."""
        points = []
        for index, found in self._client.get_next_trials(max_trials=n).items():
            point = tuple(float(found[name]) for name in self._names)
            self._open[point] = index
            points.append(point)
        return points
