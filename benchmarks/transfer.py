"""What earlier campaigns save: regret with and without them, against BoTorch's way to rank earlier models.

    python -m benchmarks.transfer --seeds 10
    python -m benchmarks.transfer --seeds 10 --problems coupling_bromide,coupling_iodide --data FOLDER

Each earlier campaign has 20 labels, chosen by `gp` as a campaign does (`benchmarks.transfer_problems` says of which
functions); then 30 labels of the target. ``none`` begins with its own design and learns from its own labels alone;
``transfer`` is what ``learn from`` does; ``seeded`` takes its initial design alone, ``chain`` also the labels, as
lower fidelities of an autoregressive process; ``rgpe`` is `benchmarks.peer_rgpe`, with that design too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from benchmarks.transfer_problems import FAMILIES, Answer, Question, couplings, over_cube
from theoros.models import registry
from theoros.models.data import Dataset, Earlier, Point, Problem
from theoros.models.decide import without_model
from theoros.models.proposers.earlier_best import INITIAL
from theoros.models.sampling import derived_seed
from theoros.workers import modelling
from theoros.workers.modelling import Belief, ModelPlan

TABLE = Table("transfer", keys=("problem", "method", "seed"))
METHODS = ("none", "transfer", "seeded", "chain", "rgpe")
#: Labels of an earlier campaign, labels of this one, and after how many of them the regret is noted.
EARLIER, BUDGET, AFTER = 20, 30, (5, 10, 20, 30)


def campaign(plan: ModelPlan, answer: Answer, n: int, initial: int, seed: int) -> tuple[Dataset, list[float]]:
    """The labels of a campaign with one slot, and the seconds of each decision with the fit before it."""
    problem, target = plan.problem, plan.problem.target
    base = modelling.empty_dataset(problem)
    belief: Belief | None = None
    points: list[Point] = []
    values: list[float] = []
    seconds: list[float] = []
    proposals = modelling.propose(plan, None, (), frozenset(), n=initial, seed=derived_seed(seed, "initial"))
    for choice in without_model(replace(problem, fidelities=(target,)), proposals[:initial], initial=True):
        points.append(choice.point)
        values.append(answer(choice.point.candidate))
    while len(points) < n:
        started = time.perf_counter()
        data = _joined(problem, points, values, base)
        number, seen = len(points), frozenset(point.candidate.hash for point in points)
        belief, _ = modelling.train(
            plan, data, range(len(data)), seed=derived_seed(seed, "fit", number), previous=belief
        )
        asked = frozenset((key, target) for key in seen)
        found = modelling.propose(plan, belief, (), seen, n=1, seed=derived_seed(seed, "propose", number))
        chosen = modelling.select(
            plan, belief, found, (), asked, [target], n=1, seed=derived_seed(seed, "select", number)
        )
        seconds.append(time.perf_counter() - started)
        points.append(chosen.choices[0].point)
        values.append(answer(points[-1].candidate))
    return _joined(problem, points, values, base), seconds


def _joined(problem: Problem, points: list[Point], values: list[float], base: Dataset) -> Dataset:
    """Labels of the target, after those of its lower fidelities where earlier campaigns are such."""
    before, known = list(base.points), list(base.values)
    if len(problem.fidelities) > 1:
        for level, earlier in zip(problem.fidelities, problem.earlier, strict=False):
            before += [Point(point.candidate, level) for point in earlier.dataset.points]
            known += list(earlier.dataset.values)
    return Dataset((*before, *points), problem.outputs, np.array([*known, *([value] for value in values)]))


def plan_of(problem: Problem, surrogate: str, initial: str) -> ModelPlan:
    """A campaign's defaults, with one surrogate."""
    return ModelPlan(problem, surrogate, "log_ei", registry.default_proposers(problem), initial)


def question_of(name: str, seed: int, data: Path | None, folder: Path) -> Question:
    """The question `name` of a seed; the reactions are the same for all, and their campaigns are not."""
    if name in FAMILIES:
        return over_cube(FAMILIES[name], seed)
    if data is None:
        raise SystemExit(f"{name} needs --data.")
    return couplings(data, name.removeprefix("coupling_"), folder)


def measure(name: str, method: str, seed: int, data: Path | None) -> tuple[list[float], float]:
    """Regret after each of `AFTER` labels, and the median of the seconds of a decision."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        question = question_of(name, seed, data, Path(folder))
        labels, seconds = _asked(question, method, seed)
    goal = question.objective
    found = np.maximum.accumulate(goal.utility(labels.values[-BUDGET:, 0]))
    return [float(goal.utility(question.best) - found[n - 1]) for n in AFTER], float(np.median(seconds))


def _asked(question: Question, method: str, seed: int) -> tuple[Dataset, list[float]]:
    """The labels of the target's campaign, after the earlier ones, and the seconds of its decisions."""
    problem = Problem("optimize", question.space, ("value",), (question.objective,), ("full",), (1.0,))
    plain = plan_of(problem, "gp", registry.initial_proposer(problem))
    if method == "none":
        return campaign(plain, question.target, BUDGET, question.initial, seed)
    earlier = []
    for i, answer in enumerate(question.earlier):
        labels, _ = campaign(plain, answer, EARLIER, min(question.initial, EARLIER // 2), 1000 * seed + i)
        earlier.append(Earlier(f"earlier-{i}", labels))
    informed = replace(problem, earlier=tuple(earlier))
    if method in ("transfer", "seeded"):
        plan = plan_of(informed, "transfer_gp" if method == "transfer" else "gp", "earlier_best")
        return campaign(plan, question.target, BUDGET, INITIAL, seed)
    if method == "chain":
        levels = (*(one.campaign for one in earlier), "full")
        chain = replace(informed, fidelities=levels, costs=(1.0,) * len(levels))
        return campaign(plan_of(chain, "gp", "earlier_best"), question.target, BUDGET, INITIAL, seed)
    if method == "rgpe":
        from benchmarks.peer_rgpe import rgpe

        return rgpe(informed, question.target, BUDGET, INITIAL, seed)
    raise SystemExit(f"there is no method {method!r}; there are {', '.join(METHODS)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", type=Path, help="folder with reactions/, for the couplings")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--problems", default=",".join(FAMILIES))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--table", default="transfer", help="the name of the table beside this script")
    options = parser.parse_known_args()[0]
    table = Table(options.table, TABLE.keys)
    problems, methods = options.problems.split(","), options.methods.split(",")
    for seed in range(options.first, options.first + options.seeds):
        for problem in problems:
            for method in methods:
                unposed = method == "rgpe" and problem not in FAMILIES  # it has no kernel for molecules
                if unposed or table.has(problem=problem, method=method, seed=seed):
                    continue
                regrets, seconds = apart(measure, problem, method, seed, options.data)
                told = {f"regret_{n}": f"{max(regret, 0.0):.4g}" for n, regret in zip(AFTER, regrets, strict=True)}
                load = round(os.getloadavg()[0], 1)
                table.append(
                    ("botorch", "torch"),
                    problem=problem,
                    method=method,
                    seed=seed,
                    **told,
                    seconds=f"{seconds:.3g}",
                    load=load,
                )
    rows = table.rows()
    for problem in problems:
        for method in methods:
            where = {"problem": problem, "method": method}
            shown = [f"{n}: {spread(column(rows, f'regret_{n}', **where))}" for n in AFTER]
            print(f"{problem:30} {method:9}", "  ".join(shown), spread(column(rows, "seconds", **where)), "s")


if __name__ == "__main__":
    main()
