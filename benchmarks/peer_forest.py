"""The loop that people write by hand with scikit-learn: a random forest, and expected improvement from its trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor

from theoros.models.data import Choice, Point
from theoros.oracles.spaces import Library
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.workers.memory import Labelled

#: Random choices before the first fit.
INITIAL = 2


class ForestChooser:
    """A hundred trees, refitted for every label; categories are one-hot. After Hutter et al., LION 5 (2011)."""

    def __init__(self, plan: Plan) -> None:
        space = plan.problem.space
        assert isinstance(space, Library)
        self._plan, self._rng = plan, np.random.default_rng(plan.spec.seed)
        self._candidates = list({c.hash: c for block in space.iterate() for c in block}.values())
        columns = []
        for name, kind in space.column_kinds.items():
            values = [candidate.data[name] for candidate in self._candidates]
            columns += [[value == choice for value in values] for choice in space.categories.get(name, ())]
            columns += [values] if kind == "number" else []
        self._X = np.array(columns, dtype=float).T
        self._row = {candidate.hash: row for row, candidate in enumerate(self._candidates)}
        self._initial = plan.initial if plan.initial else INITIAL
        self._asked: list[int] = []
        self._rows: list[int] = []
        self._y: list[float] = []

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice]:
        """The row with the best expected improvement among those not asked yet."""
        free = np.setdiff1d(np.arange(len(self._X)), self._asked)
        if not len(free):
            return ()
        if len(self._asked) < self._initial or len(self._y) < 2:
            row = int(self._rng.choice(free))
        else:
            forest = RandomForestRegressor(100, random_state=int(self._rng.integers(2**31)))
            forest.fit(self._X[self._rows], self._y)
            trees = np.array([tree.predict(self._X[free]) for tree in forest.estimators_])
            mean, std = trees.mean(0), np.maximum(trees.std(0), 1e-9)
            z = (mean - max(self._y)) / std
            row = int(free[np.argmax(std * (z * norm.cdf(z) + norm.pdf(z)))])
        self._asked.append(row)
        return (Choice(Point(self._candidates[row], self._plan.problem.target), "forest", "ei", None),)

    def tell(self, label: Labelled) -> None:
        """Remember a label."""
        goal = self._plan.problem.objective
        if not label.failed:
            self._rows.append(self._row[label.point.candidate.hash])
            self._y.append(float(goal.utility(label.values[self._plan.problem.outputs.index(goal.output)])))
