"""Shares follow what proposers and acquisitions earned and promised: from stored data alone, with a floor for all."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.timing import processor_seconds
from theoros.models import decide, registry
from theoros.models.acquisition.portfolio import GAUSSIAN, MOMENTS, Portfolio
from theoros.models.credit import DRAWN, FLOOR, JUDGED, earnings, merged, promises, shares
from theoros.models.data import Bred, Dataset, Descent, Offer, Origin, OutcomeConstraint, Point
from theoros.models.objective import Objective
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


def test_of_a_front_a_label_earns_the_chance_that_none_of_five_before_it_is_as_good_in_everything(make_problem):
    front = make_problem(LINE, outputs=("y", "z"), objectives=(Objective("y", "maximize"), Objective("z", "minimize")))
    values = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 2.0], [0.0, 0.0], [2.0, -1.0], [2.0, np.nan]])
    data = replace(history(np.zeros(len(values))), outputs=("y", "z"), values=values)
    # The third is worse than the second and beside the first, the fourth equals the first, the fifth is best of all.
    assert earnings(front, data) == {0: 0.0, 1: 1.0, 2: 0.5**DRAWN, 3: (2 / 3) ** DRAWN, 4: 1.0}


def test_a_failed_candidate_is_not_judged_and_nothing_is_where_a_campaign_learns(make_problem):
    assert set(earnings(make_problem(LINE), history([0.0, np.nan, 1.0]))) == {0, 2}
    assert earnings(make_problem(LINE, goal="learn"), history([0.0, 1.0])) == {}


def test_only_the_last_of_many_labels_are_judged(make_problem):
    problem, candidate = make_problem(LINE), LINE.candidate({"x": 0.5})

    def rising(n):
        values = np.arange(n, dtype=float)[:, None]
        return Dataset((Point(candidate, "truth"),) * n, ("y",), values, (Origin("a", "a"),) * n)

    few, many = rising(1_000), rising(100_000)
    assert earnings(problem, many) == dict.fromkeys(range(100_000 - JUDGED, 100_000), 1.0)
    assert shares(problem, many, "proposer", ARMS)["a"] > 0.5
    took = [processor_seconds(lambda data=data: shares(problem, data, "proposer", ARMS)) for data in (few, many)]
    assert took[1] < 40 * took[0], "a hundred times the labels take nowhere near a hundred times as long"


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


#: What three arms may promise, and take.
POOLS = st.lists(
    st.builds(Offer, st.sampled_from([*ARMS, "gone"]), st.just(1), st.floats(0, 1e4), st.none(), st.floats(0, 1)),
    max_size=3,
)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from([*ARMS, "", "gone"]), POOLS), max_size=30),
    st.integers(1, 3),
    st.booleans(),
)
def test_shares_sum_up_to_one_and_keep_the_floor(make_problem, entries, count, per_second):
    data = history([value for value, _, _ in entries], [arm for _, arm, _ in entries])
    origins = tuple(
        origin._replace(offers=tuple(pool)) for origin, (_, _, pool) in zip(data.origins, entries, strict=True)
    )
    found = shares(make_problem(LINE), replace(data, origins=origins), "proposer", ARMS[:count], per_second=per_second)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= FLOOR - 1e-12


def test_nobody_is_preferred_before_anything_was_earned(make_problem):
    for data in (history([]), history([1.0, 2.0]), history([1.0, 2.0], ["sobol", "sobol"])):
        assert shares(make_problem(LINE), data, "proposer", ARMS) == dict.fromkeys(ARMS, 1 / 3)


def offered(promised: dict[str, float], seconds: dict[str, float] | None = None, n: int = 40, asked: float = 0.0):
    """`n` equal labels from pools to which each arm brought the same, all chosen by nobody known; each took `asked`."""
    pool = tuple(Offer(arm, 8, (seconds or {}).get(arm, 0.0), 1 / 3, value) for arm, value in promised.items())
    data = history([0.0] * n)
    return replace(data, origins=(Origin("someone", "log_ei", pool, asked),) * n)


def test_a_proposal_promises_the_chance_to_beat_five_from_proposers_drawn_at_random():
    found = promises(["a", "b", "a", "b"], np.array([1.0, 3.0, 2.0, 4.0]))
    assert found["a"] == pytest.approx((0.0 + 0.25**DRAWN) / 2)
    assert found["b"] == pytest.approx((0.5**DRAWN + 0.75**DRAWN) / 2)


def test_one_proposer_alone_promises_nothing_and_what_is_no_number_is_below_all():
    assert promises(["a", "a"], np.array([1.0, 2.0])) == {}
    assert promises([], np.array([])) == {}
    assert promises(["a", "b"], np.array([np.nan, -1e300])) == pytest.approx({"a": 0.0, "b": 0.5**DRAWN})


@given(st.lists(st.tuples(st.sampled_from(ARMS), st.integers(-50, 50)), min_size=1, max_size=30), st.integers(2, 4))
def test_neither_units_nor_the_number_of_proposals_change_what_they_promise(entries, times):
    names, values = [name for name, _ in entries], np.array([float(value) for _, value in entries])
    more = [(n, v) for n, v in zip(names, values, strict=True) for _ in range(times if n == "a" else 1)]
    found = promises(names, values)
    assert found == pytest.approx(promises(names, np.sinh(values / 10) * 1e6 - 3))
    assert found == pytest.approx(promises([n for n, _ in more], np.array([v for _, v in more])))
    assert all(0 <= value <= 1 for value in found.values())


def test_offers_of_several_pools_add_up_and_a_pool_that_comes_twice_counts_once():
    first = (Offer("a", 3, 0.5, 0.7, 0.25), Offer("b", 1, 0.25, 0.3))
    second = (Offer("a", 2, 0.5, 0.7, 0.75),)
    assert merged([first, second, first]) == (Offer("a", 5, 1.0, 0.7, 0.5), Offer("b", 1, 0.25, 0.3))
    assert merged([]) == ()


@pytest.mark.parametrize("goal", ["optimize", "learn"])
def test_shares_move_to_the_proposer_whose_proposals_promise_most(make_problem, goal):
    data = offered({"a": 0.05, "b": 0.3, "c": 0.05})
    found = shares(make_problem(LINE, goal=goal), data, "proposer", ARMS)
    assert found["b"] > 0.7
    assert found["a"] == pytest.approx(found["c"], abs=0.1)
    assert shares(make_problem(LINE), data, "acquisition", ARMS) == dict.fromkeys(ARMS, 1 / 3)


def test_promises_are_remembered_however_much_slow_gates_turned_away(make_problem):
    data, problem = offered({"a": 0.9, "b": 0.1, "c": 0.1}), make_problem(LINE, goal="learn")
    known, n = shares(problem, data, "proposer", ARMS), JUDGED + 1
    values = np.concatenate([data.values, np.full((n, data.values.shape[1]), np.nan)])
    points, origins = (*data.points, *data.points[:1] * n), (*data.origins, *[None] * n)
    turned_away = replace(data, points=points, values=values, origins=origins, unasked=n)
    assert shares(problem, turned_away, "proposer", ARMS) == known != dict.fromkeys(ARMS, 1 / 3)


def test_labels_that_turn_out_well_speak_against_promises(make_problem):
    rng = np.random.default_rng(5)
    arms = list(rng.choice(["a", "b"], 80))
    values = [rng.normal() + 2 * (arm == "a") for arm in arms]
    pool = (Offer("a", 8, 0.0, 0.5, 0.15), Offer("b", 8, 0.0, 0.5, 0.25))
    data = history(values, arms)
    promised = replace(data, origins=tuple(origin._replace(offers=pool) for origin in data.origins))
    problem = make_problem(LINE)
    by_promise = shares(problem, offered({"a": 0.15, "b": 0.25}, n=80), "proposer", ["a", "b"])
    by_both = shares(problem, promised, "proposer", ["a", "b"])
    by_labels = shares(problem, data, "proposer", ["a", "b"])
    assert by_promise["a"] < 0.2 < by_both["a"] <= by_labels["a"]


def test_a_slow_proposer_is_a_burden_beside_a_fast_oracle_only(make_problem):
    promised, seconds = {"a": 0.3, "b": 0.15}, {"a": 10.0, "b": 0.01}
    problem, arms = make_problem(LINE), ["a", "b"]

    def share(asked: float, *, per_second: bool) -> float:
        data = offered(promised, seconds, asked=asked)
        return shares(problem, data, "proposer", arms, per_second=per_second)["a"]

    assert share(1.0, per_second=False) == share(600.0, per_second=False) > 0.8
    assert share(1.0, per_second=True) < 0.2
    assert share(600.0, per_second=True) == pytest.approx(share(600.0, per_second=False), abs=0.1)


def test_decisions_that_are_made_from_one_pool_share_its_time(make_problem):
    single = offered({"a": 0.3, "b": 0.15}, {"a": 10.0, "b": 0.01}, asked=1.0)
    alone = single.origins[0]._replace(offers=())
    many = replace(single, origins=tuple(origin if i % 20 == 0 else alone for i, origin in enumerate(single.origins)))

    def share(data: Dataset, *, per_second: bool) -> float:
        return shares(make_problem(LINE), data, "proposer", ["a", "b"], per_second=per_second)["a"]

    assert share(single, per_second=True) < 0.2
    assert share(many, per_second=True) > 0.5 * share(many, per_second=False)


def test_times_change_no_share_unless_they_are_to_count(make_problem):
    data = offered({"a": 0.2, "b": 0.2, "c": 0.2}, {"a": 1.0})
    other = offered({"a": 0.2, "b": 0.2, "c": 0.2}, {"b": 9.0}, asked=7.0)
    assert shares(make_problem(LINE), data, "proposer", ARMS) == shares(make_problem(LINE), other, "proposer", ARMS)


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


@pytest.mark.parametrize("seed", [0, 1])
def test_molecules_are_looked_for_by_a_sceptic_and_by_who_believes_in_the_average(molecules, make_problem, label, seed):
    problem = make_problem(molecules)
    data = label(problem, molecules.sample(20, np.random.default_rng(seed)), lambda x: float(x["smiles"].count("O")))
    model = registry.surrogate("tanimoto_gp").fit(problem, data, seed=seed)
    portfolio = registry.acquisition(registry.default_acquisition(problem))
    found = {portfolio.nominate(problem, model, data, seed=draw).acquisition.name for draw in range(60)}
    assert found == {"sceptical_ucb", "log_ei"}


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


def decide_once(campaign, proposers, seed=3, n=1, dataset=None, **options):
    """Proposals and choices of one decision."""
    problem, data, model = campaign
    acquisition, labels = registry.acquisition("log_ei"), data if dataset is None else dataset
    found = decide.propose(problem, proposers, labels, model, acquisition, [], frozenset(), n, seed, **options)
    return found, decide.select(problem, found, labels, model, acquisition, [], frozenset(), n, seed)


def test_the_first_of_the_choices_from_a_pool_has_what_all_proposers_brought(campaign):
    proposals, choices = decide_once(campaign, [Counting("one"), Counting("two")], n=3)
    assert [len(choice.offers) for choice in choices] == [2, 0, 0]
    for offer in choices[0].offers:
        assert offer.proposals == sum(proposal.proposer == offer.proposer for proposal in proposals)
        assert offer.share == 0.5
        assert 0 < offer.promise < 1
        assert offer.seconds >= 0
    (alone,) = decide_once(campaign, [Counting("one")])[1][0].offers
    assert (alone.proposals, alone.share, alone.promise) == (decide.POOL, None, None)


def test_choices_before_the_first_fit_have_their_offers_too(campaign):
    problem, data, _ = campaign
    found = decide.propose(
        problem, [Counting("one")], data, None, registry.acquisition("log_ei"), [], frozenset(), 4, 3
    )
    choices = decide.without_model(problem, found, initial=True)
    assert [[(o.proposer, o.proposals, o.promise) for o in choice.offers] for choice in choices] == [
        [("one", 4, None)],
        [],
        [],
        [],
    ]


class Slow(Counting):
    """Burns processor time before it proposes, or fails."""

    def __init__(self, name: str, seconds: float, *, fails: bool = False) -> None:
        super().__init__(name)
        self.seconds, self.fails = seconds, fails

    def propose(self, request):
        until = time.process_time() + self.seconds
        while time.process_time() < until:
            pass
        if self.fails:
            raise RuntimeError("no idea")
        return super().propose(request)


def test_the_processor_time_of_a_proposer_counts_also_where_it_fails(campaign):
    _, (choice,) = decide_once(campaign, [Slow("slow", 0.05), Slow("broken", 0.02, fails=True), Counting("quick")])
    offers = {offer.proposer: offer for offer in choice.offers}
    assert offers["slow"].seconds >= 0.05
    assert (offers["broken"].proposals, offers["broken"].promise) == (0, None)
    assert offers["broken"].seconds >= 0.02
    assert offers["quick"].seconds < 0.05


def test_times_that_differ_make_no_difference_to_what_is_chosen(campaign):
    proposers = [Slow("a", 0.01), Counting("b")]
    first, second = decide_once(campaign, proposers), decide_once(campaign, proposers)
    assert first == second
    assert first[1][0].offers != second[1][0].offers


def test_with_credit_per_second_a_slow_proposer_sits_out_in_proportion(campaign):
    _, data, _ = campaign
    pool = (Offer("slow", 32, 50.0, 0.5, 0.2), Offer("quick", 32, 0.01, 0.5, 0.2))
    timed = replace(data, origins=(Origin("quick", "log_ei", pool, 1.0),) * len(data))
    proposers = [Counting("slow"), Counting("quick")]
    asked = [
        {proposal.proposer for proposal in decide_once(campaign, proposers, seed, dataset=timed, per_second=True)[0]}
        for seed in range(40)
    ]
    assert all("quick" in names for names in asked)
    assert 1 <= sum("slow" in names for names in asked) <= 16, "0.16 of the decisions are expected"


class Breeding(Counting):
    """Knows of what it made its candidates."""

    def bred(self, request):
        made = self.propose(request)
        return [Bred(candidate, (Descent(candidate.text, ("x=0, y=0", "x=1, y=1")),)) for candidate in made]


def test_a_choice_keeps_the_descent_of_its_candidate(campaign):
    _, (choice,) = decide_once(campaign, [Breeding("breeder")])
    assert choice.descent == (Descent(choice.point.candidate.text, ("x=0, y=0", "x=1, y=1")),)
