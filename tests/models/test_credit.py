"""Shares follow what proposers and acquisitions have earned: from the labels alone, with a floor for everybody."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models import decide, registry
from theoros.models.acquisition.portfolio import GAUSSIAN, MOMENTS, Portfolio
from theoros.models.contract import Dataset, Origin, OutcomeConstraint, Point
from theoros.models.credit import DRAWN, FLOOR, JUDGED, earnings, shares
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.random_forest import RandomForest
from theoros.oracles.spaces import Parameters, Real

LINE = Parameters(x=Real(0, 1))
ARMS = ("a", "b", "c")


def history(values, arms=()) -> Dataset:
    """Labels with these values, chosen by these arms."""
    points = tuple(Point(LINE.candidate({"x": i / len(values)}), "truth") for i in range(len(values)))
    origins = tuple(Origin(arm, arm) for arm in arms)
    return Dataset(points, ("y",), np.array(values, dtype=float)[:, None], origins)


def bandit(n: int, seed: int, good: str, problem) -> Dataset:
    """Arms are drawn by their shares, and the labels of `good` are better by one standard deviation."""
    rng = np.random.default_rng(seed)
    values, arms = list(rng.normal(size=5)), list(rng.choice(ARMS, 5))
    while len(values) < n:
        found = shares(problem, history(values, arms), "acquisition", ARMS)
        arm = str(rng.choice(ARMS, p=[found[name] for name in ARMS]))
        values.append(rng.normal() + (arm == good))
        arms.append(arm)
    return history(values, arms)


def test_a_label_earns_the_chance_to_beat_five_drawn_before_it(make_problem):
    assert earnings(make_problem(LINE), history([0.0, 1.0, 0.5, 2.0])) == {0: 0.0, 1: 1.0, 2: 0.5**DRAWN, 3: 1.0}
    assert earnings(make_problem(LINE, maximize=False), history([0.0, 1.0, -1.0])) == {0: 0.0, 1: 0.0, 2: 1.0}


def test_what_breaks_a_constraint_earns_nothing_and_is_worth_less_than_what_keeps_it(make_problem):
    bound = OutcomeConstraint("y", "<=", 1.5)
    assert earnings(make_problem(LINE, constraints=(bound,)), history([2.0, 0.0, 3.0])) == {0: 0.0, 1: 1.0, 2: 0.0}


def test_a_failed_candidate_and_a_front_are_not_judged(make_problem):
    assert set(earnings(make_problem(LINE), history([0.0, np.nan, 1.0]))) == {0, 2}
    assert earnings(make_problem(LINE, goal="learn"), history([0.0, 1.0])) == {}


def test_credit_of_a_hundred_thousand_labels_takes_no_time_to_speak_of(make_problem):
    candidate = LINE.candidate({"x": 0.5})
    n = 100_000
    data = Dataset(
        (Point(candidate, "truth"),) * n, ("y",), np.arange(n, dtype=float)[:, None], (Origin("a", "a"),) * n
    )
    started = time.process_time()
    assert earnings(make_problem(LINE), data) == dict.fromkeys(range(n - JUDGED, n), 1.0)
    assert shares(make_problem(LINE), data, "proposer", ARMS)["a"] > 0.5
    assert time.process_time() - started < 2.0


def test_units_and_outliers_change_no_earnings(make_problem):
    problem, values = make_problem(LINE), np.random.default_rng(1).normal(size=20)
    assert earnings(problem, history(values)) == earnings(problem, history(np.exp(1e1 * values) + 7))


@pytest.mark.parametrize("good", ["a", "c"])
def test_shares_move_to_the_arm_that_is_best(make_problem, good):
    problem = make_problem(LINE)
    found = [shares(problem, bandit(100, seed, good, problem), "acquisition", ARMS)[good] for seed in range(3)]
    assert np.median(found) > 0.6


def test_arms_that_are_as_good_as_each_other_keep_comparable_shares(make_problem):
    problem = make_problem(LINE)
    rng = np.random.default_rng(3)
    found = [
        shares(problem, history(rng.normal(size=90), rng.choice(ARMS, 90)), "acquisition", ARMS)["a"] for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(1 / 3, abs=0.12)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from([*ARMS, "", "gone"])), max_size=30),
    st.integers(1, 3),
)
def test_shares_sum_up_to_one_and_keep_the_floor(make_problem, entries, count):
    data = history([value for value, _ in entries], [arm for _, arm in entries])
    found = shares(make_problem(LINE), data, "proposer", ARMS[:count])
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= FLOOR - 1e-12


def test_nobody_is_preferred_before_anything_was_earned(make_problem):
    for data in (history([]), history([1.0, 2.0]), history([1.0, 2.0], ["sobol", "sobol"])):
        assert shares(make_problem(LINE), data, "proposer", ARMS) == dict.fromkeys(ARMS, 1 / 3)


@pytest.fixture
def campaign(square, make_problem, label):
    """(problem, labels of which ucb has chosen the good ones, model)."""
    problem = make_problem(square)
    data = label(problem, square.sample(60, np.random.default_rng(2)), lambda x: np.sin(5 * x["x"]) + x["y"])
    good = data.values[:, 0] > np.quantile(data.values, 0.6)
    origins = tuple(
        Origin("random", "ucb" if g else name) for g, name in zip(good, 30 * ("log_ei", "mes"), strict=True)
    )
    data = Dataset(data.points, data.outputs, data.values, origins)
    return problem, data, GaussianProcess().fit(problem, data, seed=0)


def test_a_decision_names_the_acquisition_whose_turn_it_was_and_the_shares(campaign):
    problem, data, model = campaign
    proposers, portfolio = [registry.proposer("acquisition_optimizer")], Portfolio()
    made = []
    for seed in range(8):
        seen = frozenset(point.candidate.hash for point in data.points)
        proposals = decide.propose(problem, proposers, data, model, portfolio, [], seen, 1, seed)
        asked = frozenset((key, "truth") for key in seen)
        (choice,) = decide.select(problem, proposals, data, model, portfolio, [], asked, 1, seed + 100)
        assert {proposal.acquisition for proposal in proposals} == {choice.acquisition}
        assert f"the turn of {choice.acquisition} (log_ei " in choice.reason
        made.append(choice.acquisition)
    assert made.count("ucb") > 4


def test_the_portfolio_has_members_that_the_surrogate_can_serve(campaign):
    problem, data, process = campaign
    forest = RandomForest(trees=8).fit(problem, data, seed=0)
    for model, members in ((process, GAUSSIAN), (forest, MOMENTS)):
        found = {Portfolio().nominate(problem, model, data, seed=seed).acquisition.name for seed in range(60)}
        assert found <= set(members)
        for name in members:
            chosen = Portfolio().nominate(problem, model, data, seed=0, name=name)
            assert chosen.acquisition.name == name
            values = chosen.acquisition.scorer(problem, model, data, [], seed=0)([p.candidate for p in data.points[:5]])
            assert np.isfinite(values).all()


class Counting:
    """Proposes what it is asked for."""

    needs_model = False
    kinds = frozenset({"parameters"})

    def __init__(self, name: str) -> None:
        self.name = name

    def propose(self, request):
        return request.problem.space.sample(request.n, np.random.default_rng(request.seed))


def test_a_proposer_whose_candidates_turn_out_well_may_make_more_of_the_pool(campaign):
    problem, data, model = campaign
    good = data.values[:, 0] > np.median(data.values)
    origins = tuple(Origin("good" if g else "bad", "log_ei") for g in good)
    judged = Dataset(data.points, data.outputs, data.values, origins)
    proposers = [Counting("good"), Counting("bad")]
    acquisition = registry.acquisition("log_ei")

    def made(dataset) -> dict[str, int]:
        found = decide.propose(problem, proposers, dataset, model, acquisition, [], frozenset(), 1, 3)
        return {name: sum(proposal.proposer == name for proposal in found) for name in ("good", "bad")}

    before, after = made(Dataset(data.points, data.outputs, data.values)), made(judged)
    assert before == {"good": decide.POOL, "bad": decide.POOL}
    assert after["good"] > 1.5 * decide.POOL
    assert 1 <= after["bad"] < 0.5 * decide.POOL
    proposals = decide.propose(problem, proposers, judged, model, acquisition, [], frozenset(), 1, 3)
    (choice,) = decide.select(problem, proposals, judged, model, acquisition, [], frozenset(), 1, 3)
    assert "of the proposals may be by" in choice.reason
