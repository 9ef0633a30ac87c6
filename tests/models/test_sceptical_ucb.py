"""The sceptic: what is unlike all labels is worse than any of them, whatever the unit, the sense and the scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models.acquisition.base import belief_of
from theoros.models.acquisition.sceptical_ucb import ScepticalUpperBound, _Sceptic, _widths, sceptical
from theoros.models.checks import check_acquisition
from theoros.models.data import Dataset, OutcomeConstraint
from theoros.models.surrogates.gaussian_process import GaussianProcess, TanimotoGaussianProcess


def carbons(data):
    return float(data["smiles"].upper().count("C"))


@pytest.fixture(scope="module")
def fitted(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules)
    dataset = label(problem, smiles_candidates[:16], carbons)
    return problem, dataset, TanimotoGaussianProcess().fit(problem, dataset, seed=0)


def moments(problem, dataset, model, candidates):
    belief = _Sceptic.of(problem, belief_of(model), dataset)
    process = belief.output("y")
    mean, variance = process.posterior.moments(process.inputs(belief.encode(candidates), 0))
    return mean[:, 0].numpy(), variance.sqrt().numpy()


def test_labels_stand_between_a_third_at_the_worst_and_two_thirds_at_the_best(fitted, smiles_candidates):
    problem, dataset, model = fitted
    mean, std = moments(problem, dataset, model, smiles_candidates[:16])
    y = dataset.values[:, 0]
    assert mean == pytest.approx((1 + (y - y.min()) / (y.max() - y.min())) / 3, abs=0.01)
    assert (std < 0.03).all()


def test_what_is_like_no_label_is_believed_worse_than_all_of_them(make_problem, molecules, label):
    problem = make_problem(molecules)
    dataset = label(problem, [molecules.candidate(s) for s in ("CC", "CCC", "CCCC")], carbons)
    model = TanimotoGaussianProcess().fit(problem, dataset, seed=0)
    mean, std = moments(problem, dataset, model, [molecules.candidate("N#N")])
    assert mean == pytest.approx([0.0], abs=0.02)  # hashed fingerprints of nothing in common share a bit or two
    assert std == pytest.approx([1.0], abs=0.001)


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=8)
def test_neither_the_unit_nor_the_zero_of_the_objective_matters(fitted, smiles_candidates, scale, shift):
    problem, dataset, _ = fitted
    other = Dataset(dataset.points, dataset.outputs, scale * dataset.values + shift)
    # The surrogate has its say over units alone here, so a fit to each would test the fit.
    means = [
        moments(problem, d, TanimotoGaussianProcess().fit(problem, d, seed=0), smiles_candidates[16:])[0]
        for d in (dataset, other)
    ]
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_small_values_are_sought_as_large_ones_of_the_opposite(fitted, smiles_candidates, make_problem, molecules):
    problem, dataset, model = fitted
    opposite = make_problem(molecules, maximize=False)
    negated = Dataset(dataset.points, dataset.outputs, -dataset.values)
    other = TanimotoGaussianProcess().fit(opposite, negated, seed=0)
    acquisition, new = ScepticalUpperBound(), smiles_candidates[16:]
    scores = acquisition.scorer(problem, model, dataset, [], seed=3)(new)
    assert acquisition.scorer(opposite, other, negated, [], seed=3)(new) == pytest.approx(scores, abs=0.01)


def test_another_question_to_the_same_belief_has_another_answer(fitted, smiles_candidates, make_problem, molecules):
    problem, dataset, model = fitted
    opposite, acquisition, new = make_problem(molecules, maximize=False), ScepticalUpperBound(), smiles_candidates[16:]
    acquisition.scorer(problem, model, dataset, [], seed=3)
    after = acquisition.scorer(opposite, model, dataset, [], seed=3)(new)
    assert np.array_equal(after, acquisition.scorer(opposite, model, replace(dataset), [], seed=3)(new))


def test_it_keeps_the_contract_over_molecules_and_over_parameters(
    fitted, smiles_candidates, square, make_problem, label
):
    problem, dataset, model = fitted
    assert check_acquisition(ScepticalUpperBound(), problem, model, dataset, smiles_candidates[16:]) == []
    rng = np.random.default_rng(0)
    numbers = make_problem(square, maximize=False)
    labels = label(numbers, square.sample(15, rng), lambda d: d["x"] * d["y"])
    process = GaussianProcess().fit(numbers, labels, seed=0)
    assert check_acquisition(ScepticalUpperBound(), numbers, process, labels, square.sample(20, rng)) == []


def test_a_batch_is_distinct_and_reproducible(fitted, smiles_candidates):
    problem, dataset, model = fitted
    acquisition, new = ScepticalUpperBound(), smiles_candidates[16:]
    picks = acquisition.batch(problem, model, dataset, [], new, 8, seed=1)
    assert len({pick.place for pick in picks}) == 8
    assert picks == acquisition.batch(problem, model, dataset, [], new, 8, seed=1)


def test_what_is_pending_is_worth_less(fitted, smiles_candidates, at):
    problem, dataset, model = fitted
    acquisition, new = ScepticalUpperBound(), smiles_candidates[16:18]
    before = acquisition.scorer(problem, model, dataset, [], seed=0)(new)
    beside = acquisition.scorer(problem, model, dataset, at(problem, new[:1]), seed=0)(new)
    assert beside[0] < before[0]


def test_equal_labels_leave_finite_scores(smiles_candidates, make_problem, molecules, label):
    problem = make_problem(molecules)
    dataset = label(problem, smiles_candidates[:5], lambda data: 2.0)
    model = TanimotoGaussianProcess().fit(problem, dataset, seed=0)
    assert np.isfinite(ScepticalUpperBound().scorer(problem, model, dataset, [], seed=0)(smiles_candidates[5:])).all()


def test_a_constraint_that_is_surely_broken_decides(square, make_problem, label):
    problem = make_problem(square, outputs=("y", "z"), constraints=(OutcomeConstraint("z", "<=", 0.5),))
    dataset = label(problem, square.sample(20, np.random.default_rng(0)), lambda d: d["x"], lambda d: d["x"])
    model = GaussianProcess().fit(problem, dataset, seed=0)
    bad, good = square.candidate({"x": 0.95, "y": 0.5}), square.candidate({"x": 0.4, "y": 0.5})
    scores = ScepticalUpperBound().scorer(problem, model, dataset, [], seed=0)([bad, good])
    assert scores[1] > scores[0]


def test_over_molecules_a_constraint_decides_and_the_sceptic_keeps_his_own_features(
    make_problem, molecules, smiles_candidates, label
):
    few = OutcomeConstraint("z", "<=", 3.5)
    free, bound = make_problem(molecules), make_problem(molecules, outputs=("y", "z"), constraints=(few,))
    dataset = label(bound, smiles_candidates[:16], carbons, carbons)
    model = TanimotoGaussianProcess().fit(bound, dataset, seed=0)
    beside, alone = (moments(problem, dataset, model, smiles_candidates) for problem in (bound, free))
    assert beside[0] == pytest.approx(alone[0], abs=1e-9)
    assert beside[1] == pytest.approx(alone[1], abs=1e-9)
    scores = ScepticalUpperBound().scorer(bound, model, dataset, [], seed=0)(smiles_candidates[:16])
    kept = dataset.values[:, 1] <= few.bound
    assert kept[np.argmax(scores)]
    assert not kept[np.argmax(dataset.values[:, 0])]  # without the constraint it would have been another
    assert check_acquisition(ScepticalUpperBound(), bound, model, dataset, smiles_candidates[16:]) == []


def test_a_constraint_may_be_on_the_objective_itself(square, make_problem, label):
    problem = make_problem(square, constraints=(OutcomeConstraint("y", "<=", 0.5),))
    dataset = label(problem, square.sample(20, np.random.default_rng(0)), lambda d: d["x"])
    model = GaussianProcess().fit(problem, dataset, seed=0)
    values = np.array([point.candidate.data["x"] for point in dataset.points])
    scores = ScepticalUpperBound().scorer(problem, model, dataset, [], seed=0)([p.candidate for p in dataset.points])
    assert values[np.argmax(scores)] == pytest.approx(values[values <= 0.5].max(), abs=0.05)


def test_of_several_fidelities_the_target_sets_the_scale(square, make_problem, label, join):
    problem = make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    rng = np.random.default_rng(0)
    cheap = label(problem, square.sample(12, rng), lambda d: 100 + 50 * d["x"], fidelity="cheap")
    true = label(problem, square.sample(8, rng), lambda d: d["x"])
    dataset = join(cheap, true)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    process = sceptical(problem, belief_of(model).output("y"))
    at_target = process.posterior.X[:, -1] == 1
    utility = process.posterior.Y[at_target]
    assert float(utility.min()) == pytest.approx(1 / 3)
    assert float(utility.max()) == pytest.approx(2 / 3)
    assert torch.isfinite(process.posterior.weights).all()


def test_weights_are_spread_over_two_orders_of_magnitude():
    widths = _widths(2_000, seed=0)
    assert 0.01 <= widths.min() < 0.011
    assert 0.9 < widths.max() <= 1.0
    assert np.median(widths) == pytest.approx(0.1, rel=0.15)
