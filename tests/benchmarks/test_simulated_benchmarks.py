"""What the benchmarks on a simulated clock, with bad data and of honest uncertainty count."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import asynchronous, calibration, robustness, synthetic_methods
from benchmarks.asynchronous import SLOTS, Batches, PeerChooser, at_times, campaign
from benchmarks.robustness import FAILING, WHICH, FaultyOracle
from benchmarks.synthetic_problems import make
from theoros.models.objective import Objective
from theoros.oracles.contract import Quantity
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.workers.modelling import Check


def step(ended: float, value: float) -> SimpleNamespace:
    return SimpleNamespace(ended=ended, value=value)


def test_regret_counts_only_what_had_come_by_then():
    found = at_times([step(4.0, 3.0), step(9.0, 1.5), step(24.0, 2.0), step(30.0, 0.0)], optimum=1.0)
    assert [found[f"regret_{t}"] for t in (5, 10, 15, 20, 25)] == [2.0, 0.5, 0.5, 0.5, 0.5]
    assert found["labels"] == 3
    assert at_times([step(30.0, 0.0)], optimum=1.0)["regret_25"] == math.inf


def test_run_times_have_the_tail_that_is_claimed():
    drawn = np.exp(asynchronous.SIGMA * np.random.default_rng(0).standard_normal(200_000))
    assert np.median(drawn) == pytest.approx(1.0, rel=0.02)
    assert np.quantile(drawn, 0.99) == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("name", list(asynchronous.FUNCTIONS))
def test_the_oracle_is_the_moved_function_over_its_own_box(name):
    plan, oracle = campaign(name, seed=3)
    candidate = plan.problem.space.sample(1, np.random.default_rng(0))[0]
    u = oracle.unit(candidate)
    assert ((u >= 0) & (u <= 1)).all()
    assert oracle.evaluate(candidate, "full").values["value"] == make(name, 3).evaluate(u)[0]


class Recorder:
    """A peer that starts random points and notes what it is told."""

    def __init__(self, dim: int) -> None:
        self.rng, self.dim = np.random.default_rng(0), dim
        self.running: list[tuple[float, ...]] = []
        self.most, self.finished = 0, 0

    def start(self, point):
        own = point or tuple(self.rng.random(self.dim).tolist())
        self.running.append(own)
        self.most = max(self.most, len(self.running))
        return own

    def finish(self, point, value):
        self.running.remove(point)
        self.finished += 1


def test_a_peer_gets_the_engines_design_and_is_told_of_every_point_by_its_own_name():
    plan, oracle = campaign("ackley4", seed=1)
    peer = Recorder(4)
    steps = simulate(
        plan,
        oracle,
        PeerChooser(plan, peer, oracle),
        slots=SLOTS,
        duration=lambda p: 1.0,
        enough=lambda s: len(s) >= 40,
    )
    own = simulate(
        plan, oracle, EngineChooser(plan), slots=SLOTS, duration=lambda p: 1.0, enough=lambda s: len(s) >= plan.initial
    )
    assert {s.hash for s in steps[: plan.initial]} == {s.hash for s in own}
    assert peer.finished == 40
    assert peer.most <= plan.initial + SLOTS


def test_batches_begin_only_when_all_of_the_last_one_have_ended(monkeypatch):
    class Scripted(EngineChooser):
        """Decides at random, so that nothing is fitted."""

    monkeypatch.setattr(asynchronous, "EngineChooser", Scripted)
    plan, oracle = campaign("ackley4", seed=1)
    plan = asynchronous.replace(plan, acquisition="random", proposers=("random",))
    rng = np.random.default_rng(0)
    began: list[float] = []
    steps = simulate(
        plan,
        oracle,
        Batches(plan),
        slots=SLOTS,
        duration=lambda p: float(rng.lognormal()),
        enough=lambda s: began.append(s[-1].ended) or len(s) >= plan.initial + 2 * SLOTS,
    )
    after = [s for s in steps if s.number > plan.initial]
    first, second = after[:SLOTS], after[SLOTS:]
    assert {s.number for s in first} == set(range(plan.initial + 1, plan.initial + SLOTS + 1))
    assert min(s.ended for s in second) > max(s.ended for s in first)


def faulty(fault: str) -> tuple[FaultyOracle, list]:
    problem = make("hartmann6", 0)
    plan, _ = campaign("hartmann6", 0)
    oracle = FaultyOracle(problem, {"value": Quantity()}, fault, 0)
    return oracle, plan.problem.space.sample(400, np.random.default_rng(0))


def test_one_answer_is_the_outlier_and_the_truth_is_remembered():
    oracle, candidates = faulty("outlier")
    values = [oracle.evaluate(candidate, "full").values["value"] for candidate in candidates[:20]]
    assert [i for i, value in enumerate(values, 1) if value == 1e6] == [WHICH]
    assert max(oracle.true) < 1


def test_the_stated_share_of_candidates_fails_and_always_the_same():
    oracle, candidates = faulty("failures")
    failed = [math.isnan(oracle.evaluate(candidate, "full").values["value"]) for candidate in candidates]
    assert np.mean(failed) == pytest.approx(FAILING, abs=0.07)
    assert [math.isnan(oracle.evaluate(c, "full").values["value"]) for c in candidates[:50]] == failed[:50]


@pytest.mark.parametrize(("fault", "rows", "width"), [("library", 5, 7), ("duplicated", 10, 7), ("collinear", 5, 13)])
def test_libraries_have_the_fault_of_their_name(tmp_path, fault, rows, width):
    drawn = np.random.default_rng(0).random((5, 6))
    file = robustness._written(tmp_path / "rows.csv", drawn, fault)
    read = np.genfromtxt(file, delimiter=",", skip_header=1)
    assert read.shape == (rows, width)
    assert len(np.unique(read, axis=0)) == 5
    assert np.linalg.matrix_rank(np.column_stack([read[:, :-1], np.ones(len(read))])) <= 7


def test_honest_checks_are_called_honest_and_worse_labels_give_a_positive_error():
    rng = np.random.default_rng(0)
    problem = calibration.synthetic("branin", 0).plan.problem
    assert problem.objectives == (Objective("value", "minimize"),)
    honest = [Check(i, "value", 0.0, 2.0, 2.0 * float(z)) for i, z in enumerate(rng.standard_normal(4_000))]
    figures = calibration.summary(problem, honest)
    assert figures["coverage_50"] == pytest.approx(0.5, abs=0.03)
    assert figures["late_90"] == pytest.approx(0.9, abs=0.03)
    assert figures["area"] == pytest.approx(0.0, abs=0.02)
    cursed = [Check(i, "value", 0.0, 1.0, 1.0) for i in range(10)]
    assert calibration.summary(problem, cursed)["median_error"] == 1.0


def test_every_label_after_the_first_fit_is_checked_once():
    setup = calibration.replace(calibration.synthetic("branin", 0), budget=9)
    checks = calibration.checks_of(setup, "random", 0)
    assert [check.sequence for check in checks] == list(range(setup.initial + 1, 10))


def test_a_peer_that_is_not_installed_is_named_with_what_it_needs(monkeypatch):
    monkeypatch.setitem(synthetic_methods.METHODS, "hebo", ("benchmarks.no_such_peer:Peer", ()))
    with pytest.raises(SystemExit, match=r"hebo: No module named 'benchmarks.no_such_peer'.*the head of"):
        synthetic_methods.build("hebo", make("branin", 0), 0)
