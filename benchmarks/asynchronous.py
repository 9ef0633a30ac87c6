"""Regret against the clock with eight workers whose run times have a heavy tail, on a simulated clock.

    python -m benchmarks.asynchronous --seeds 10

Run times are log-normal: 1 s in the median, 20 s at the 99th percentile. The i-th evaluation that begins takes equally
long for every method, decisions take no time, and the optimum is moved by the seed
(`benchmarks.synthetic_problems`). All methods begin with the campaign's own Sobol design. ``theoros`` decides whenever
a worker is free and knows what is running; ``batches`` is the same, but waits for all eight before the next eight;
peers are asked whenever a worker is free, and know what is running in the way each of them has. Events are those of
`theoros.orchestrator.simulate`. `regret_T` is the best value that had come T seconds after the beginning, less the
optimum; `labels` had come by the last of these times.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.synthetic_problems import TestProblem, make
from benchmarks.table import FOLDER, Table, column, spread
from theoros.models.data import Choice, Point
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Quantity
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.simulate import Chooser, Step, simulate
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.orchestrator.simulate_methods import methods, with_seed
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers.memory import Labelled

TABLE = Table("asynchronous", keys=("problem", "method", "seed"))
SLOTS = 8
#: Of the logarithm of run times: 20 times the median at the 99th percentile of the normal distribution.
SIGMA = math.log(20) / 2.3263
#: Simulated seconds at which the best so far is noted.
TIMES = (5, 10, 15, 20, 25)
#: Function of the synthetic oracle that declares the space, by problem.
FUNCTIONS = {"hartmann6": ("Hartmann", 6), "ackley4": ("Ackley", 4)}
#: More evaluations than any method can make in time.
PLENTY = 1_000
#: Method -> the packages whose versions a row names.
METHODS: dict[str, tuple[str, ...]] = {
    "theoros": ("botorch", "torch"),
    "batches": ("botorch", "torch"),
    "optuna_gp": ("optuna", "torch"),
    "optuna_tpe": ("optuna",),
    "botorch": ("botorch", "torch"),
    "ax": ("ax-platform", "botorch"),
}


@dataclass(frozen=True)
class MovedOracle:
    """A moved test function over the box of the oracle that it stands in for."""

    problem: TestProblem
    outputs: Mapping[str, Quantity]
    low: np.ndarray
    high: np.ndarray

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """The value at a candidate."""
        return Answer({"value": self.problem.evaluate(self.unit(candidate))[0]})

    def unit(self, candidate: Candidate) -> np.ndarray:
        """The candidate as a point of the unit cube (d,)."""
        return (np.array(list(candidate.data.values()), dtype=float) - self.low) / (self.high - self.low)


class Batches:
    """Lets an engine decide only when nothing is running, and then for all slots."""

    def __init__(self, plan: Plan) -> None:
        self._engine, self._left = EngineChooser(plan), 0

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice] | None:
        """The next decision of this batch; None while it runs."""
        if ledger.open == 0:
            self._left = SLOTS
        if self._left <= 0:
            return None
        found = self._engine.ask(ledger, idle=idle)
        self._left -= len(found or ())
        return found

    def tell(self, label: Labelled) -> None:
        """Pass it on."""
        self._engine.tell(label)


class Peer(Protocol):
    """Minimises over the unit cube, and knows which of its points are running."""

    def start(self, point: tuple[float, ...] | None) -> tuple[float, ...]:
        """A point that runs from now on: the given one, or one of its own choice."""
        ...

    def finish(self, point: tuple[float, ...], value: float) -> None:
        """What a running point gave."""
        ...


class PeerChooser:
    """A peer at work on the engine's own initial design, and then on its own."""

    def __init__(self, plan: Plan, peer: Peer, oracle: MovedOracle) -> None:
        self._plan, self._peer, self._oracle = plan, peer, oracle
        self._design = EngineChooser(plan)
        self._running: dict[str, list[tuple[float, ...]]] = {}

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice] | None:
        """The design at once, and then one point."""
        if ledger.last_sequence < self._plan.initial_decisions:
            choices = list(self._design.ask(ledger, idle=idle) or ())
            for choice in choices:
                candidate = choice.point.candidate
                self._started(candidate, self._peer.start(tuple(self._oracle.unit(candidate).tolist())))
            return choices
        own = self._peer.start(None)
        values = self._oracle.low + (self._oracle.high - self._oracle.low) * np.clip(own, 0, 1)
        space: Any = self._plan.problem.space
        candidate = space.candidate(dict(zip(space.parameters, values.tolist(), strict=True)))
        self._started(candidate, own)
        return (Choice(Point(candidate, self._plan.problem.target), "peer", "", None),)

    def tell(self, label: Labelled) -> None:
        """Finish the point as the peer knows it."""
        self._peer.finish(self._running[label.point.candidate.hash].pop(0), float(label.values[0]))

    def _started(self, candidate: Candidate, point: tuple[float, ...]) -> None:
        self._running.setdefault(candidate.hash, []).append(point)


class OptunaPeer:
    """A sampler of Optuna; running trials are known to the study, and TPE is told to mind them."""

    def __init__(self, dim: int, initial: int, seed: int, name: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.GPSampler(seed=seed, n_startup_trials=initial, deterministic_objective=True)
            if name == "optuna_gp"
            else optuna.samplers.TPESampler(seed=seed, n_startup_trials=initial, multivariate=True, constant_liar=True)
        )
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._space: dict[str, Any] = {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(dim)}
        self._trials: dict[tuple[float, ...], Any] = {}

    def start(self, point: tuple[float, ...] | None) -> tuple[float, ...]:
        """See `Peer`."""
        if point is not None:
            self._study.enqueue_trial(dict(zip(self._space, point, strict=True)))
        trial = self._study.ask(self._space)
        own = tuple(float(trial.params[name]) for name in self._space)
        self._trials[own] = trial
        return own

    def finish(self, point: tuple[float, ...], value: float) -> None:
        """See `Peer`."""
        self._study.tell(self._trials.pop(point), value)


class AxPeer:
    """Ax's client; running trials are known to it."""

    def __init__(self, dim: int, initial: int, seed: int) -> None:
        import logging

        from ax.api.client import Client
        from ax.api.configs import RangeParameterConfig

        logging.disable(logging.WARNING)
        self._names = [f"x{i}" for i in range(dim)]
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(
            parameters=[RangeParameterConfig(name=n, bounds=(0.0, 1.0), parameter_type="float") for n in self._names]
        )
        self._client.configure_optimization(objective="-value")
        self._client.configure_generation_strategy(
            initialization_budget=initial,
            min_observed_initialization_trials=max(1, initial - SLOTS),  # it is asked while the design still runs
            initialization_random_seed=seed,
            initialize_with_center=False,
        )
        self._trials: dict[tuple[float, ...], int] = {}

    def start(self, point: tuple[float, ...] | None) -> tuple[float, ...]:
        """See `Peer`."""
        if point is not None:
            self._trials[point] = self._client.attach_trial(dict(zip(self._names, point, strict=True)))
            return point
        ((index, found),) = self._client.get_next_trials(max_trials=1).items()
        own = tuple(float(found[name]) for name in self._names)
        self._trials[own] = index
        return own

    def finish(self, point: tuple[float, ...], value: float) -> None:
        """See `Peer`."""
        self._client.complete_trial(self._trials.pop(point), raw_data={"value": value})


class BoTorchPeer:
    """`SingleTaskGP` and logEI, which is told the running points as pending."""

    def __init__(self, dim: int, initial: int, seed: int) -> None:
        from benchmarks.peer_botorch import BoTorch

        self._loop = BoTorch(dim, initial, seed)
        self._loop._design.clear()  # it is given one

    def start(self, point: tuple[float, ...] | None) -> tuple[float, ...]:
        """See `Peer`."""
        if point is None:
            return self._loop.choose(1)[0]
        self._loop._pending.append(point)
        return point

    def finish(self, point: tuple[float, ...], value: float) -> None:
        """See `Peer`."""
        self._loop.learn(point, value)


def measure(name: str, method: str, seed: int) -> dict[str, float]:
    """One simulation, in this process and in one thread."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    plan, oracle = campaign(name, seed)
    chooser, started = _chooser(method, plan, oracle, seed), iter(range(PLENTY + SLOTS))

    def duration(point: Point) -> float:
        rng = np.random.default_rng([seed, next(started), 8])
        return float(np.exp(SIGMA * rng.standard_normal()))

    steps = simulate(
        plan,
        oracle,  # type: ignore[arg-type]  (it answers, which is all that a simulation asks of it)
        chooser,
        slots=SLOTS,
        duration=duration,
        enough=lambda found: found[-1].ended > max(TIMES),
    )
    return at_times(steps, oracle.problem.optimum)


def campaign(name: str, seed: int) -> tuple[Plan, MovedOracle]:
    """The campaign of a problem with its defaults and eight slots, and the moved function."""
    function, dim = FUNCTIONS[name]
    spec = {
        "campaign": name,
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": function, "dim": dim, "shift": False}},
        "budget": {"labels": PLENTY},
        "workers": {"lookahead": 0},
    }
    with tempfile.TemporaryDirectory() as folder:
        plan = with_seed(methods(spec_from_dict(spec), Path(folder), ["theoros"], slots=SLOTS)[0].plan, seed)
    problem = make(name, seed)
    plan = replace(plan, initial=problem.initial)
    space: Any = plan.problem.space
    low = np.array([p.low for p in space.parameters.values()], dtype=float)
    high = np.array([p.high for p in space.parameters.values()], dtype=float)
    return plan, MovedOracle(problem, plan.outputs, low, high)


def at_times(steps: Sequence[Step], optimum: float) -> dict[str, float]:
    """Regret at each of `TIMES`, infinite before the first label, and how many labels had come by the last of them."""
    ended, values = np.array([s.ended for s in steps]), np.array([s.value for s in steps])
    regret = {f"regret_{t}": float(np.min(values[ended <= t], initial=np.inf) - optimum) for t in TIMES}
    return regret | {"labels": int((ended <= max(TIMES)).sum())}


def _chooser(method: str, plan: Plan, oracle: MovedOracle, seed: int) -> Chooser:
    dim, initial = oracle.problem.dim, plan.initial
    makers: dict[str, Callable[[], Chooser]] = {
        "theoros": lambda: EngineChooser(plan),
        "batches": lambda: Batches(plan),
        "ax": lambda: PeerChooser(plan, AxPeer(dim, initial, seed), oracle),
        "botorch": lambda: PeerChooser(plan, BoTorchPeer(dim, initial, seed), oracle),
    }
    if method in makers:
        return makers[method]()
    return PeerChooser(plan, OptunaPeer(dim, initial, seed, method), oracle)


def plot() -> None:
    """Draw median regret against time, with quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = TABLE.rows()
    figure, panels = plt.subplots(1, len(FUNCTIONS), figsize=(10, 4), layout="constrained")
    for panel, problem in zip(panels, FUNCTIONS, strict=True):
        for method in METHODS:
            found = [column(rows, f"regret_{t}", problem=problem, method=method) for t in TIMES]
            if not found[0]:
                continue
            low, median, high = np.quantile(np.array(found), [0.25, 0.5, 0.75], axis=1)
            (line,) = panel.semilogy(TIMES, median, "o-", label=f"{method} (n = {len(found[0])})")
            panel.fill_between(TIMES, low, high, alpha=0.1, color=line.get_color())
        if not panel.lines:
            continue
        panel.set(title=problem, xlabel="simulated seconds", ylabel="regret")
        panel.legend()
    figure.savefig(FOLDER / "asynchronous.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--problems", default=",".join(FUNCTIONS))
    options = parser.parse_known_args()[0]
    names, problems = options.methods.split(","), options.problems.split(",")
    for seed in range(options.first, options.first + options.seeds):
        for problem in problems:
            for method in names:
                if not TABLE.has(problem=problem, method=method, seed=seed):
                    found = {key: f"{value:.5g}" for key, value in measure(problem, method, seed).items()}
                    load = round(os.getloadavg()[0], 1)
                    TABLE.append(METHODS[method], problem=problem, method=method, seed=seed, **found, load=load)
    for problem in problems:
        for method in names:
            where = {"problem": problem, "method": method}
            shown = [spread(column(TABLE.rows(), f"regret_{t}", **where)) for t in TIMES]
            print(f"{problem:10} {method:11} labels {spread(column(TABLE.rows(), 'labels', **where)):26}", *shown)
    plot()


if __name__ == "__main__":
    main()
