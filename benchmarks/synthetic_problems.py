"""Test functions of known optimum, moved by a random offset for each seed.

The optimum of many test functions lies at the centre of the box or on its diagonal, where some methods look first.
Here the *domain* is translated: the function ``F`` on its own box, of widths ``w``, becomes ``f(u) = F(low + w (u +
t))`` on the unit cube. The offset ``t`` is drawn uniformly in [-0.25, 0.25] for each coordinate, and drawn nearer
where it would bring the optimum closer than 0.05 to the edge of the cube. All of these functions are given by
formulas that hold beyond their box and attain their minimum nowhere lower there: Branin, Ackley, Levy and Rosenbrock
are sums of squares or of bounded terms about it; Hartmann's is a sum of bells, whose highest point lies between their
centres, in the box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.test_functions.synthetic import (
    Ackley,
    AckleyMixed,
    Branin,
    ConstrainedHartmann,
    Hartmann,
    Levy,
    Rosenbrock,
)

#: The largest offset, in widths of the box, and the least distance of the optimum from the edge of the cube.
FARTHEST, MARGIN = 0.25, 0.05
#: Coordinates of the space in which Hartmann's function is hidden.
AMBIENT = 100


@dataclass(frozen=True)
class TestProblem:
    """To be minimised over the unit cube in `budget` evaluations, `batch` at a time.

    The first `binary` coordinates are 0 or 1. `evaluate` maps a point (d,) to the value and the slacks of the outcome
    constraints, which are kept where none is negative.
    """

    __test__ = False

    name: str
    dim: int
    budget: int
    optimum: float
    evaluate: Callable[[np.ndarray], tuple[float, tuple[float, ...]]]
    batch: int = 1
    binary: int = 0
    constraints: int = 0

    @property
    def initial(self) -> int:
        """Points of the design that every method is given: what a campaign of Theoros begins with."""
        return min(max(5, min(2 * self.dim, 20)), self.budget // 2)


def make(name: str, seed: int) -> TestProblem:
    """The problem `name` with the offset of `seed`; raises KeyError."""
    return PROBLEMS[name](name, np.random.default_rng([seed, 20]))


def _moved(function: Any, budget: int, batch: int = 1) -> Callable[[str, np.random.Generator], TestProblem]:
    def build(name: str, rng: np.random.Generator) -> TestProblem:
        problem = function()
        low, high = problem.bounds.numpy().astype(float)
        optimum = (np.asarray(problem.optimizers[0], dtype=float) - low) / (high - low)
        width = torch.from_numpy(high - low)
        problem.bounds = torch.stack([problem.bounds[0] - width, problem.bounds[1] + width])  # BoTorch guards them
        place = np.clip(optimum + rng.uniform(-FARTHEST, FARTHEST, len(low)), MARGIN, 1 - MARGIN)

        def evaluate(u: np.ndarray) -> tuple[float, tuple[float, ...]]:
            return _values(problem, low + (high - low) * (u + optimum - place))

        constraints = int(getattr(problem, "num_constraints", 0) or 0)
        return TestProblem(
            name, len(low), budget, float(problem.optimal_value), evaluate, batch, constraints=constraints
        )

    return build


def _hidden(function: Any, budget: int, batch: int) -> Callable[[str, np.random.Generator], TestProblem]:
    """A function of few among `AMBIENT` coordinates; which ones, is drawn."""

    def build(name: str, rng: np.random.Generator) -> TestProblem:
        inner = _moved(function, budget)(name, rng)
        active = rng.choice(AMBIENT, inner.dim, replace=False)
        return TestProblem(name, AMBIENT, budget, inner.optimum, lambda u: inner.evaluate(u[active]), batch)

    return build


def _mixed(dim: int, budget: int) -> Callable[[str, np.random.Generator], TestProblem]:
    """Ackley's function of the distance from a drawn point, of which all but three coordinates are 0 or 1."""

    def build(name: str, rng: np.random.Generator) -> TestProblem:
        problem = AckleyMixed(dim=dim)
        binary = dim - 3
        place = np.concatenate([rng.integers(0, 2, binary), rng.uniform(0.1, 0.9, 3)])
        problem.x_opt = torch.from_numpy(place.astype(float))
        return TestProblem(name, dim, budget, 0.0, lambda u: _values(problem, u), binary=binary)

    return build


def _values(problem: Any, x: np.ndarray) -> tuple[float, tuple[float, ...]]:
    point = torch.from_numpy(np.asarray(x, dtype=float))[None]
    slack = problem.evaluate_slack_true(point).flatten().tolist() if getattr(problem, "num_constraints", 0) else []
    return float(problem.evaluate_true(point)), tuple(slack)


PROBLEMS: dict[str, Callable[[str, np.random.Generator], TestProblem]] = {
    "branin": _moved(Branin, 30),
    "hartmann6": _moved(lambda: Hartmann(dim=6), 50),
    "ackley4": _moved(lambda: Ackley(dim=4), 40),
    "levy4": _moved(lambda: Levy(dim=4), 40),
    "rosenbrock4": _moved(lambda: Rosenbrock(dim=4), 40),
    "ackley20": _moved(lambda: Ackley(dim=20), 200, 5),
    "hartmann6in100": _hidden(lambda: Hartmann(dim=6), 200, 5),
    "ackley_mixed13": _mixed(13, 60),
    "hartmann6_ball": _moved(lambda: ConstrainedHartmann(dim=6), 50),
}
