"""Theoros and its peers as methods that are told labels and asked for points. A peer is imported when it is asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.synthetic_problems import TestProblem
from theoros.models import registry
from theoros.models.data import Dataset, OutcomeConstraint, Problem
from theoros.models.data import Point as Asked
from theoros.models.objective import Objective
from theoros.models.sampling import unit_quasirandom
from theoros.oracles.spaces import Categorical, Parameters, Real
from theoros.workers import modelling
from theoros.workers.modelling import Belief, ModelPlan

Point = tuple[float, ...]
#: A point, its value and the slacks of the constraints.
Label = tuple[Point, float, tuple[float, ...]]


class Unsupported(Exception):
    """The method has no way to pose this problem; the message says what it lacks."""


class Method(Protocol):
    """Minimises over the unit cube."""

    def tell(self, labels: Sequence[Label]) -> None:
        """Learn labels: of the initial design first, then of what was asked."""
        ...

    def ask(self, n: int) -> list[Point]:
        """The next `n` points."""
        ...


class Theoros:
    """What a campaign decides with its defaults, without its database and its workers."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        self.names = [f"x{i:03d}" for i in range(problem.dim)]
        switches = {name: Categorical(0, 1) for name in self.names[: problem.binary]}
        space = Parameters(switches | {name: Real(0, 1) for name in self.names[problem.binary :]})
        slacks = tuple(f"slack{i}" for i in range(problem.constraints))
        self._problem = Problem(
            "optimize",
            space,
            ("value", *slacks),
            (Objective("value", "minimize"),),
            ("full",),
            (1.0,),
            constraints=tuple(OutcomeConstraint(name, ">=", 0.0) for name in slacks),
        )
        acquisition = registry.default_acquisition(self._problem)
        self._plan = ModelPlan(
            self._problem,
            registry.default_surrogate(self._problem),
            acquisition,
            registry.default_proposers(self._problem),
            registry.initial_proposer(self._problem),
            registry.rivals(self._problem, acquisition),
        )
        self._points: list[Asked] = []
        self._values: list[list[float]] = []
        self._belief: Belief | None = None
        self._seed = seed

    def tell(self, labels: Sequence[Label]) -> None:
        """Add labels."""
        for x, value, slacks in labels:
            whole = [int(u) if i < sum(isinstance(p, Categorical) for p in self._space.parameters.values()) else u
                     for i, u in enumerate(x)]  # fmt: skip
            self._points.append(Asked(self._space.candidate(dict(zip(self.names, whole, strict=True))), "full"))
            self._values.append([value, *slacks])

    @property
    def _space(self) -> Parameters:
        space = self._problem.space
        assert isinstance(space, Parameters)
        return space

    def ask(self, n: int) -> list[Point]:
        """Fit, propose, select."""
        plan, points, seed = self._plan, tuple(self._points), self._seed * 1000 + len(self._points)
        dataset = Dataset(points, self._problem.outputs, np.array(self._values))
        belief, _ = modelling.train(plan, dataset, range(len(points)), seed=seed, previous=self._belief)
        self._belief = belief
        seen = frozenset(point.candidate.hash for point in points)
        asked = frozenset((point.candidate.hash, "full") for point in points)
        found = modelling.propose(plan, belief, [], seen, n=n, seed=seed)
        choices = modelling.select(plan, belief, found, [], asked, ["full"], n=n, seed=seed).choices
        return [tuple(float(c.point.candidate.data[name]) for name in self.names) for c in choices]


class Sobol:
    """Scrambled Sobol points."""

    def __init__(self, problem: TestProblem, seed: int) -> None:
        self._points = iter(design(problem, problem.budget, seed)[problem.initial :])

    def tell(self, labels: Sequence[Label]) -> None:
        """Nothing is learned."""

    def ask(self, n: int) -> list[Point]:
        """The next of the sequence."""
        return [next(self._points) for _ in range(n)]


def design(problem: TestProblem, n: int, seed: int) -> list[Point]:
    """The first `n` Sobol points of `seed`, binary coordinates rounded; any first part fills the cube."""
    points = unit_quasirandom(n, problem.dim, seed)
    points[:, : problem.binary] = np.round(points[:, : problem.binary])
    return [tuple(row) for row in points.tolist()]


#: Method -> module and class of the adapter, and the packages whose versions a row names.
METHODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "theoros": ("benchmarks.synthetic_methods:Theoros", ("botorch", "torch")),
    "sobol": ("benchmarks.synthetic_methods:Sobol", ("scipy",)),
    "botorch": ("benchmarks.peer_botorch_loop:BoTorchLoop", ("botorch", "torch")),
    "optuna_tpe": ("benchmarks.peer_optuna_loop:OptunaTPE", ("optuna",)),
    "optuna_gp": ("benchmarks.peer_optuna_loop:OptunaGP", ("optuna", "torch")),
    "ax": ("benchmarks.peer_ax:Ax", ("ax-platform", "botorch")),
    "baybe": ("benchmarks.peer_baybe:BayBE", ("baybe", "botorch")),
    "bofire": ("benchmarks.peer_bofire:BoFire", ("bofire", "botorch")),
    "hebo": ("benchmarks.peer_hebo:Hebo", ("HEBO", "pymoo", "GPy")),
}

#: Methods that the extra 'bench' does not install, since they need much more or an environment of their own.
BESIDE_THE_EXTRA = ("bofire", "hebo")


def build(name: str, problem: TestProblem, seed: int) -> Method:
    """The method `name` at the beginning of a run; raises SystemExit when its package is missing, Unsupported."""
    module, _, attribute = METHODS[name][0].partition(":")
    try:
        maker: Callable[[TestProblem, int], Any] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        wanted = "pip install -c constraints.txt -e '.[bench]'"
        if name in BESIDE_THE_EXTRA:
            wanted = f"what the head of {module.replace('.', '/')}.py says"
        raise SystemExit(f"{name}: {error}. Install it with {wanted}") from None
    return maker(problem, seed)  # type: ignore[no-any-return]
