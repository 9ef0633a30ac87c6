"""Optuna's samplers in a simulation.

Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019, doi:10.1145/3292500.3330701.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Choice, Point
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Categorical, Integer, Library, Ordinal, Parameters
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.spec.errors import SpecError
from theoros.workers.memory import Labelled


def optuna_chooser(sampler: str, plan: Plan) -> Callable[[Plan], OptunaChooser]:
    """A factory of choosers with Optuna's `sampler` (the name of a class), for plans like `plan`.

    Raises SpecError where Optuna is not installed and for spaces that it can't search.
    """
    try:
        import optuna
    except ImportError:
        raise SpecError(
            "tpe, gp and nsga2 are methods of Optuna, which is not installed. Install it: pip install 'optuna>=5'",
            ("--against",),
        ) from None
    space = plan.problem.space
    if not isinstance(space, Parameters | Library) or space.kind != "parameters":
        raise SpecError(
            f"Optuna has no candidates of kind {space.kind!r}. Leave out Optuna's samplers.", ("--against",)
        )
    if isinstance(space, Parameters) and space.constraints:
        raise SpecError("Optuna knows no constraints between parameters. Leave out Optuna's samplers.", ("--against",))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return lambda own: OptunaChooser(sampler, own)


class OptunaChooser:
    """A study with one of Optuna's samplers and its default settings, at the target fidelity.

    Where the space is a library, the row nearest to what the sampler suggests (in columns scaled to the unit interval,
    categories being alike or not) that has not been asked is taken, and the study is told of that row instead.
    """

    def __init__(self, sampler: str, plan: Plan) -> None:
        import optuna

        self._plan, problem = plan, plan.problem
        self._study = optuna.create_study(
            directions=["maximize"] * (1 if problem.desirability else len(problem.objectives)),
            sampler=getattr(optuna.samplers, sampler)(seed=plan.spec.seed),
        )
        self._distributions = distributions(problem.space)
        self._rows = _Rows(problem.space) if isinstance(problem.space, Library) else None
        self._trials: dict[str, list[Any]] = {}
        self._marks: dict[str, dict[str, Any]] = {}  # what the sampler notes on a trial: its generation, for one

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice]:
        """One suggestion."""
        import optuna

        trial = self._study.ask(self._distributions)
        if self._rows is None:
            candidate = self._plan.problem.space.candidate(trial.params)
            self._trials.setdefault(candidate.hash, []).append(trial)
        else:
            nearest = self._rows.take_nearest(trial.params)
            ended = self._study.tell(trial, state=optuna.trial.TrialState.FAIL)  # the row will be told of in its place
            if nearest is None:
                return ()
            candidate = nearest
            self._marks[candidate.hash] = ended.system_attrs
        return (Choice(Point(candidate, self._plan.problem.target), "optuna", "", None),)

    def tell(self, label: Labelled) -> None:
        """Tell the study of a label, or of a failure."""
        import optuna

        values = dict(zip(self._plan.problem.outputs, label.values, strict=False))  # none where it failed
        if self._rows is None:
            trial = self._trials[label.point.candidate.hash].pop(0)
            for name, excess in self._excess(values).items():
                trial.set_constraint(name, excess)
            if label.failed:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, self._utilities(values))
        elif not label.failed:
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=dict(label.point.candidate.data),
                    distributions=self._distributions,
                    values=self._utilities(values),
                    system_attrs=self._marks.pop(label.point.candidate.hash),
                    constraints=self._excess(values) or None,
                )
            )

    def _utilities(self, values: Mapping[str, float]) -> list[float]:
        problem = self._plan.problem
        if problem.desirability is not None:
            return [float(problem.desirability.of(values))]
        return [float(goal.utility(values[goal.output])) for goal in problem.objectives]

    def _excess(self, values: Mapping[str, float]) -> dict[str, float]:
        """By how much each constraint is broken; not positive where it is kept. Empty for a failure."""
        return {
            f"{c.output} {c.op} {c.bound:g}": (values[c.output] - c.bound) * (1.0 if c.op == "<=" else -1.0)
            for c in self._plan.problem.constraints
            if values
        }


def distributions(space: Any) -> dict[str, Any]:
    """The space as Optuna declares one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(space, Library):
        return {
            name: FloatDistribution(*space.ranges[name])
            if kind == "number"
            else CategoricalDistribution(space.categories[name])
            for name, kind in space.column_kinds.items()
        }
    found: dict[str, Any] = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical | Ordinal):
            found[name] = CategoricalDistribution(parameter.choices)
        elif isinstance(parameter, Integer):
            found[name] = IntDistribution(parameter.low, parameter.high, log=parameter.log)
        else:
            found[name] = FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    return found


class _Rows:
    """A library's rows as points, of which each is taken once."""

    def __init__(self, space: Library) -> None:
        self._candidates: list[Candidate] = list(
            {candidate.hash: candidate for block in space.iterate() for candidate in block}.values()
        )
        self._ranges, self._categories = space.ranges, space.categories
        self._names = list(space.column_kinds)
        self._points = np.array([self._point(candidate.data) for candidate in self._candidates])
        self._free = np.ones(len(self._candidates), dtype=bool)

    def take_nearest(self, data: Mapping[str, Any]) -> Candidate | None:
        """The nearest row that is free, which it is no more; None when there is none."""
        if not self._free.any():
            return None
        distance = np.abs(self._points - np.array(self._point(data)))
        for i, name in enumerate(self._names):
            if name in self._categories:
                distance[:, i] = distance[:, i] > 0
        total: NDArray[np.float64] = (distance**2).sum(axis=1)
        row = int(np.argmin(np.where(self._free, total, np.inf)))
        self._free[row] = False
        return self._candidates[row]

    def _point(self, data: Mapping[str, Any]) -> list[float]:
        point = []
        for name in self._names:
            if name in self._categories:
                point.append(float(self._categories[name].index(str(data[name]))))
            else:
                low, high = self._ranges[name]
                point.append((float(data[name]) - low) / (high - low) if high > low else 0.0)
        return point
