"""Objectives of every kind: what is better, which labels form the front, and what a candidate is expected to add."""

import itertools
import math

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.distributions import MultitaskMultivariateNormal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm

from theoros.models import registry
from theoros.models.acquisition.improvement import log_difference, log_improvement
from theoros.models.acquisition.log_ehvi import LogExpectedHypervolumeImprovement
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.thompson import Thompson
from theoros.models.checks import check_acquisition
from theoros.models.data import OutcomeConstraint
from theoros.models.decide import propose, select
from theoros.models.labelled import labelled_best_first
from theoros.models.objective import Objective
from theoros.models.pareto import non_dominated, ranks
from theoros.models.surrogates.gaussian_process import GaussianProcess

TWO = (Objective("a", "maximize"), Objective("b", "minimize"))


def first(data):
    return math.sin(5 * data["x"]) + data["y"]


def second(data):
    return math.sin(5 * data["x"] + 0.8) + 1.2 * data["y"] ** 2


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def front(square, make_problem, label, rng):
    """(problem, model, dataset, new candidates) of two objectives, one to be large and one to be small."""
    problem = make_problem(square, outputs=("a", "b"), objectives=TWO)
    dataset = label(problem, square.sample(12, rng), first, second)
    return problem, GaussianProcess().fit(problem, dataset, seed=0), dataset, square.sample(150, rng)


senses = st.sampled_from(["maximize", "minimize", "match"])
few = st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3 or x == 0)


@given(sense=senses, target=few, mean=few, std=st.floats(1e-2, 5), threshold=st.floats(-4, -1e-2))
def test_log_improvement_is_the_integral_of_what_is_gained(sense, target, mean, std, threshold):
    objective = Objective("y", sense, target)
    kinks = sorted({target, target - threshold, target + threshold, threshold, -threshold})
    edges = sorted({mean - 12 * std, *(min(max(k, mean - 12 * std), mean + 12 * std) for k in kinks), mean + 12 * std})
    gain = lambda f: max(objective.utility(f) - threshold, 0.0) * norm.pdf(f, mean, std)  # noqa: E731
    expected = sum(quad(gain, a, b, epsabs=1e-14)[0] for a, b in itertools.pairwise(edges))
    tensors = [torch.tensor([value], dtype=torch.float64) for value in (mean, std, threshold)]
    found = float(log_improvement(objective, *tensors).exp())
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-11)


@pytest.mark.parametrize("sense", ["maximize", "minimize", "match"])
def test_log_improvement_stays_finite_and_differentiable_where_there_is_next_to_none(sense):
    mean = torch.tensor([-40.0, -1.0, 0.0, 1e-9, 40.0], dtype=torch.float64, requires_grad=True)
    for std, threshold in ((1e-3, -1e-9), (1.0, -1e-9), (5.0, -1e-3), (1e-3, -1.0)):
        value = log_improvement(
            Objective("y", sense), mean, torch.tensor(std).double(), torch.tensor(threshold).double()
        )
        (gradient,) = torch.autograd.grad(value.sum(), mean)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


def test_a_difference_of_logarithms_is_that_of_their_numbers_and_nothing_of_equal_ones():
    large, small = torch.tensor([0.0, -700.0, 3.0]).double(), torch.tensor([-1.0, -701.0, -math.inf]).double()
    assert torch.allclose(
        log_difference(large, small),
        torch.tensor([math.log(1 - math.exp(-1))] * 2 + [3.0]).double() + torch.tensor([0.0, -700.0, 0.0]).double(),
    )


points = arrays(np.float64, st.tuples(st.integers(0, 25), st.integers(1, 3)), elements=st.integers(-3, 3).map(float))


@given(points)
def test_the_front_is_what_botorch_says(utilities):
    expected = (
        is_non_dominated(torch.from_numpy(utilities), deduplicate=False).numpy()
        if len(utilities)
        else np.zeros(0, dtype=bool)
    )
    assert np.array_equal(non_dominated(utilities), expected)


@given(points)
def test_fronts_are_peeled_off_one_after_another(utilities):
    found = ranks(utilities)
    for level in range(found.max(initial=-1) + 1):
        left = found >= level
        assert np.array_equal(found[left] == level, non_dominated(utilities[left]))


def test_the_best_labels_come_front_by_front_and_feasible_ones_first(square, make_problem, label, rng):
    problem = make_problem(square, outputs=("a", "b"), objectives=TWO, constraints=(OutcomeConstraint("a", ">=", 0.5),))
    dataset = label(problem, square.sample(40, rng), first, second)
    place = {point.candidate.hash: row for row, point in enumerate(dataset.points)}
    order = np.array([place[candidate.hash] for candidate in labelled_best_first(problem, dataset)])
    feasible = dataset.values[:, 0] >= 0.5
    level = np.full(40, 99)
    level[feasible] = ranks(dataset.values[feasible] * [1, -1])
    assert feasible[order[: feasible.sum()]].all()
    assert (np.diff(level[order[: feasible.sum()]]) >= 0).all()


class Own(Model):
    """The utilities that our processes believe in, as a BoTorch model."""

    num_outputs = 2

    def __init__(self, model):
        super().__init__()
        self.parts = [output.posterior for output in model.models]

    def posterior(self, X, **_):
        means, variances = zip(*(part.moments(X.squeeze(-2)) for part in self.parts), strict=True)
        mean = torch.cat([means[0], -means[1]], dim=-1).unsqueeze(-2)
        spread = torch.stack(variances, dim=-1)
        return GPyTorchPosterior(MultitaskMultivariateNormal(mean, torch.diag_embed(spread)))


def test_log_ehvi_is_botorchs_analytic_ehvi(front):
    problem, model, dataset, new = front
    known = torch.cat([model.models[0].posterior.Y, -model.models[1].posterior.Y], dim=1)
    best = known[is_non_dominated(known)]
    nadir = best.amin(0) - 0.1 * (best.amax(0) - best.amin(0))
    parts = FastNondominatedPartitioning(ref_point=nadir, Y=known)
    with torch.no_grad():
        theirs = ExpectedHypervolumeImprovement(Own(model), nadir.tolist(), parts)
        expected = theirs(model.encode(new).unsqueeze(1)).numpy()
    ours = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    visible = expected > 1e-8
    assert visible.sum() > 10
    assert np.allclose(np.exp(ours[visible]), expected[visible], rtol=1e-6)


def test_a_pending_candidate_leaves_little_hypervolume_to_its_copy(front):
    problem, model, dataset, new = front
    score = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, [], seed=0)
    best = new[int(np.argmax(score(new)))]
    waiting = [type(dataset.points[0])(best, problem.target)]
    after = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, waiting, seed=0)
    assert after([best])[0] < score([best])[0] - 1


def test_what_is_worse_than_worst_is_worth_nothing(square, make_problem, label, rng):
    strict = (Objective("a", "maximize", worst=0.2), Objective("b", "minimize", worst=0.0))
    problem = make_problem(square, outputs=("a", "b"), objectives=strict)
    dataset = label(problem, square.sample(25, rng), first, second)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(60, rng)
    score = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    good = [first(c.data) > 0.2 and second(c.data) < 0.0 for c in new]
    assert 0 < sum(good) < 20
    assert good[int(np.argmax(score))]


def test_while_nothing_is_feasible_a_front_is_looked_for_where_something_may_be(square, make_problem, label, rng):
    bound = OutcomeConstraint("c", ">=", 5.0)
    problem = make_problem(square, outputs=("a", "b", "c"), objectives=TWO, constraints=(bound,))
    dataset = label(problem, square.sample(15, rng), first, second, lambda data: 2 * data["x"] - data["y"])
    model, new = GaussianProcess().fit(problem, dataset, seed=0), square.sample(40, rng)
    prediction = model.predict([type(dataset.points[0])(candidate, problem.target) for candidate in new])
    expected = norm.logcdf((prediction.mean[:, 2] - bound.bound) / prediction.std[:, 2])
    score = LogExpectedHypervolumeImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    assert np.allclose(score, expected, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n, e in registry.ACQUISITIONS.items() if "pareto" in e.goals])
def test_every_acquisition_for_a_front_keeps_the_contract(front, name):
    problem, model, dataset, new = front
    assert check_acquisition(registry.acquisition(name), problem, model, dataset, new[:12]) == []


@pytest.mark.parametrize("name", [n for n, e in registry.ACQUISITIONS.items() if "match" in e.goals])
def test_every_acquisition_for_a_match_keeps_the_contract(square, make_problem, label, rng, name):
    problem = make_problem(square, objectives=(Objective("y", "match", 0.6),))
    dataset = label(problem, square.sample(10, rng), first)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    assert check_acquisition(registry.acquisition(name), problem, model, dataset, square.sample(12, rng)) == []


def test_noisy_labels_and_pending_points_are_drawn_for_a_front_too(square, make_problem, label, at, rng):
    problem = make_problem(square, outputs=("a", "b"), objectives=TWO, deterministic=False)
    dataset = label(problem, square.sample(12, rng), first, second)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    waiting = at(problem, square.sample(2, rng))
    score = LogExpectedHypervolumeImprovement(samples=4).scorer(problem, model, dataset, waiting, seed=0)
    assert np.isfinite(score(square.sample(20, rng))).all()


def test_draws_for_a_front_take_different_compromises(front):
    problem, model, dataset, new = front
    picks = Thompson().batch(problem, model, dataset, [], new, 12, seed=3)
    everything = np.array([[first(c.data), -second(c.data)] for c in new])
    level = ranks(everything)
    assert len({pick.place for pick in picks if level[pick.place] == 0}) >= 2
    assert np.mean([level[pick.place] for pick in picks]) < 0.3 * level.mean()


def loop(problem, label, functions, rng, n):
    """Ask and tell one at a time with the defaults."""
    dataset = label(problem, problem.space.sample(6, rng), *functions)
    acquisition = registry.acquisition(registry.default_acquisition(problem))
    proposers = [registry.proposer(name) for name in registry.default_proposers(problem)]
    for i in range(n):
        model = GaussianProcess().fit(problem, dataset, seed=i)
        seen = {point.candidate.hash for point in dataset.points}
        proposals = propose(problem, proposers, dataset, model, acquisition, [], seen, 1, i)
        (choice,) = select(problem, proposals, dataset, model, acquisition, [], set(), 1, i)
        new = label(problem, [choice.point.candidate], *functions)
        dataset = type(dataset)(
            dataset.points + new.points, dataset.outputs, np.concatenate([dataset.values, new.values])
        )
    return dataset


def test_a_value_is_matched_within_a_few_labels(square, make_problem, label, rng):
    problem = make_problem(square, objectives=(Objective("y", "match", 0.8),))
    assert registry.default_acquisition(problem) == "log_ei"
    dataset = loop(problem, label, [first], rng, 8)
    assert np.abs(dataset.values - 0.8).min() < 1e-3


def test_a_front_is_found_that_random_choice_does_not_find(square, make_problem, label, rng):
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    wanted = (Objective("a", "maximize", worst=-0.5), Objective("b", "minimize", worst=1.5))
    problem = make_problem(square, outputs=("a", "b"), objectives=wanted)
    assert registry.default_acquisition(problem) == "log_ehvi"
    volume = Hypervolume(ref_point=torch.tensor([-0.5, -1.5]).double())

    def covered(values):
        utilities = values * [1, -1]
        return volume.compute(torch.from_numpy(utilities[non_dominated(utilities)]))

    guided = loop(problem, label, [first, second], rng, 14)
    by_chance = np.median([covered(label(problem, square.sample(20, rng), first, second).values) for _ in range(20)])
    dense = covered(label(problem, square.sample(4000, rng), first, second).values)
    assert dense - covered(guided.values) < 0.4 * (dense - by_chance)


def test_log_ei_under_match_prefers_what_is_near_and_sure(square, make_problem, label, rng):
    problem = make_problem(square, objectives=(Objective("y", "match", 1.0),))
    dataset = label(problem, square.sample(15, rng), first)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(200, rng)
    score = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    best = new[int(np.argmax(score))]
    assert abs(first(best.data) - 1.0) < np.median([abs(first(c.data) - 1.0) for c in new])
