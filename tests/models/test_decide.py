"""Decisions: greedy, aware of what is pending, reproducible, never twice the same."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.timing import processor_seconds
from theoros.models import decide, registry
from theoros.models.contract import ProposalRequest
from theoros.models.data import Dataset, OutcomeConstraint, Point, Proposal
from theoros.models.fidelity import LONGEST_RUN, choose_fidelity
from theoros.models.forecast import Forecast
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.random_forest import RandomForest
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Categorical, Molecules, Parameters, Real


def wave(data):
    return math.sin(9 * data["x"]) + math.cos(7 * data["y"])


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def state(square, make_problem, label, rng):
    """(problem, dataset, model, acquisition)."""
    problem = make_problem(square)
    dataset = label(problem, square.sample(12, rng), wave)
    return problem, dataset, GaussianProcess().fit(problem, dataset, seed=0), registry.acquisition("log_ei")


def first_design(problem, proposer, n, seed):
    """The choices before there is a model."""
    candidates = proposer.propose(ProposalRequest(problem, n, seed, frozenset()))
    return decide.without_model(problem, [Proposal(c, proposer.name) for c in candidates], initial=True)


def run(problem, oracle, *, initial, total, seed, names=None):
    """The whole loop in one process, one decision at a time: the labels in order."""
    surrogate = registry.surrogate(registry.default_surrogate(problem))
    acquisition = registry.acquisition(registry.default_acquisition(problem))
    proposers = [registry.proposer(name) for name in names or registry.default_proposers(problem)]
    design = registry.proposer(registry.initial_proposer(problem))
    points = [choice.point for choice in first_design(problem, design, initial, seed)]
    values = [oracle(point) for point in points]
    model = None
    while len(points) < total:
        dataset = Dataset(tuple(points), problem.outputs, np.array(values))
        model = surrogate.fit(problem, dataset, seed=seed, previous=model)
        done = frozenset(p.candidate.hash for p in points if p.fidelity == problem.target)
        asked = frozenset((p.candidate.hash, p.fidelity) for p in points)
        step = seed * 1000 + len(points)
        proposals = decide.propose(problem, proposers, dataset, model, acquisition, [], done, 1, step)
        (choice,) = decide.select(problem, proposals, dataset, model, acquisition, [], asked, 1, step)
        points.append(choice.point)
        values.append(oracle(choice.point))
    return Dataset(tuple(points), problem.outputs, np.array(values))


def test_branin_is_solved_to_five_hundredths_in_thirty_evaluations(square, make_problem, branin):
    problem = make_problem(square, maximize=False)
    regrets = [
        run(problem, lambda p: [branin(p.candidate.data)], initial=5, total=30, seed=seed).values.min() - 0.397887
        for seed in range(3)
    ]
    assert sorted(regrets)[1] < 0.05
    assert max(regrets) < 0.5


def test_a_library_gives_up_its_best_molecule_early(molecule_library, make_problem):
    """The most fluorinated of 60 molecules, with a third of the labels."""
    problem = make_problem(molecule_library)
    oracle = lambda p: [p.candidate.data["smiles"].count("F") + 0.01 * len(p.candidate.data["smiles"])]  # noqa: E731
    best = max(oracle(Point(c, "truth"))[0] for batch in molecule_library.iterate() for c in batch)
    found = [run(problem, oracle, initial=6, total=20, seed=seed).values.max() for seed in range(3)]
    assert sorted(found)[1] == best


def test_learning_lowers_the_error_below_that_of_random_labels(make_problem, label, at):
    space = Parameters(x=Real(0, 1), y=Real(0, 1))
    problem = make_problem(space, goal="learn")
    new = space.sample(300, np.random.default_rng(99))
    truth = np.array([wave(c.data) for c in new])

    def error(dataset):
        model = GaussianProcess().fit(problem, dataset, seed=0)
        return np.sqrt(np.mean((model.predict(at(problem, new)).mean[:, 0] - truth) ** 2))

    active = [error(run(problem, lambda p: [wave(p.candidate.data)], initial=5, total=18, seed=s)) for s in range(3)]
    passive = [error(label(problem, space.sample(18, np.random.default_rng(s)), wave)) for s in range(3)]
    assert np.median(active) < np.median(passive)


def test_a_batch_is_spread_out_because_each_choice_is_pending_for_the_next(state, square, rng):
    problem, dataset, model, acquisition = state
    proposals = [Proposal(c, "test") for c in square.sample(300, rng)]
    chosen = decide.select(problem, proposals, dataset, model, acquisition, [], frozenset(), 5, seed=0)
    places = np.array([[c.point.candidate.data["x"], c.point.candidate.data["y"]] for c in chosen])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(5, 1)]
    score = acquisition.scorer(problem, model, dataset, [], seed=0)
    naive = sorted(proposals, key=lambda p: -score([p.candidate])[0])[:5]
    crowd = np.array([[p.candidate.data["x"], p.candidate.data["y"]] for p in naive])
    crowded = np.linalg.norm(crowd[:, None] - crowd[None], axis=-1)[np.triu_indices(5, 1)]
    assert len({c.point.candidate.hash for c in chosen}) == 5
    assert gaps.mean() > crowded.mean()


def test_the_same_seed_makes_the_same_decisions(state):
    problem, dataset, model, acquisition = state
    proposers = [registry.proposer(name) for name in ("acquisition_optimizer", "random")]
    runs = []
    for _ in range(2):
        proposals = decide.propose(problem, proposers, dataset, model, acquisition, [], frozenset(), 3, seed=4)
        runs.append(decide.select(problem, proposals, dataset, model, acquisition, [], frozenset(), 3, seed=4))
    assert runs[0] == runs[1]


def test_nothing_asked_seen_or_pending_is_chosen_again(state, square, rng):
    problem, dataset, model, acquisition = state
    pool = square.sample(6, rng)
    proposals = [Proposal(c, "test") for c in pool + pool]
    pending = [Point(pool[0], problem.target)]
    asked = {(pool[1].hash, problem.target)}
    chosen = decide.select(problem, proposals, dataset, model, acquisition, pending, asked, 10, seed=0)
    assert sorted(c.point.candidate.hash for c in chosen) == sorted(c.hash for c in pool[2:])


def test_a_choice_tells_what_was_predicted_and_why(state, square, rng):
    problem, dataset, model, acquisition = state
    proposals = [Proposal(c, "test") for c in square.sample(20, rng)]
    (choice,) = decide.select(problem, proposals, dataset, model, acquisition, [], frozenset(), 1, seed=0)
    prediction = model.predict([choice.point])
    assert choice.predictions == {"y": Forecast(prediction.mean[0, 0], prediction.label_std[0, 0])}
    assert (choice.acquisition, choice.proposer) == ("log_ei", "test")
    assert choice.value == pytest.approx(
        acquisition.scorer(problem, model, dataset, [], seed=0)([choice.point.candidate])[0]
    )
    assert "best of 20 proposals" in choice.reason


def test_before_the_first_fit_proposals_are_taken_in_order(state, square, rng):
    problem, dataset, _, acquisition = state
    proposals = [Proposal(c, "test") for c in square.sample(4, rng)]
    chosen = decide.select(problem, proposals, dataset, None, acquisition, [], frozenset(), 2, seed=0)
    assert [c.point.candidate for c in chosen] == [p.candidate for p in proposals[:2]]
    assert all(c.value is None for c in chosen)


class TestHundreds:
    @pytest.fixture
    def many(self, square, make_problem, label, rng):
        problem = make_problem(square)
        dataset = label(problem, square.sample(500, rng), wave)
        return problem, dataset, RandomForest().fit(problem, dataset, seed=0), square.sample(1_000, rng)

    @pytest.mark.parametrize("name", ["thompson", "ucb", "ei", "greedy", "std"])
    def test_hundreds_of_decisions_take_hardly_longer_than_a_few(self, many, name):
        problem, dataset, model, new = many
        proposals, acquisition = [Proposal(c, "test") for c in new], registry.acquisition(name)

        def choose(n):
            chosen = decide.select(problem, proposals, dataset, model, acquisition, [], frozenset(), n, seed=0)
            assert len({choice.point.candidate.hash for choice in chosen}) == n

        few, many = (processor_seconds(lambda n=n: choose(n)) for n in (3, 300))
        assert many < 20 * few

    def test_a_batch_is_the_same_for_a_seed_and_shuns_what_was_asked_or_is_pending(self, many):
        problem, dataset, model, new = many
        proposals = [Proposal(c, "test") for c in new[:40]]
        thompson = registry.acquisition("thompson")
        free = decide.select(problem, proposals, dataset, model, thompson, [], frozenset(), 10, seed=3)
        assert free == decide.select(problem, proposals, dataset, model, thompson, [], frozenset(), 10, seed=3)
        pending = [choice.point for choice in free[:5]]
        asked = {(choice.point.candidate.hash, "truth") for choice in free[5:]}
        others = decide.select(problem, proposals, dataset, model, thompson, pending, asked, 40, seed=3)
        assert len(others) == 30
        assert not {c.point.candidate.hash for c in others} & {c.point.candidate.hash for c in free}

    def test_a_batch_builds_one_scorer_at_most(self, many):
        problem, dataset, model, new = many

        class Counting(type(registry.acquisition("ei"))):
            built = 0

            def scorer(self, *arguments, **more):
                type(self).built += 1
                return super().scorer(*arguments, **more)

        proposals = [Proposal(c, "test") for c in new]
        decide.select(problem, proposals, dataset, model, Counting(), [], frozenset(), 100, seed=0)
        assert Counting.built == 1

    def test_each_choice_says_what_is_predicted_of_it(self, many):
        problem, dataset, model, new = many
        proposals = [Proposal(c, "test") for c in new]
        chosen = decide.select(
            problem, proposals, dataset, model, registry.acquisition("thompson"), [], frozenset(), 50, seed=0
        )
        prediction = model.predict([choice.point for choice in chosen])
        assert [c.predictions["y"][:2] for c in chosen] == list(
            zip(prediction.mean[:, 0].tolist(), prediction.label_std[:, 0].tolist(), strict=True)
        )
        assert "chosen together" in chosen[0].reason

    def test_a_process_takes_in_each_pick_of_a_large_batch(self, state, square, rng):
        problem, dataset, model, acquisition = state
        proposals = [Proposal(c, "test") for c in square.sample(256, rng)]
        chosen = decide.select(problem, proposals, dataset, model, acquisition, [], frozenset(), 64, seed=0)
        assert len({choice.point.candidate.hash for choice in chosen}) == 64


def test_the_random_control_takes_proposals_as_they_come(state, square, rng):
    problem, dataset, model, _ = state
    proposals = [Proposal(c, "random") for c in square.sample(9, rng)]
    chosen = decide.select(
        problem, proposals, dataset, model, registry.acquisition("random"), [], frozenset(), 3, seed=0
    )
    assert [c.point.candidate for c in chosen] == [p.candidate for p in proposals[:3]]


class TestPropose:
    def test_a_proposer_that_fails_is_left_out(self, state):
        class Broken:
            name, kinds, needs_model = "broken", frozenset({"parameters"}), False

            def propose(self, request: ProposalRequest):
                raise RuntimeError("out of ideas")

        problem, dataset, model, acquisition = state
        both = [Broken(), registry.proposer("sobol")]
        names = {p.proposer for p in decide.propose(problem, both, dataset, model, acquisition, [], frozenset(), 2, 0)}
        assert names == {"sobol"}
        alone = decide.propose(problem, [Broken()], dataset, model, acquisition, [], frozenset(), 2, 0)
        assert {p.proposer for p in alone} == {"random"}

    def test_what_a_proposer_makes_outside_the_space_is_told_and_left_out(self, make_problem, label, caplog):
        class Careless:
            name, kinds, needs_model = "careless", frozenset({"molecule"}), True

            def propose(self, request: ProposalRequest):
                texts = ["xx", "[Fe]", "C" * 500, "", "OCC", "C(C)(C)(C)(C)C"]
                return [Candidate("molecule", {"smiles": text}) for text in texts]

        space = Molecules(heavy_atoms=(1, 5))
        problem = make_problem(space)
        dataset = label(problem, space.sample(10, np.random.default_rng(1)), lambda d: len(d["smiles"]))
        model = registry.surrogate("tanimoto_gp").fit(problem, dataset, seed=0)
        acquisition = registry.acquisition("log_ei")

        def proposed(proposers, asked=problem):
            return decide.propose(asked, proposers, dataset, model, acquisition, [], frozenset(), 2, 0, ranked=True)

        both = proposed([Careless(), registry.proposer("random")])
        assert [p.candidate.text for p in both if p.proposer == "careless"] == ["CCO"]
        assert sum(p.proposer == "random" for p in both) > 1
        assert "'careless' made 5 of 6 candidates outside the space" in caplog.text
        assert "'xx' is not a valid SMILES" in caplog.text
        vetoed = replace(problem, feasible=lambda candidate: candidate.text != "CCO")
        assert "careless" not in {p.proposer for p in proposed([Careless(), registry.proposer("random")], vetoed)}
        Careless.propose = lambda self, request: [Candidate("molecule", {"smiles": "xx"})]
        assert {p.proposer for p in proposed([Careless()])} == {"random"}

    def test_what_a_library_does_not_list_is_outside_it(self, make_problem, molecule_library, caplog):
        class Inventive:
            name, kinds, needs_model = "inventive", frozenset({"molecule"}), False

            def propose(self, request: ProposalRequest):
                return [Candidate("molecule", {"smiles": text}) for text in ("OCC", "CCCCCCCCCCCCI")]

        problem, random = make_problem(molecule_library), registry.acquisition("random")
        dataset = Dataset((), ("y",), np.zeros((0, 1)))
        found = decide.propose(problem, [Inventive()], dataset, None, random, [], frozenset(), 2, 0)
        assert [p.candidate.text for p in found] == ["CCO"]
        assert "'inventive' made 1 of 2 candidates outside the space" in caplog.text

    def test_an_exhausted_space_yields_nothing(self, make_problem, label):
        space = Parameters(a=Categorical("u", "v"), b=Categorical("w", "x"))
        problem = make_problem(space)
        every = space.sample(4, np.random.default_rng(0))
        dataset = label(problem, every, lambda d: 1.0)
        seen = frozenset(c.hash for c in every)
        found = decide.propose(
            problem, [registry.proposer("sobol")], dataset, None, registry.acquisition("random"), [], seen, 3, 0
        )
        assert found == []

    def test_proposers_that_need_a_model_wait_for_it(self, state):
        problem, dataset, _, acquisition = state
        proposers = [registry.proposer("acquisition_optimizer"), registry.proposer("sobol")]
        found = decide.propose(problem, proposers, dataset, None, acquisition, [], frozenset(), 5, 0)
        assert [p.proposer for p in found] == ["sobol"] * 5


def test_the_best_labelled_come_first_and_infeasible_ones_last(make_problem, label):
    space = Parameters(x=Real(0, 1))
    problem = make_problem(space, outputs=("y", "risk"), constraints=(OutcomeConstraint("risk", "<=", 0.5),))
    four = [space.candidate({"x": x}) for x in (0.2, 0.9, 0.4, 0.1)]
    dataset = label(problem, four, lambda d: d["x"], lambda d: d["x"])
    assert [c.data["x"] for c in decide.labelled_best_first(problem, dataset)] == [0.4, 0.2, 0.1, 0.9]


class TestFidelities:
    COSTS = (0.02, 1.0)

    @pytest.fixture
    def ladder(self, square, make_problem):
        return make_problem(square, fidelities=("cheap", "truth"), costs=self.COSTS)

    def fitted(self, ladder, square, label, join, rng, cheap, n=14, shared=6):
        candidates = square.sample(n, rng)
        dataset = join(label(ladder, candidates, cheap, fidelity="cheap"), label(ladder, candidates[:shared], wave))
        return dataset, GaussianProcess().fit(ladder, dataset, seed=0)

    def test_a_good_cheap_level_is_asked_first_where_nothing_is_known(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        levels = [
            choose_fidelity(ladder, model, c, dataset, [], ladder.fidelities).fidelity for c in square.sample(20, rng)
        ]
        assert levels.count("cheap") > 10

    def test_an_unrelated_cheap_level_is_not_asked(self, ladder, square, label, join, rng):
        noise = np.random.default_rng(0)
        dataset, model = self.fitted(
            ladder, square, label, join, rng, lambda d: noise.standard_normal(), n=20, shared=20
        )
        levels = [
            choose_fidelity(ladder, model, c, dataset, [], ladder.fidelities).fidelity for c in square.sample(20, rng)
        ]
        assert levels.count("truth") > 15

    def test_a_candidate_known_cheaply_is_asked_at_the_truth_next(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        known = dataset.points[10].candidate
        acquisition = registry.acquisition("log_ei")
        asked = {(known.hash, "cheap")}
        (choice,) = decide.select(ladder, [Proposal(known, "test")], dataset, model, acquisition, [], asked, 1, seed=0)
        assert choice.point == Point(known, "truth")
        asked.add((known.hash, "truth"))
        assert decide.select(ladder, [Proposal(known, "test")], dataset, model, acquisition, [], asked, 1, seed=0) == []

    def test_a_run_of_cheap_decisions_ends(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        waiting = [Point(c, "cheap") for c in square.sample(LONGEST_RUN, rng)]
        choice = choose_fidelity(ladder, model, square.sample(1, rng)[0], dataset, waiting, ladder.fidelities)
        assert choice.fidelity == "truth"
        assert "in a row" in choice.reason

    def test_what_slow_gates_turned_away_ends_no_run(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        cheap = label(ladder, square.sample(LONGEST_RUN, rng), wave, fidelity="cheap")
        gone = label(ladder, square.sample(2, rng), lambda d: math.nan)
        data = replace(join(join(dataset, cheap), gone), unasked=2)
        choice = choose_fidelity(ladder, model, square.sample(1, rng)[0], data, [], ladder.fidelities)
        assert choice.fidelity == "truth"
        assert "in a row" in choice.reason

    def test_only_open_levels_are_asked(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        proposals = [Proposal(c, "test") for c in square.sample(10, rng)]
        for level in ladder.fidelities:
            (choice,) = decide.select(
                ladder,
                proposals,
                dataset,
                model,
                registry.acquisition("log_ei"),
                [],
                frozenset(),
                1,
                seed=0,
                fidelities=[level],
            )
            assert choice.point.fidelity == level

    def test_the_first_design_asks_every_level_at_the_same_places(self, ladder):
        choices = first_design(ladder, registry.proposer("sobol"), 4, 0)
        assert [c.point.fidelity for c in choices] == ["cheap", "truth"] * 4
        assert len({c.point.candidate.hash for c in choices}) == 4

    def test_cheaply_labelled_candidates_are_proposed_for_promotion(self, ladder, square, label, join, rng):
        dataset, model = self.fitted(ladder, square, label, join, rng, lambda d: 2 * wave(d) + 5)
        done = frozenset(p.candidate.hash for p in dataset.points if p.fidelity == "truth")
        found = decide.propose(
            ladder, [registry.proposer("sobol")], dataset, model, registry.acquisition("log_ei"), [], done, 2, 0
        )
        promoted = {p.candidate.hash for p in found if p.proposer == decide.PROMOTION}
        assert promoted == {p.candidate.hash for p in dataset.points} - done

    def test_a_good_cheap_level_saves_target_labels(self, ladder, square, make_problem, branin):
        """Ten target labels with a cheap relative of Branin do better than ten alone."""
        problem = make_problem(square, maximize=False, fidelities=("cheap", "truth"), costs=self.COSTS)
        alone = make_problem(square, maximize=False)

        def oracle(point):
            value = branin(point.candidate.data)
            return [0.6 * value + 20 * point.candidate.data["x"] + 50 if point.fidelity == "cheap" else value]

        def regret(dataset):
            rows = [i for i, p in enumerate(dataset.points) if p.fidelity == "truth"][:10]
            return dataset.values[rows].min() - 0.397887

        helped = [regret(run(problem, oracle, initial=4, total=28, seed=seed)) for seed in range(2)]
        single = [regret(run(alone, oracle, initial=4, total=10, seed=seed)) for seed in range(2)]
        assert np.mean(np.log10(helped)) < np.mean(np.log10(single)) - 0.3
