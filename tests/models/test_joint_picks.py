"""A batch of bounds or of improvements is what one scorer after another would pick, only sooner."""

import math

import numpy as np
import pytest

from theoros.models.acquisition import joint_picks
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.ucb import UpperConfidenceBound
from theoros.models.data import OutcomeConstraint, Point
from theoros.models.surrogates.gaussian_process import GaussianProcess, TanimotoGaussianProcess


def wave(data):
    return math.sin(9 * data["x"]) + math.cos(7 * data["y"])


def one_after_another(acquisition, problem, model, dataset, pending, candidates, n):
    """The places that `n` scorers take, each beside those before it."""
    now, places = list(pending), []
    for _ in range(n):
        values = acquisition.scorer(problem, model, dataset, now, seed=0)(candidates)
        values[places] = -np.inf
        places.append(int(np.argmax(values)))
        now.append(Point(candidates[places[-1]], problem.target))
    return places


@pytest.mark.parametrize("constrained", [False, True])
def test_each_pick_takes_those_before_it_and_what_is_pending_in(square, make_problem, label, at, constrained):
    rng = np.random.default_rng(7)
    bounds = (OutcomeConstraint("z", "<=", 0.4),) if constrained else ()
    problem = make_problem(square, outputs=("y", "z"), constraints=bounds)
    dataset = label(problem, square.sample(14, rng), wave, lambda d: d["x"])
    model = GaussianProcess().fit(problem, dataset, seed=0)
    candidates, pending = square.sample(60, rng), at(problem, square.sample(2, rng))
    acquisition = UpperConfidenceBound(beta=2.0)
    picks = acquisition.batch(problem, model, dataset, pending, candidates, 8, seed=0)
    assert [pick.place for pick in picks] == one_after_another(
        acquisition, problem, model, dataset, pending, candidates, 8
    )


def test_a_batch_of_molecules_is_spread_and_not_eight_times_the_same(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules)
    dataset = label(problem, smiles_candidates[:10], lambda d: float(len(d["smiles"])))
    model = TanimotoGaussianProcess().fit(problem, dataset, seed=0)
    new = smiles_candidates[10:]
    picks = UpperConfidenceBound(beta=4.0).batch(problem, model, dataset, [], new, 8, seed=0)
    assert len({pick.place for pick in picks}) == 8
    assert [pick.place for pick in picks] == one_after_another(
        UpperConfidenceBound(beta=4.0), problem, model, dataset, [], new, 8
    )


def test_too_many_candidates_for_one_matrix_are_left_to_one_scorer_after_another(
    square, make_problem, label, monkeypatch
):
    rng = np.random.default_rng(0)
    problem = make_problem(square)
    dataset = label(problem, square.sample(6, rng), wave)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    monkeypatch.setattr(joint_picks, "MOST", 10)
    assert UpperConfidenceBound().batch(problem, model, dataset, [], square.sample(11, rng), 3, seed=0) is None


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("constrained", [False, True])
def test_improvements_picked_from_one_belief_are_worth_what_one_scorer_after_another_says(
    square, make_problem, label, at, constrained, deterministic
):
    rng = np.random.default_rng(3)
    bounds = (OutcomeConstraint("z", "<=", 0.6),) if constrained else ()
    problem = make_problem(square, outputs=("y", "z"), constraints=bounds, deterministic=deterministic)
    dataset = label(problem, square.sample(14, rng), wave, lambda d: d["x"])
    model = GaussianProcess().fit(problem, dataset, seed=0)
    candidates, pending = square.sample(60, rng), at(problem, square.sample(2, rng))
    acquisition = LogExpectedImprovement(samples=2048)
    picks = acquisition.batch(problem, model, dataset, pending, candidates, 6, seed=0)
    assert len({pick.place for pick in picks}) == 6
    now, left = list(pending), list(range(60))
    for pick in picks:
        values = acquisition.scorer(problem, model, dataset, now, seed=1)(candidates)
        assert pick.value == pytest.approx(values[pick.place], abs=0.15)
        assert values[pick.place] > values[left].max() - 0.15
        now.append(Point(candidates[pick.place], problem.target))
        left.remove(pick.place)


def test_several_fidelities_are_left_to_one_scorer_after_another(square, make_problem, label):
    problem = make_problem(square, fidelities=("cheap", "true"))
    dataset = label(problem, square.sample(6, np.random.default_rng(0)), wave)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    candidates = square.sample(5, np.random.default_rng(1))
    assert LogExpectedImprovement().batch(problem, model, dataset, [], candidates, 2, seed=0) is None
