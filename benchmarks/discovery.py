"""Three questions that chemists ask of small molecules, by real quantum chemistry: what does the engine save?

    python -m benchmarks.discovery --seeds 5

- ``polarizable``: the largest polarizability per heavy atom among molecules with a gap of at least 4 eV;
- ``reducible``: the largest electron affinity in acetonitrile among molecules that can be made (SA score at most 4);
- ``emitter``: a first singlet as close as may be above the first triplet, and a large oscillator strength: a front.

Every method begins with the same molecules and spends the same cost, in units of a label at the truth; cheap labels
count too. ``theoros`` is a campaign with all defaults on the ladder, ``single`` the same with the truth alone, ``train
once`` learns from nothing but the initial design, ``genetic`` breeds from the labels themselves without a model, and
``random`` draws from the shipped set. `ratio` is what a method had spent when it was as good as ``random`` at its end,
over all that ``random`` spent; infinite where it never was. `best` is the best value at the truth, or the front's
hypervolume counted from a point that is the same for all methods and seeds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.budgets import campaign, complete, spend, spent_until
from benchmarks.remembered import RememberedOracle
from benchmarks.surroundings import apart
from benchmarks.table import Table
from theoros.models.data import Choice, Point
from theoros.models.labelled import labelled_best_first
from theoros.models.proposers.genetic.algorithm import offspring
from theoros.oracles.spaces import Molecules
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.orchestrator.simulate_methods import Method
from theoros.orchestrator.simulate_oracle import cheap_oracle
from theoros.orchestrator.yardstick import BestLabel, Hypervolume, Yardstick
from theoros.workers.memory import Labelled, Labels, News

TABLE = Table("discovery", keys=("question", "method", "seed"))
#: What was labelled is kept, so that methods which ask the same molecules pay once; `cpu_seconds` counts it each time.
LABELS = TABLE.path.with_name("discovery_labels.csv")
SOLVENT = {"solvent": "acetonitrile"}
FAST = {"density_fit": True, "grid_level": 0, "conv_tol": 1e-6}
#: Each question: what is asked, where molecules are looked for, and the levels, cheapest first.
QUESTIONS: Mapping[str, Mapping[str, Any]] = {
    "polarizable": {
        "question": {"maximize": "polarizability_per_heavy_atom", "subject to": ["gap >= 4 eV"]},
        "heavy_atoms": "2..9",
        "levels": [
            {"name": "cheap", "method": "gfn2", "cost": 0.02},
            {"name": "truth", "method": "pbe", "basis": "def2-svp", "response_tol": 1e-3, **FAST},
        ],
        "budget": 30,
    },
    "reducible": {
        "question": {"maximize": "electron_affinity", "subject to": ["sa_score <= 4"]},
        "heavy_atoms": "2..9",
        "levels": [
            {"name": "cheap", "method": "gfn2", "cost": 0.02, **SOLVENT},
            {"name": "truth", "method": "b3lyp", "basis": "sto-3g", **FAST, **SOLVENT},
        ],
        "budget": 30,
    },
    "emitter": {
        "question": {
            "minimize": "s1_t1_gap",
            "maximize": "oscillator_strength",
            "worst": {"s1_t1_gap": "2 eV", "oscillator_strength": 0},
        },
        "heavy_atoms": "4..7",
        "levels": [
            {"name": "cheap", "method": "hf", "basis": "sto-3g", "cost": 0.2, **FAST},
            {"name": "truth", "method": "b3lyp", "basis": "6-31g", **FAST},
        ],
        "budget": 30,
    },
}
METHODS = ("random", "theoros", "single", "genetic", "train once")
CHILDREN = 20


class GeneticChooser:
    """A genetic algorithm without a model: children of the best labelled molecules, one at a time."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._begin = plan, EngineChooser(plan)
        self._labels, self._log = Labels(plan.problem.columns), list[Labelled]()
        self._asked: set[str] = set()
        self._rng = np.random.default_rng(plan.spec.seed)

    def tell(self, label: Labelled) -> None:
        """Take in a label or a failure."""
        self._log.append(label)
        self._asked.add(label.point.candidate.hash)

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice] | None:
        """The initial design that all methods share, then a child at a time."""
        plan = self._plan
        if ledger.last_sequence < plan.initial_decisions:
            return self._begin.ask(ledger, idle=idle)
        self._labels.learn(News(0, self._log))
        problem, space = plan.problem, plan.problem.space
        assert isinstance(space, Molecules)
        parents = labelled_best_first(problem, self._labels.dataset(None)[0])
        made = offspring(parents, CHILDREN, space, self._rng) if parents else []
        feasible = problem.feasible or (lambda candidate: True)
        for candidate in [*made, *space.sample(100 * CHILDREN, self._rng)]:
            if candidate.hash not in self._asked and feasible(candidate):
                return [Choice(Point(candidate, problem.target), "genetic", "", None)]
        return []


def competitor(question: str, name: str) -> Method:
    """A method on a question, otherwise with a campaign's defaults."""
    asked = QUESTIONS[question]
    levels = asked["levels"] if name in ("theoros", "train once") else asked["levels"][-1:]
    method = campaign(
        {"random": "random", "train once": "train-once"}.get(name, "theoros"),
        budget=asked["budget"],
        campaign=question,
        question=asked["question"],
        space={"molecules": {"elements": ["C", "N", "O", "F", "S"], "heavy_atoms": asked["heavy_atoms"]}},
        oracle={"pyscf": {"fidelities": levels}},
    )
    return replace(method, name=name, start=GeneticChooser) if name == "genetic" else method


def measure(question: str, name: str, seed: int) -> dict[str, Any]:
    """What was spent by each evaluation, and the best at the truth by then; in one thread."""
    method, started = competitor(question, name), time.process_time()
    oracle = RememberedOracle(cheap_oracle(method.plan, force=True), LABELS, question)
    steps, _, _ = spend(method, seed, oracle)
    goals = method.plan.problem.objectives
    yardstick: Yardstick = BestLabel(goals[0], "best")
    if len(goals) > 1:
        yardstick = Hypervolume(goals, tuple(float(goal.utility(goal.worst or 0.0)) for goal in goals))
    best = yardstick.so_far(steps)
    return {
        "costs": np.array([step.cost for step in steps]),
        "best": best if yardstick.better(1.0, 0.0) else -best,
        "labels": steps[-1].labels,
        "evaluations": len(steps),
        "cpu_seconds": time.process_time() - started + oracle.saved,
    }


def compare(question: str, names: Sequence[str], seed: int) -> None:
    """One seed of one question: a row for each method that has none yet."""
    control = apart(measure, question, "random", seed)
    good, spent = float(control["best"][-1]), float(control["costs"][-1])
    for name in names:
        if TABLE.has(question=question, method=name, seed=seed):
            continue
        found = control if name == "random" else apart(measure, question, name, seed)
        TABLE.append(
            ("pyscf", "tblite", "botorch", "rdkit"),
            question=question,
            method=name,
            seed=seed,
            best=f"{found['best'][-1]:.5g}",
            ratio=f"{spent_until(found['costs'], found['best'], good) / spent:.3f}",
            labels=found["labels"],
            evaluations=found["evaluations"],
            cpu_seconds=f"{found['cpu_seconds']:.0f}",
        )


def main() -> None:
    """Add the rows that the table lacks."""
    complete(TABLE, __doc__, list(QUESTIONS), METHODS, compare, ("best", "ratio"))


if __name__ == "__main__":
    main()
