"""HEBO with its defaults after the common design.

HEBO 0.3.2 does not import beside today's pymoo, pandas and NumPy. An environment of its own on Python 3.11 with pymoo
0.5.0, NumPy 1.23.5, pandas 1.5.3 (and pytz), SciPy 1.15.3, scikit-learn 1.2.2, cma 3.2.2, matplotlib 3.7.5, contourpy
1.1.1 and decorator 5.1.1, all installed without their dependencies, runs it before the packages of the project itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from benchmarks.synthetic_methods import Label, Point, Unsupported
from benchmarks.synthetic_problems import TestProblem


class Hebo:
    """A warped Gaussian process (GPy) and the front of three acquisitions (MACE); outcome constraints are beyond it."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        if problem.constraints:
            raise Unsupported("HEBO's optimizer of one objective has no outcome constraints")
        random.seed(seed)
        np.random.seed(seed)  # its optimisers draw from the global generators
        torch.manual_seed(seed)
        self._names, self._binary = [f"x{i}" for i in range(problem.dim)], problem.binary
        space = DesignSpace().parse(
            [
                {"name": name, "type": "int" if i < problem.binary else "num", "lb": 0, "ub": 1}
                for i, name in enumerate(self._names)
            ]
        )
        self._optimizer: Any = HEBO(space, rand_sample=problem.initial)

    def tell(self, labels: Sequence[Label]) -> None:
        """Add observations."""
        points = pd.DataFrame([x for x, _, _ in labels], columns=self._names)
        points = points.astype(dict.fromkeys(self._names[: self._binary], int))
        self._optimizer.observe(points, np.array([[value] for _, value, _ in labels]))

    def ask(self, n: int) -> list[Point]:
        """Its suggestions."""
        found = self._optimizer.suggest(n_suggestions=n)
        return [tuple(float(u) for u in row) for row in found[self._names].to_numpy()]
