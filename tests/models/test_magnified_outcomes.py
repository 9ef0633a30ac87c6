"""Outcomes over orders of magnitude: molecules' processes see them through a logarithm, fronts are weighed in units."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from theoros.models.acquisition.improvement import Utility, log_improvement
from theoros.models.acquisition.log_ehvi import LogExpectedHypervolumeImprovement
from theoros.models.data import OutcomeConstraint
from theoros.models.objective import Objective
from theoros.models.pareto import non_dominated
from theoros.models.surrogates.gaussian_process import TanimotoGaussianProcess
from theoros.models.surrogates.outcome import IDENTITY, FittedWarp

STRENGTH, GAP = Objective("strength", "maximize", worst=0.0), Objective("gap", "minimize", worst=12.0)


def strength(data):
    """Six orders of magnitude, by what a molecule is made of."""
    smiles = data["smiles"].lower()
    return 1e-6 * 10.0 ** (smiles.count("c") + 0.5 * smiles.count("=") - smiles.count("f") + 0.3 * smiles.count("n"))


def gap(data):
    return 10.0 - math.sqrt(len(data["smiles"])) + 0.5 * data["smiles"].count("O")


@pytest.mark.parametrize("sense", ["maximize", "minimize"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("threshold", [-3.0, -0.4, 0.3, 2.5])
def test_improvement_through_a_logarithm_is_an_integral(sense, sign, threshold):
    warp, goal = FittedWarp(sign, best=-0.3 if sign > 0 else 0.8, d=0.2, mean=0.7, scale=0.9), Objective("y", sense)
    mean, std = 0.4, 0.6

    def gained(t):
        value = float(goal.utility(warp.inverse(np.array(t))))
        return max(value - threshold, 0.0) * norm.pdf(t, mean, std)

    kink = float(warp.forward(np.array(float(goal.utility(threshold)))))
    ends = sorted({mean - 9 * std, min(max(kink, mean - 9 * std), mean + 9 * std), mean + 9 * std})
    expected = sum(quad(gained, a, b, epsabs=1e-13)[0] for a, b in itertools.pairwise(ends))
    belief = Utility(goal, warp, torch.tensor(mean).double(), torch.tensor(std).double())
    found = belief.log_improvement(torch.tensor(threshold).double())
    assert math.exp(float(found)) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_improvement_without_a_logarithm_is_the_usual_one():
    mean, std, threshold = (torch.tensor(x).double() for x in (0.4, 0.6, 0.9))
    found = Utility(STRENGTH, IDENTITY, mean, std).log_improvement(threshold)
    assert found == log_improvement(STRENGTH, mean, std, threshold)


@pytest.mark.parametrize("sense", ["maximize", "minimize", "match"])
@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("threshold", [-3.0, -0.4, 0.3, 2.5])
def test_the_chance_above_a_threshold_is_how_fast_the_improvement_on_it_falls(sense, sign, threshold):
    if sense == "match":  # of whose utilities none is positive, and whose process has no logarithm
        sign, threshold = 0, -abs(threshold)
    warp = FittedWarp(sign, best=-0.3 if sign > 0 else 0.8, d=0.2, mean=0.7, scale=0.9) if sign else IDENTITY
    number = partial(torch.tensor, dtype=torch.float64)
    belief = Utility(Objective("y", sense, 0.5), warp, number(0.4), number(0.6))
    lower, upper = (float(belief.log_improvement(number(threshold + h)).exp()) for h in (-1e-5, 1e-5))
    chance = float(belief.log_above(number(threshold)).exp())
    assert chance == pytest.approx((lower - upper) / 2e-5, rel=1e-4, abs=1e-6)


@pytest.fixture
def front(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules, outputs=("strength", "gap"), objectives=(STRENGTH, GAP))
    order = np.random.default_rng(1).permutation(len(smiles_candidates))
    known, new = ([smiles_candidates[i] for i in part] for part in (order[:28], order[28:]))
    dataset = label(problem, known, strength, gap)
    return problem, dataset, new, TanimotoGaussianProcess().fit(problem, dataset, seed=0)


def test_one_of_several_objectives_that_spans_orders_of_magnitude_is_seen_through_a_logarithm(front, at):
    problem, dataset, new, model = front
    assert model.output("strength").warp.sign == 1
    plain = TanimotoGaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    truth = [strength(candidate.data) for candidate in new]
    ours, theirs = (
        spearmanr(fitted.predict(at(problem, new)).mean[:, 0], truth).statistic for fitted in (model, plain)
    )
    assert ours > 0.8
    assert ours > theirs


def test_bounded_matched_and_single_outcomes_are_not(molecules, smiles_candidates, make_problem, label):
    bounded = OutcomeConstraint("strength", ">=", 1e-4)
    matched = (Objective("strength", "match", 1e-2), GAP)
    for objectives, constraints in (((STRENGTH, GAP), (bounded,)), (matched, ()), ((STRENGTH,), ())):
        problem = make_problem(molecules, outputs=("strength", "gap"), objectives=objectives, constraints=constraints)
        dataset = label(problem, smiles_candidates[:20], strength, gap)
        assert TanimotoGaussianProcess().fit(problem, dataset, seed=0).output("strength").warp.sign == 0


def test_expected_hypervolume_counts_in_the_units_of_the_objectives(front):
    problem, dataset, new, model = front
    score = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    signs, reference = np.array([1.0, -1.0]), torch.tensor([0.0, -12.0]).double()
    known = dataset.values * signs
    best, volume = known[non_dominated(known)], Hypervolume(reference)
    before = volume.compute(torch.from_numpy(best))
    units = np.prod([model.output(name).scale[-1] for name in problem.outputs])
    z = np.linspace(-5, 5, 61)
    weights = np.outer(norm.pdf(z), norm.pdf(z)) / norm.pdf(z).sum() ** 2
    for place in np.argsort(-score)[[0, 3]]:
        columns = []
        for name, sign in zip(problem.outputs, signs, strict=True):
            own = model.output(name)
            mean, variance = own.posterior.moments(own.inputs(model.encode([new[place]]), 0))
            columns.append(sign * own.natural(float(mean) + float(variance) ** 0.5 * z, 0))
        gains = [
            volume.compute(torch.from_numpy(np.concatenate([best, [[a, b]]]))) - before
            for a in columns[0]
            for b in columns[1]
        ]
        expected = float(np.maximum(gains, 0.0) @ weights.ravel()) / units
        assert score[place] == pytest.approx(math.log(expected), abs=0.02)
