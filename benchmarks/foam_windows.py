"""How many windows of foams' lives must be simulated until a twin is good enough, and does it matter which?

    python -m benchmarks.foam_windows --seeds 3

A window is six frames of a foam of 48 to 64 bubbles, of disorder 0.1 to 0.6, that is up to one half-life old. Designs:
`random`; `uniform_age`, ages in equal steps and all else at random; `sobol`; and chosen by what a committee of three,
trained as `foam_twin` is in campaigns, says of 16 Sobol windows that it rolls out: `std` takes those where its members
disagree most on growth, mu2 and the number of T1s, and `violation` those where they break the laws most. Both begin
with Sobol's first windows (`--budgets`, the smallest). One row a design, seed and number of windows.

Whatever the design, the twin that is judged is trained anew, for `--steps` from the same weights, on its windows, with
the terms of physics in its loss or (`--without-physics`) without. Figures are those of `benchmarks.foam_twin` on ten of
its unseen foams, and `slope_error`, how far von Neumann's slope is from one; `age`, `disorder` and `t1_events` tell of
the windows. The report adds how many windows bring a figure to `GOALS`, interpolated in the logarithm; a seed that does
not get there counts as twice the largest number.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch

from benchmarks import scattering
from benchmarks.foam_twin import BUBBLES, INTERVAL, figures, made_by, unseen
from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.db.outputs import HeldArray
from theoros.models import decide
from theoros.models.acquisition.standard_deviation import StandardDeviation
from theoros.models.acquisition.violation import Violation
from theoros.models.contract import Acquisition, FittedSurrogate
from theoros.models.data import Dataset, Point, Problem, Proposal
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.models.twins.foam import FILMS, FoamTwin
from theoros.models.twins.foam_training import Schedule, Weights, Window, train_generator
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Value
from theoros.oracles.physics.foam import K0
from theoros.oracles.physics.foam.films import foams_of
from theoros.oracles.physics.foam.oracle import FoamOracle
from theoros.oracles.spaces import Integer, Parameters, Real

DESIGNS = ("random", "uniform_age", "sobol", "std", "violation")
#: Numbers of windows at which a twin is judged.
BUDGETS = (1, 2, 4, 8)
FEWEST, FRAMES, FOAMS = 48, 6, 10
#: Committees choose from so many windows.
POOL = 16
#: Laws are told apart by what a few windows break of them, and windows of a batch by two draws: roll-outs take time.
ACTIVE: Mapping[str, Acquisition] = {"std": StandardDeviation(), "violation": Violation(references=16, draws=2)}
#: What is to be reached, and how good is good enough. Angles were below 3 degrees after one window (one seed).
GOALS = (("slope_error", 0.02), ("law_residual", 0.1), ("growth_together", 0.02), ("t1_missed", 0.6))
FIGURES = (
    "slope_error",
    "intercept",
    "law_residual",
    "angle_rms",
    "enclosed_rms",
    "side_distance",
    "growth_single",
    "growth_together",
    "t1_missed",
    "t1_missed_short",
)
LEARNED = ("growth_rate", "mu2", "t1_events")
SPACE = Parameters(
    bubbles=Integer(FEWEST, BUBBLES), disorder=Real(0.1, 0.6), age=Real(0, 1), seed=Integer(0, 2**31 - 1)
)
TABLE = Table("foam_windows", keys=("physics", "steps", "design", "seed", "windows"))


@cache
def oracle() -> FoamOracle:
    """Exact windows with their films."""
    return FoamOracle(
        space=SPACE, frames=FRAMES, interval=INTERVAL * K0, pixels=8, outputs=(*LEARNED, FILMS), fidelities=("exact",)
    )


def problem() -> Problem:
    """Learn what a window is told by in numbers, from its films."""
    objectives = tuple(Objective(output) for output in LEARNED)
    return Problem("learn", SPACE, LEARNED, objectives, ("exact",), (1.0,), structures=(FILMS,))


def windows_of(design: str, n: int, seed: int) -> list[Candidate]:
    """The `n` windows of a design that is chosen beforehand."""
    draws = np.random.default_rng(derived_seed(seed, design))
    places = unit_quasirandom(n, 4, derived_seed(seed, design)) if design == "sobol" else draws.random((n, 4))
    if design == "uniform_age":
        places[:, 2] = (np.arange(n) + 0.5) / n
    return [
        SPACE.candidate(
            {
                "bubbles": FEWEST + int(b * (BUBBLES + 1 - FEWEST)),
                "disorder": 0.1 + 0.5 * d,
                "age": age,
                "seed": int(s * 2**31),
            }
        )
        for b, d, age, s in places.tolist()
    ]


@cache
def answer(candidate: Candidate) -> Mapping[str, Value]:
    """What the simulator says of a window; more windows of a design begin with those that it has asked before."""
    return oracle().evaluate(candidate, "exact").values


def simulated(candidates: Sequence[Candidate], before: Dataset | None = None) -> Dataset:
    """Labels of candidates with their films, after those `before`."""
    answers = [answer(candidate) for candidate in candidates]
    rows = np.array([[float(values[output]) for output in LEARNED] for values in answers])
    films = tuple(HeldArray(np.asarray(values[FILMS], dtype=np.float64)) for values in answers)
    points = tuple(Point(candidate, "exact") for candidate in candidates)
    if before is None:
        return Dataset(points, LEARNED, rows, structures={FILMS: films})
    return Dataset(
        before.points + points,
        LEARNED,
        np.concatenate([before.values, rows]),
        structures={FILMS: (*before.structures[FILMS], *films)},
    )


def chosen(design: str, model: FittedSurrogate, data: Dataset, n: int, seed: int) -> list[Candidate]:
    """The next `n` windows of an active design."""
    proposals = [Proposal(candidate, "sobol") for candidate in windows_of("sobol", POOL, derived_seed(seed, "pool"))]
    picks = decide.select(problem(), proposals, data, model, ACTIVE[design], (), (), n, derived_seed(seed, "pick"))
    return [pick.point.candidate for pick in picks]


def measure(physics: bool, steps: int, design: str, seed: int, budgets: Sequence[int]) -> None:
    """One design with one seed: a row for each number of windows, but where an active one has asked Sobol's alone."""
    torch.set_num_threads(1)
    weights = Weights() if physics else Weights().without_physics()
    if design not in ACTIVE:
        for n in budgets:
            if not TABLE.has(**_key(weights, steps, design, seed), windows=n):  # simulating them takes a minute or more
                row(weights, steps, design, seed, simulated(windows_of(design, n, seed)), 0.0)
        return
    model: FittedSurrogate | None = None
    data, started = simulated(windows_of("sobol", budgets[0], seed)), time.process_time()
    for n in budgets[1:]:
        own = derived_seed(seed, "committee", len(data))
        model = FoamTwin(weights=weights).fit(problem(), data, seed=own, previous=model)
        data = simulated(chosen(design, model, data, n - len(data), own), data)
        row(weights, steps, design, seed, data, time.process_time() - started)
        started = time.process_time()


def row(weights: Weights, steps: int, design: str, seed: int, data: Dataset, seconds: float) -> None:
    """Train a twin on the windows, judge it and keep how it stood; `seconds` went into choosing the last windows."""
    key = _key(weights, steps, design, seed)
    if TABLE.has(**key, windows=len(data)):
        return
    windows = [Window(foams_of(films.read())) for films in data.structures[FILMS] if films is not None]
    own = derived_seed(seed, "judged")
    trained = train_generator(windows, seed=own, weights=weights, schedule=Schedule(steps=steps))
    found = figures(made_by(trained.generator, own), [unseen(number) for number in range(FOAMS)])
    found |= {"t1_missed": 1 - found["t1_found"], "t1_missed_short": 1 - found["t1_found_short"]}
    found["slope_error"] = abs(found["slope"] - 1)
    TABLE.append(
        ("torch",),
        **key,
        windows=len(data),
        **{name: float(f"{found[name]:.5g}") for name in FIGURES},
        age=round(float(np.mean([point.candidate.data["age"] for point in data.points])), 3),
        disorder=round(float(np.mean([point.candidate.data["disorder"] for point in data.points])), 3),
        t1_events=round(float(np.mean(data.values[:, LEARNED.index("t1_events")])), 2),
        choosing_seconds=round(seconds, 1),
    )


def _key(weights: Weights, steps: int, design: str, seed: int) -> dict[str, str | int]:
    physics = "no" if weights == weights.without_physics() else "yes"
    return {"physics": physics, "steps": steps, "design": design, "seed": seed}


def curve(rows: Sequence[Mapping[str, str]], design: str, seed: str) -> list[dict[str, str]]:
    """The rows of a design and seed, with Sobol's first where an active design began with it."""
    own = [r for r in rows if r["design"] == design and r["seed"] == seed]
    first = [r for r in rows if r["design"] == "sobol" and r["seed"] == seed]
    shared = sorted(first, key=lambda r: int(r["windows"]))[:1] if design in ACTIVE and own else []
    return [{**r, "events": r["windows"]} for r in (*shared, *own)]


def report(physics: str, steps: int) -> None:
    """Medians of the figures, and how many windows reach the goals."""
    rows = [r for r in TABLE.rows() if r["physics"] == physics and r["steps"] == str(steps)]
    kind = f"physics {physics}  {steps} steps"
    for design in DESIGNS:
        for n in sorted({int(r["windows"]) for r in rows if r["design"] == design}):
            names = (*(name for name, _ in GOALS), "angle_rms", "t1_missed_short", "age", "t1_events")
            values = {name: column(rows, name, design=design, windows=n) for name in names}
            text = "  ".join(f"{name} {np.median(found):.3g}" for name, found in values.items())
            print(f"{kind}  {design:12} {n:2}  {text}  n = {len(values['age'])}")
    for measured, goal in GOALS:
        for design in DESIGNS:
            seeds = sorted({r["seed"] for r in rows if r["design"] == design})
            calls = [scattering.needed(curve(rows, design, seed), measured, goal) for seed in seeds]
            if calls:
                counted, reached = [min(call, 2.0 * max(BUDGETS)) for call in calls], sum(map(math.isfinite, calls))
                told = f"windows to {measured} {goal}: {spread(counted)}, reached by {reached}"
                print(f"{kind}  {design:12} {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--without-physics", action="store_true", help="leave the laws out of the loss")
    options = parser.parse_known_args()[0]
    physics, budgets = not options.without_physics, tuple(sorted(options.budgets))
    for seed in range(options.seeds):
        for design in options.designs:
            key = {"physics": "yes" if physics else "no", "steps": options.steps, "design": design, "seed": seed}
            wanted = budgets[1:] if design in ACTIVE else budgets
            if not all(TABLE.has(**key, windows=n) for n in wanted):
                apart(measure, physics, options.steps, design, seed, budgets)
    report("yes" if physics else "no", options.steps)


if __name__ == "__main__":
    main()
