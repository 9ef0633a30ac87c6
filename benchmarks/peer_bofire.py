"""BoFire's single-objective strategy with its defaults after the common design.

It needs more than the package itself (SCIP, Mordred): ``pip install -c constraints.txt 'bofire[optimization]'
mordredcommunity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from bofire.data_models.domain.api import Domain, Inputs, Outputs
from bofire.data_models.features.api import ContinuousInput, ContinuousOutput, DiscreteInput
from bofire.data_models.objectives.api import MaximizeSigmoidObjective, MinimizeObjective
from bofire.data_models.strategies.api import SoboStrategy
from bofire.strategies.api import map as build

from benchmarks.synthetic_methods import Label, Point
from benchmarks.synthetic_problems import TestProblem

#: How steeply a constraint's sigmoid rises where the slack is zero, per unit of slack.
STEEPNESS = 100.0


class BoFire:
    """`SoboStrategy`: a Gaussian process for each output and noisy expected improvement; slacks as steep sigmoids."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        self._names = [f"x{i}" for i in range(problem.dim)]
        self._slacks = [f"slack{i}" for i in range(problem.constraints)]
        inputs: list[Any] = [
            DiscreteInput(key=name, values=[0, 1]) if i < problem.binary else ContinuousInput(key=name, bounds=(0, 1))
            for i, name in enumerate(self._names)
        ]
        outputs = [ContinuousOutput(key="value", objective=MinimizeObjective(w=1.0))]
        outputs += [
            ContinuousOutput(key=name, objective=MaximizeSigmoidObjective(tp=0.0, steepness=STEEPNESS, w=1.0))
            for name in self._slacks
        ]
        domain = Domain(inputs=Inputs(features=inputs), outputs=Outputs(features=outputs))
        self._strategy: Any = build(SoboStrategy(domain=domain, seed=seed))

    def tell(self, labels: Sequence[Label]) -> None:
        """Add experiments."""
        rows = [
            dict(zip(self._names, x, strict=True)) | {"value": value} | dict(zip(self._slacks, slacks, strict=True))
            for x, value, slacks in labels
        ]
        columns = pd.DataFrame(rows)
        for name in ("value", *self._slacks):
            columns[f"valid_{name}"] = 1
        self._strategy.tell(columns)

    def ask(self, n: int) -> list[Point]:
        """Its candidates."""
        found = self._strategy.ask(n)
        return [tuple(float(u) for u in row) for row in found[self._names].to_numpy()]
