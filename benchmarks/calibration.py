"""Is the uncertainty honest while campaigns run? Predictions as the engine checks them, before their labels were seen.

    python -m benchmarks.calibration --data FOLDER --seeds 5

Every fit holds the model before it against the labels that are new (`theoros.workers.modelling.prospective_checks`);
these are the checks that a campaign keeps in its database. They are gathered here over whole campaigns, with one fit
for every label: the test functions of `benchmarks.synthetic`, the pools of `benchmarks.pools` (FOLDER as there) and
BraninCurrin with two objectives, whose checks are pooled. ``guided`` campaigns ask what the default acquisition
chooses, ``random`` ones ask at random and fit the same models.

`coverage_50` and `coverage_90` are the shares of labels in the central intervals of these probabilities, `late_50` and
`late_90` those of the second half of a campaign. `area` is the miscalibration area over all probabilities, 0 where the
uncertainty is honest, and `median_error` the median error in units of the scale that was told, positive where labels
were worse than predicted.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pools import POOLS, averaged, competitor
from benchmarks.synthetic_problems import make
from benchmarks.table import Table, column
from theoros.models import registry
from theoros.models.calibration import coverage, miscalibration_area
from theoros.models.data import Dataset, Point, Problem
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real
from theoros.orchestrator.simulate_oracle import cheap_oracle
from theoros.workers import modelling
from theoros.workers.modelling import Belief, Check, ModelPlan

TABLE = Table("calibration", keys=("problem", "chooser", "seed"))
SYNTHETIC = ("branin", "hartmann6", "ackley4", "levy4", "rosenbrock4")
FRONTS = ("branin_currin",)
CHOOSERS = ("guided", "random")
#: The figures that are told at the end.
SHOWN = ("coverage_50", "coverage_90", "late_50", "late_90", "area", "median_error")
#: Evaluations of a campaign on a pool, and on a front.
ASKED_OF_POOLS, ASKED_OF_FRONTS = 60, 40


@dataclass(frozen=True)
class Setup:
    """A campaign to be: its models, its oracle, and how many candidates are asked before the first fit and in all."""

    plan: ModelPlan
    answer: Callable[[Candidate], Sequence[float]]
    initial: int
    budget: int


def synthetic(name: str, seed: int) -> Setup:
    """A moved test function over the unit cube."""
    moved = make(name, seed)
    names = [f"x{i}" for i in range(moved.dim)]
    space = Parameters({name: Real(0, 1) for name in names})
    problem = Problem("optimize", space, ("value",), (Objective("value", "minimize"),), ("full",), (1.0,))

    def answer(candidate: Candidate) -> Sequence[float]:
        return (moved.evaluate(np.array([candidate.data[name] for name in names]))[0],)

    return Setup(default_plan(problem), answer, moved.initial, moved.budget)


def front(name: str, seed: int) -> Setup:
    """A problem with several objectives."""
    import torch

    from benchmarks import fronts

    function = fronts.problems()[name]().double()
    one = fronts.Theoros(function, seed)
    low, high = function.bounds

    def answer(candidate: Candidate) -> Sequence[float]:
        u = torch.tensor([candidate.data[name] for name in one.names], dtype=torch.double)
        found: list[float] = function((low + (high - low) * u)[None])[0].tolist()
        return found

    return Setup(default_plan(one.problem), answer, fronts.initial(function), ASKED_OF_FRONTS)


def pool(name: str, data: Path, folder: Path) -> Setup:
    """A table of measurements, repeats averaged."""
    table, means = averaged(POOLS[name], data, folder)
    plan = competitor(POOLS[name], table, len(means), "theoros").plan
    oracle = cheap_oracle(plan)

    def answer(candidate: Candidate) -> Sequence[float]:
        return (float(oracle.evaluate(candidate, plan.problem.target).values["measured"]),)  # type: ignore[arg-type]

    return Setup(plan.models, answer, plan.initial, min(ASKED_OF_POOLS, len(means)))


def default_plan(problem: Problem) -> ModelPlan:
    """The models of a campaign that names none."""
    acquisition = registry.default_acquisition(problem)
    return ModelPlan(
        problem,
        registry.default_surrogate(problem),
        acquisition,
        registry.default_proposers(problem),
        registry.initial_proposer(problem),
        registry.rivals(problem, acquisition),
    )


def checks_of(setup: Setup, chooser: str, seed: int) -> list[Check]:
    """One campaign: the checks of all labels after the first fit, in their order."""
    plan, points, values = setup.plan, list[Point](), list[Sequence[float]]()
    belief: Belief | None = None
    checks: list[Check] = []
    at_random = replace(plan, initial_proposer="random")
    while True:
        seen = frozenset(point.candidate.hash for point in points)
        number = len(points) + 1
        if belief is None:
            found = modelling.propose(plan, None, [], seen, n=setup.initial, seed=derived_seed(seed, "design"))
            candidates = [proposal.candidate for proposal in found[: setup.initial]]
        elif chooser == "random":
            found = modelling.propose(at_random, None, [], seen, n=1, seed=derived_seed(seed, "propose", number))
            candidates = [proposal.candidate for proposal in found[:1]]
        else:
            candidates = _guided(plan, belief, seen, derived_seed(seed, "propose", number))
        points += [Point(candidate, plan.problem.target) for candidate in candidates]
        values += [setup.answer(candidate) for candidate in candidates]
        dataset = Dataset(tuple(points), plan.problem.outputs, np.array(values, dtype=np.float64))
        fit_seed = derived_seed(seed, "fit", len(points))
        belief, report = modelling.train(plan, dataset, range(1, len(points) + 1), seed=fit_seed, previous=belief)
        checks += report.checks
        if len(points) >= setup.budget or not candidates:
            return checks


def _guided(plan: ModelPlan, belief: Belief, seen: frozenset[str], seed: int) -> list[Candidate]:
    found = modelling.propose(plan, belief, [], seen, n=1, seed=seed)
    asked = frozenset((name, plan.problem.target) for name in seen)
    choices = modelling.select(plan, belief, found, [], asked, plan.problem.fidelities, n=1, seed=seed).choices
    return [choice.point.candidate for choice in choices]


def summary(problem: Problem, checks: Sequence[Check]) -> dict[str, Any]:
    """The figures of a row."""
    worse = {goal.output: -1.0 if goal.sense == "maximize" else 1.0 for goal in problem.objectives}
    mean, std, observed, tail = np.array([(c.mean, c.std, c.observed, c.tail) for c in checks]).T
    error = np.array([worse[c.output] for c in checks]) * (observed - mean) / std
    late = slice(len(checks) // 2, None)
    figures = {
        "coverage_50": coverage(mean, std, observed, 0.5, tail),
        "coverage_90": coverage(mean, std, observed, 0.9, tail),
        "late_50": coverage(mean[late], std[late], observed[late], 0.5, tail[late]),
        "late_90": coverage(mean[late], std[late], observed[late], 0.9, tail[late]),
        "area": miscalibration_area(mean, std, observed, tail),
        "median_error": float(np.median(error)),
    }
    return {"checks": len(checks)} | {name: round(value, 4) for name, value in figures.items()}


def measure(name: str, data: Path | None, chooser: str, seed: int) -> dict[str, Any]:
    """One campaign, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        if name in POOLS:
            if data is None:
                raise SystemExit(f"{name} needs --data, the folder that has {POOLS[name].file}")
            setup = pool(name, data, Path(folder))
        else:
            setup = front(name, seed) if name in FRONTS else synthetic(name, seed)
        return summary(setup.plan.problem, checks_of(setup, chooser, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with materials/ and reactions/; without it no pools")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--problems", help="all of them, unless some are named")
    parser.add_argument("--choosers", default=",".join(CHOOSERS))
    options = parser.parse_known_args()[0]
    everything = (*SYNTHETIC, *FRONTS, *(POOLS if options.data else ()))
    problems = options.problems.split(",") if options.problems else list(everything)
    choosers = options.choosers.split(",")
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for seed in range(options.first, options.first + options.seeds):
        for problem in problems:
            for chooser in choosers:
                if not TABLE.has(problem=problem, chooser=chooser, seed=seed):
                    figures = measure(problem, options.data, chooser, seed)
                    TABLE.append(("botorch", "torch"), problem=problem, chooser=chooser, seed=seed, **figures)
    rows = TABLE.rows()
    for problem in problems:
        for chooser in choosers:
            where = {"problem": problem, "chooser": chooser}
            counts = column(rows, "checks", **where)
            if counts:  # checks weigh alike, whichever campaign they are of
                means = {key: np.average(column(rows, key, **where), weights=counts) for key in SHOWN}
                told = "  ".join(f"{key} {value:.3f}" for key, value in means.items())
                print(f"{problem:17} {chooser:7} n = {len(counts)}, {int(sum(counts))} checks  {told}")


if __name__ == "__main__":
    main()
