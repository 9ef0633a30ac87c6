"""BayBE with its default recommender after the common design."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from baybe import Campaign
from baybe.parameters import NumericalContinuousParameter, NumericalDiscreteParameter
from baybe.recommenders import BotorchRecommender
from baybe.searchspace import SearchSpace
from baybe.settings import Settings
from baybe.targets import NumericalTarget

from benchmarks.synthetic_methods import Label, Point, Unsupported
from benchmarks.synthetic_problems import TestProblem


class BayBE:
    """A campaign over a continuous space with one target; outcome constraints are beyond it."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        if problem.constraints:
            raise Unsupported("BayBE has no outcome constraints")
        if problem.binary and problem.binary > 6:
            raise Unsupported("its hybrid spaces are products of all discrete settings, which are too many here")
        Settings(random_seed=seed).activate()
        self._names = [f"x{i}" for i in range(problem.dim)]
        parameters = [
            NumericalDiscreteParameter(name, (0, 1))
            if i < problem.binary
            else NumericalContinuousParameter(name, (0, 1))
            for i, name in enumerate(self._names)
        ]
        target = NumericalTarget("value", minimize=True)
        self._campaign = Campaign(
            SearchSpace.from_product(parameters), target.to_objective(), recommender=BotorchRecommender()
        )

    def tell(self, labels: Sequence[Label]) -> None:
        """Add measurements."""
        rows = [dict(zip(self._names, x, strict=True)) | {"value": value} for x, value, _ in labels]
        self._campaign.add_measurements(pd.DataFrame(rows))

    def ask(self, n: int) -> list[Point]:
        """Its recommendations."""
        found = self._campaign.recommend(batch_size=n)
        return [tuple(float(u) for u in row) for row in found[self._names].to_numpy()]
