"""Twins of a scattering experiment: how many events must be shot before a generative model stands in for the simulator?

    python -m benchmarks.scattering --seeds 10
    python -m benchmarks.scattering --seeds 3 --cases "three centres" --twins gp
    python -m benchmarks.scattering --speed
    python -m benchmarks.scattering --events --seeds 5 --twins cvae cgan

The oracle is ``scattering``: a proton of 1.44 to 144 eV with an impact parameter within 3 angstrom meets one repulsive
charge, or three attractive ones, and is seen with a noise of 5 angstrom on a rim at 100 and of 5 fs. In the case
``charge and screening`` the one charge, from -1 to 1, and the inverse length of its Yukawa screening, up to 1 /
angstrom, are conditions of the twin beside energy and impact parameter. A twin learns x, y and the delay. Designs:
events drawn at random, a Sobol sequence, a grid, and active choice from a pool of 512 Sobol points by
`theoros.models.decide`, as campaigns choose, started with 64 Sobol events and in three batches for every doubling. One
row a design, seed and number of events.

`crps_ratio` is the mean CRPS over the least that this noise allows, `coverage_90` the share in central 90 % intervals,
`bins_90` that in every bin of energy, then of impact parameter, and of charge and screening where they are conditions
(each for x, y and delay), and `worst_90` how far it is off in the worst of them, `noise_*` the twin's noise over the
detector's, `direction` the root mean square error of the mean direction (rad), `back_*` the same where particles go
back, `collapse` the spread of directions at equal E b over the noise, and `above_flag` the model's uncertainty above
the largest energy over that just below it. The report adds how far the coverage is off in the worst bin when seeds are
averaged, and how many events reach a ratio of 1.2 and errors of 0.1 and 0.05 rad, interpolated in the logarithm; a seed
that does not get there counts as twice the largest number. With ``--events`` drawn events as a whole are held against
simulated ones: `benchmarks.scattering_events`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from scipy.stats import bootstrap

from benchmarks import scattering_events as whole
from benchmarks import scattering_scores as measures
from benchmarks.scattering_scores import CASES, OUTPUTS, Exam, oracle_of, problem_of
from benchmarks.surroundings import apart
from benchmarks.table import Table, column
from theoros.models import decide, registry
from theoros.models.contract import FittedSurrogate
from theoros.models.data import Dataset, Point, Proposal
from theoros.models.sampling import derived_seed
from theoros.models.twins.scoring_process import measure_speed
from theoros.oracles.candidate import Candidate
from theoros.oracles.physics.scattering import ScatteringOracle
from theoros.oracles.physics.scattering_motion import fly
from theoros.oracles.physics.scattering_setup import Events

DESIGNS = ("random", "sobol", "grid", "active")
#: Numbers of events at which a twin is judged.
BUDGETS = (64, 128, 256, 512, 1024)
#: An active design asks in batches, each this part of the next number, of the best in a fresh pool of so many.
BATCHES, POOL = 6, 512
#: What active choice goes by.
ACQUISITION = {
    "cvae": "distribution_distance",
    "conditional_flow": "distribution_distance",
    "flow_matching": "distribution_distance",
    "cgan": "distribution_distance",
    "gp": "loo_variance",
}
#: What is to be reached, and how good is good enough.
GOALS = (("crps_ratio", 1.2), ("direction", 0.1), ("direction", 0.05))
PACKAGES = ("torch", "numba", "scipy", "zuko")
TABLE = Table("scattering", keys=("case", "twin", "design", "seed", "events"))
SPEED = Table("scattering_speed", keys=("case", "twin", "simulator"))


@cache
def exam_of(case: str) -> Exam:
    """The test events of a case, the same for every method and seed."""
    return Exam.of(oracle_of(case, 0), measures.test_events(case))


def candidates_of(oracle: ScatteringOracle, design: str, n: int, seed: int) -> list[Candidate]:
    """The `n` events of a design that is chosen beforehand; a grid's cells, as many a condition, are cut to `n`."""
    if design == "random":
        return oracle.space.sample(n, np.random.default_rng(derived_seed(seed, "random")))
    if design == "sobol":
        data = measures.default_candidates(oracle, n, derived_seed(seed, "sobol"))
    else:
        d, rng = len(oracle.space.parameters), np.random.default_rng(derived_seed(seed, "grid"))
        side = math.ceil(n ** (1 / d) - 1e-9)
        offset = rng.random(d)  # a grid's place is all that a seed can change of it
        cells = np.array(list(itertools.product(range(side), repeat=d)))
        shot = measures.placed((cells[rng.permutation(len(cells))[:n]] + offset) / side)
        data = measures.data_of(oracle.space, shot)
    return [oracle.space.candidate(item) for item in data]


def asked(oracle: ScatteringOracle, candidates: Sequence[Candidate], before: Dataset | None = None) -> Dataset:
    """Labels of candidates, after those `before`; an event without an answer costs one and teaches nothing."""
    points, rows = (list(before.points), list(before.values)) if before else ([], [])
    for candidate in candidates:
        try:
            values = oracle.evaluate(candidate, "full").values
        except Exception:  # a failure has been paid for
            values = dict.fromkeys(OUTPUTS, math.nan)
        points.append(Point(candidate, "full"))
        rows.append(np.array([float(values[output]) for output in OUTPUTS]))
    return Dataset(tuple(points), OUTPUTS, np.array(rows).reshape(-1, len(OUTPUTS)))


def chosen(
    oracle: ScatteringOracle, twin: str, model: FittedSurrogate, data: Dataset, n: int, seed: int
) -> list[Candidate]:
    """The next `n` events of an active design."""
    problem, acquisition = problem_of(oracle), registry.acquisition(ACQUISITION[twin])
    fresh = measures.default_candidates(oracle, POOL, derived_seed(seed, "pool"))
    pool = [oracle.space.candidate(item) for item in fresh]
    seen = {(point.candidate.hash, "full") for point in data.points}
    proposals = [Proposal(candidate, "sobol") for candidate in pool if (candidate.hash, "full") not in seen]
    found = decide.select(problem, proposals, data, model, acquisition, (), seen, n, derived_seed(seed, "pick"))
    return [choice.point.candidate for choice in found]


def measure(case: str, twin: str, design: str, seed: int, budgets: Sequence[int]) -> None:
    """One design with one seed: a row for each number of events."""
    torch.set_num_threads(1)
    oracle = oracle_of(case, seed)
    problem, surrogate = problem_of(oracle), registry.surrogate(twin)
    started, model, data = time.process_time(), None, asked(oracle, [])
    largest = max(budgets)
    while len(data) < largest:
        if design == "active":
            if model is None:
                data = asked(oracle, candidates_of(oracle, "sobol", min(budgets), seed))
            else:
                goal = next(budget for budget in budgets if budget > len(data))
                step = min(-(-goal // BATCHES), goal - len(data))
                data = asked(oracle, chosen(oracle, twin, model, data, step, derived_seed(seed, len(data))), data)
        else:
            n = next(budget for budget in budgets if budget > len(data))
            data = asked(oracle, candidates_of(oracle, design, n, seed))
            model = None
        fitted = time.process_time()
        model = surrogate.fit(problem, data, seed=derived_seed(seed, "fit", len(data)), previous=model)
        fitted = time.process_time() - fitted
        if len(data) in budgets:
            row(case, twin, design, seed, data, model, fitted, time.process_time() - started)


def row(
    case: str,
    twin: str,
    design: str,
    seed: int,
    data: Dataset,
    model: FittedSurrogate,
    fit_seconds: float,
    cpu_seconds: float,
) -> None:
    """Judge a model and keep how it stood."""
    oracle = oracle_of(case, seed)
    key = {"case": case, "twin": twin, "design": design, "seed": seed, "events": len(data)}
    if TABLE.has(**key):
        return
    TABLE.append(
        PACKAGES,
        **key,
        **measures.scores(model, exam_of(case), seed),
        collapse=measures.collapse(model, oracle, seed) if case == "coulomb" else "",
        **measures.beyond(model, oracle, seed),
        fit_seconds=round(fit_seconds, 1),
        cpu_seconds=round(cpu_seconds, 1),
    )


def speed(case: str, twin: str) -> None:
    """Processor time of one event by either simulator, and of one draw by a twin that was trained on 512 events."""
    torch.set_num_threads(1)
    oracle, exam = oracle_of(case, 0), exam_of(case)
    data = asked(oracle, candidates_of(oracle, "sobol", 512, 0))
    model = registry.surrogate(twin).fit(problem_of(oracle), data, seed=0)
    many = Events(*(np.resize(values, 2000) for values in exam.shot))
    singles = [Events(*(values[k : k + 1] for values in exam.shot)) for k in range(20)]
    cases: Mapping[str, tuple[Callable[[int], object], int, int]] = {
        "fast": (lambda k: fly(oracle.setup, many), 3, len(many.energy)),
        "dop853": (lambda k: fly(oracle.setup, singles[k], "dop853"), 20, 1),
    }

    def draw(n: int) -> object:
        """16 answers at each of n / 16 places, or one."""
        return measures.draws_of(model, exam.points[: max(1, n // 16)], min(n, 16), n)

    for simulator, (simulate, simulations, together) in cases.items():
        found = measure_speed(simulator, simulate, draw, batch=16_000, simulations=simulations)
        seconds = found.simulator_seconds / together
        SPEED.append(
            PACKAGES,
            case=case,
            twin=twin,
            simulator=simulator,
            simulator_us=round(1e6 * seconds, 2),
            twin_us=round(1e6 * found.batched_seconds, 3),
            twin_one_us=round(1e6 * found.one_seconds, 1),
            batched=round(seconds / found.batched_seconds, 2),
            one_by_one=round(seconds / found.one_seconds, 4),
        )


def look_of_events(twin: str, seed: int, budgets: Sequence[int]) -> None:
    """What a twin draws after learning from so many Sobol events of the case coulomb: a row for each number."""
    torch.set_num_threads(1)
    oracle = oracle_of(whole.CASE, seed)
    for n in budgets:
        if not whole.TABLE.has(twin=twin, events=n, seed=seed):
            data = asked(oracle, candidates_of(oracle, "sobol", n, seed))
            model = registry.surrogate(twin).fit(problem_of(oracle), data, seed=derived_seed(seed, "fit", n))
            whole.TABLE.append(PACKAGES, twin=twin, events=n, seed=seed, **whole.figures(model, oracle, seed))


def needed(rows: Sequence[Mapping[str, str]], measured: str, goal: float) -> float:
    """How many events of one design and seed bring `measured` to `goal` for good; infinite when none do."""
    curve = sorted((int(r["events"]), float(r[measured])) for r in rows)
    for i in range(len(curve) - 1, -1, -1):
        if curve[i][1] > goal:
            if i + 1 == len(curve):
                return math.inf
            (n0, v0), (n1, v1) = curve[i], curve[i + 1]
            share = math.log(v0 / goal) / math.log(v0 / v1)
            return float(n0 * (n1 / n0) ** share)
    return float(curve[0][0]) if curve else math.nan


def _interval(values: Sequence[float], statistic: Callable[..., float] = np.median) -> str:
    """``median [95 % bootstrap interval] (n)``."""
    finite = [min(value, 2.0 * max(BUDGETS)) for value in values]
    text = "-" if not finite else f"{statistic(finite):.4g}"
    if len(finite) > 2 and len(set(finite)) > 1:
        low, high = bootstrap(
            (finite,), statistic, rng=np.random.default_rng(0), method="percentile"
        ).confidence_interval
        text += f" [{low:.4g}, {high:.4g}]"
    return f"{text} (n = {len(values)})"


def report(case: str, twin: str) -> None:
    """Curves, events needed, and their ratio to Sobol's on the same seeds."""
    rows = [r for r in TABLE.rows() if r["case"] == case and r["twin"] == twin]
    for design in dict.fromkeys(r["design"] for r in rows):
        for n in sorted({int(r["events"]) for r in rows}):
            names = ("crps_ratio", "direction", "coverage_90", "worst_90", "noise_position", "back_ratio", "collapse")
            values = {name: column(rows, name, design=design, events=n) for name in names}
            if values["direction"]:
                bins = [r["bins_90"] for r in rows if r["design"] == design and int(r["events"]) == n if r["bins_90"]]
                if bins:
                    mean = np.array([[float(share) for share in own.split()] for own in bins]).mean(0)
                    values["bins_90 off"] = [float(np.abs(mean - 0.9).max())]
                texts = [f"{name} {np.median(found):.3f}" for name, found in values.items() if found]
                print(f"{case}  {twin:18} {design:7} {n:5}  {'  '.join(texts)}  n = {len(values['direction'])}")
    seeds = sorted({r["seed"] for r in rows})
    for measured, goal in GOALS:
        calls = {
            design: {
                seed: needed([r for r in rows if r["design"] == design and r["seed"] == seed], measured, goal)
                for seed in seeds
                if any(r["design"] == design and r["seed"] == seed for r in rows)
            }
            for design in DESIGNS
        }
        for design, found in calls.items():
            if found:
                shared = [s for s in found if s in calls["sobol"] and math.isfinite(calls["sobol"][s] + found[s])]
                ratios = [found[seed] / calls["sobol"][seed] for seed in shared]
                reached = sum(map(math.isfinite, found.values()))
                print(
                    f"{case}  {twin:18} {design:7} events to {measured} {goal}: {_interval(list(found.values()))}, "
                    f"reached by {reached}; over Sobol's {_interval(ratios)}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--twins", nargs="+", choices=list(ACQUISITION), default=list(ACQUISITION))
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--speed", action="store_true", help="measure the speed of the twins, and no more")
    parser.add_argument("--events", action="store_true", help="look at the twins' drawn events, and no more")
    chosen_options = parser.parse_known_args()[0]
    if chosen_options.events:
        budgets = tuple(n for n in whole.BUDGETS if n in chosen_options.budgets)
        for twin in chosen_options.twins:
            for seed in range(chosen_options.seeds):
                if not all(whole.TABLE.has(twin=twin, events=n, seed=seed) for n in budgets):
                    apart(look_of_events, twin, seed, budgets)
            whole.report(twin)
        return
    for case in chosen_options.cases:
        for twin in chosen_options.twins:
            if chosen_options.speed:
                if not SPEED.has(case=case, twin=twin):
                    apart(speed, case, twin)
                continue
            for seed in range(chosen_options.seeds):
                for design in chosen_options.designs:
                    key = {"case": case, "twin": twin, "design": design, "seed": seed}
                    if not all(TABLE.has(**key, events=n) for n in chosen_options.budgets):
                        apart(measure, case, twin, design, seed, tuple(sorted(chosen_options.budgets)))
            report(case, twin)


if __name__ == "__main__":
    main()
