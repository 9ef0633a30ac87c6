"""BayBE on a table with several objectives: its defaults, after the campaign's random design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from baybe import Campaign
from baybe.objectives import ParetoObjective
from baybe.parameters import CategoricalParameter, NumericalDiscreteParameter
from baybe.recommenders import BotorchRecommender
from baybe.searchspace import SearchSpace
from baybe.settings import Settings
from baybe.targets import NumericalTarget

from theoros.models.data import Choice, Point
from theoros.models.sampling import derived_seed
from theoros.oracles.spaces import Library
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.workers.memory import Labelled


class BayBEChooser:
    """A campaign with a Pareto objective and BoTorch's recommender over the product of the columns' values.

    The table has to be that product. What was measured is not recommended again.
    """

    def __init__(self, plan: Plan) -> None:
        space, problem = plan.problem.space, plan.problem
        assert isinstance(space, Library)
        self._plan, self._names = plan, list(space.column_kinds)
        candidates = {c.hash: c for block in space.iterate() for c in block}.values()
        self._rows = {self._key(candidate.data): candidate for candidate in candidates}
        self._design = space.sample(plan.initial, np.random.default_rng(derived_seed(plan.spec.seed, "design")))
        Settings(random_seed=plan.spec.seed).activate()
        parameters = []
        for name, kind in space.column_kinds.items():
            values = sorted({candidate.data[name] for candidate in candidates})
            parameters.append(
                NumericalDiscreteParameter(name, values) if kind == "number" else CategoricalParameter(name, values)
            )
        self._campaign = Campaign(
            SearchSpace.from_product(parameters),
            ParetoObjective([NumericalTarget(g.output, minimize=g.sense == "minimize") for g in problem.objectives]),
            recommender=BotorchRecommender(),
            allow_recommending_already_measured=False,
        )
        self._asked = 0

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice]:
        """The next row of the design, and after it what is recommended."""
        if self._asked < len(self._design):
            candidate = self._design[self._asked]
        else:
            candidate = self._rows[self._key(self._campaign.recommend(batch_size=1).iloc[0])]
        self._asked += 1
        return (Choice(Point(candidate, self._plan.problem.target), "baybe", "", None),)

    def tell(self, label: Labelled) -> None:
        """Add a measurement."""
        row = {name: label.point.candidate.data[name] for name in self._names}
        measured = dict(zip(self._plan.problem.outputs, label.values, strict=True))
        self._campaign.add_measurements(pd.DataFrame([row | measured]))

    def _key(self, data: Mapping[str, Any] | pd.Series[Any]) -> tuple[str | float, ...]:
        values = (data[name] for name in self._names)
        return tuple(value if isinstance(value, str) else float(value) for value in values)
