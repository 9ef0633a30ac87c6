"""``theoros simulate``: what a campaign would find, and what others would, on an oracle that costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theoros.orchestrator.cli.options import DEFAULT_RESULTS, Results

if TYPE_CHECKING:
    from rich.console import Console

    from theoros.orchestrator.exam import Exam
    from theoros.orchestrator.plan import Plan
    from theoros.orchestrator.simulate import Step
    from theoros.orchestrator.simulate_methods import Method
    from theoros.orchestrator.simulate_report import Summary
    from theoros.orchestrator.yardstick import Yardstick

File = Annotated[Path, typer.Argument(help="The campaign file (YAML).", show_default=False)]
Against = Annotated[
    str,
    typer.Option(
        "--against",
        help="With commas: random, sobol, train-once, tpe, gp and nsga2 (Optuna's), an acquisition, a surrogate.",
    ),
]
Seeds = Annotated[int, typer.Option("--seeds", "-n", min=1, help="Simulations of each method.")]
Slots = Annotated[int, typer.Option("--slots", min=1, help="Evaluations side by side, in simulated time.")]
Target = Annotated[
    float | None, typer.Option("--target", help="Count labels until this value (default: what the first other finds).")
]
Force = Annotated[bool, typer.Option("--force", help="Simulate even on an oracle that may be expensive.")]


def simulate(
    file: File,
    against: Against = "random",
    seeds: Seeds = 10,
    slots: Slots = 1,
    target: Target = None,
    force: Force = False,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Replay the campaign of FILE on its lookup or synthetic oracle for many seeds, beside other ways to decide."""
    from theoros.orchestrator.exam import Exam
    from theoros.orchestrator.report.console import headed, plain_console
    from theoros.orchestrator.simulate_methods import labels_of, methods, parse_methods, target_of
    from theoros.orchestrator.simulate_oracle import cheap_oracle
    from theoros.orchestrator.simulate_report import plot, summary, usual_target, write_csv
    from theoros.orchestrator.spec.load import load_spec
    from theoros.orchestrator.yardstick import yardstick

    names = parse_methods(against)
    spec = load_spec(file)
    competitors = methods(spec, file.resolve().parent, names, slots=slots, file=file.name)
    plan, console = competitors[0].plan, plain_console()
    budget, problem = labels_of(plan), plan.problem
    wish = f"{seeds} seeds, {slots} slots, {budget} labels, {plan.scorecard.wishes}"
    console.print(headed(spec.campaign, f": {wish}"), soft_wrap=True)
    exam = Exam.of(plan, cheap_oracle(plan, force=force)) if problem.goal == "learn" else None
    numbers = [spec.seed + i for i in range(seeds)]
    runs = {method.name: _simulated(method, numbers, slots, force, exam, console) for method in competitors}
    measure = yardstick(problem, plan.scorecard, (step for found in runs.values() for steps in found for step in steps))
    goal = target if target is not None else target_of(plan)
    if goal is None:
        goal = usual_target(runs, names[min(1, len(names) - 1)], measure)
    _print(console, [summary(name, found, measure, budget, goal) for name, found in runs.items()], measure, goal)
    folder = results / f"{spec.campaign}.simulated"
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [wished.output for wished in problem.objectives]
    print(f"table: {write_csv(folder / 'evaluations.csv', runs, numbers, measure, outputs)}")
    print(f"plot: {plot(folder / f'{measure.name}.png', runs, measure, budget, clock=slots > 1)}")


def _simulated(
    method: Method, seeds: list[int], slots: int, force: bool, exam: Exam | None, console: Console
) -> list[list[Step]]:
    """One simulation for each seed, with a live count on a terminal."""
    import torch

    from theoros.orchestrator.simulate_methods import with_seed

    torch.set_num_threads(1)  # as the model workers do
    with console.status(method.name) as status:
        found = []
        for done, seed in enumerate(seeds):
            status.update(f"{method.name}: {done} of {len(seeds)} seeds")
            found.append(_once(method, with_seed(method.plan, seed), slots, force, exam))
    return found


def _once(method: Method, plan: Plan, slots: int, force: bool, exam: Exam | None) -> list[Step]:
    from theoros.orchestrator.simulate import simulate as simulated
    from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended

    oracle, chooser = cheap_oracle(plan, force=force), method.start(plan)
    error = None if exam is None else lambda: exam.error(getattr(chooser, "model", None))
    return simulated(plan, oracle, chooser, slots=slots, duration=pretended(plan, plan.spec.seed), error=error)


def _print(console: Console, found: list[Summary], measure: Yardstick, target: float) -> None:
    from theoros.orchestrator.report.final import print_rows
    from theoros.orchestrator.simulate_report import SHARES

    rows: list[dict[str, object]] = []
    for one in found:
        row: dict[str, object] = {"method": one.method}
        for share, quartiles in zip(SHARES, one.found, strict=True):
            row[f"{measure.name} at {share:.0%}"] = _spread(quartiles)
        row[f"labels to {target:.4g}"] = f"{_spread(one.labels)}, {one.reached} of {one.n}"
        rows.append(row | {"s a decision": f"{one.decision_seconds:.2g}"})
    print_rows(console, rows, list(rows[0]), f"{measure.label} after shares of the budget: median [quartiles]")


def _spread(quartiles: tuple[float, float, float]) -> str:
    return "{1:.4g} [{0:.4g}, {2:.4g}]".format(*quartiles)
