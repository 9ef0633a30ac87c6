"""The ladders that the benchmark of fidelities climbs, and how it counts what was spent."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import peer_mfkg
from benchmarks.fidelities import competitor, measure, spent_until
from benchmarks.fidelity_problems import LADDERS, LadderOracle


def both_levels(problem, seed, n=200):
    oracle = LadderOracle(problem=problem, seed=seed)
    candidates = oracle.space.sample(n, np.random.default_rng(seed))
    values = [[oracle.evaluate(c, level).values["value"] for level in ("cheap", "truth")] for c in candidates]
    return np.array(values, dtype=float).T


@pytest.mark.parametrize(("problem", "least"), [("branin", 0.397887), ("hartmann6", -3.32237), ("borehole", 0.0)])
def test_the_truth_is_nowhere_below_its_optimum_wherever_it_is_moved(problem, least):
    for seed in (0, 1):
        assert both_levels(problem, seed)[1].min() >= least - 1e-4


@pytest.mark.parametrize("problem", ["branin", "hartmann6", "hartmann6_biased", "borehole", "gaps"])
def test_a_cheap_level_ranks_as_the_truth_does_without_being_it(problem):
    cheap, truth = both_levels(problem, 0)
    assert spearmanr(cheap, truth)[0] > 0.7
    assert not np.allclose(cheap, truth)


def test_an_unrelated_level_does_not():
    assert abs(spearmanr(*both_levels("branin_unrelated", 3))[0]) < 0.5


def test_seeds_move_a_problem_and_the_same_seed_does_not():
    assert np.array_equal(both_levels("branin", 1), both_levels("branin", 1))
    at = LadderOracle(problem="branin", seed=0).space.candidate({"x0": 0.4, "x1": 0.4})
    values = {LadderOracle(problem="branin", seed=seed).evaluate(at, "truth").values["value"] for seed in range(3)}
    assert len(values) == 3


def test_what_was_spent_is_counted_until_the_best_is_good_enough():
    found = {"costs": np.array([0.1, 1.1, 2.1, 3.1]), "best": np.array([math.inf, 5.0, 2.0, 2.0])}
    assert spent_until(found, 2.0) == 2.1
    assert spent_until(found, 1.9) == math.inf


def test_single_and_random_ask_the_truth_alone_and_all_spend_the_same():
    plans = {name: competitor("borehole", name, 0).plan for name in ("single", "theoros", "random")}
    assert [len(plan.problem.fidelities) for plan in plans.values()] == [1, 2, 1]
    assert {plan.spec.budget.cost for plan in plans.values()} == {LADDERS["borehole"].budget}


def test_the_peer_asks_each_candidate_of_its_design_at_both_levels_and_then_recommends(monkeypatch):
    for name, few in (("FANTASIES", 2), ("RESTARTS", 1), ("RAW", 4)):
        monkeypatch.setattr(peer_mfkg, name, few)
    monkeypatch.setitem(LADDERS, "branin", replace(LADDERS["branin"], budget=5.45))
    found = measure("branin", "mfkg", 0)
    assert found["labels"] >= 4
    assert found["cheap"] >= 4
    assert found["labels"] + found["cheap"] > 8, "something was asked beyond the design"
    best = found["best"][np.isfinite(found["best"])]
    assert len(best)
    assert (np.diff(best) <= 0).all()
