"""The knowledge gradient, held against integrals and expected improvement."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from theoros.models import registry
from theoros.models.acquisition.knowledge_gradient import KnowledgeGradient, expected_maximum
from theoros.models.checks import check_acquisition
from theoros.models.data import OutcomeConstraint
from theoros.models.surrogates.gaussian_process import GaussianProcess

numbers = st.floats(-3, 3).map(lambda x: round(x, 2))


def gain(levels, slopes):
    lines = (torch.tensor([values], dtype=torch.float64) for values in (levels, slopes))
    return float(expected_maximum(*lines))


@settings(max_examples=40)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_the_expected_maximum_of_lines_is_their_integral(lines):
    a, b = np.array(lines).T
    crossings = [(a[i] - a[j]) / (b[j] - b[i]) for i in range(len(a)) for j in range(i) if b[i] != b[j]]
    kinks = sorted(x for x in crossings if abs(x) < 9)
    edges = [-9.0, *kinks, 9.0]
    whole = sum(
        quad(lambda z: (a + b * z).max() * norm.pdf(z), low, high, epsabs=1e-10, epsrel=1e-10)[0]
        for low, high in itertools.pairwise(edges)
    )
    assert gain(a.tolist(), b.tolist()) == pytest.approx(whole - a.max(), abs=1e-7)


def test_what_can_not_change_the_choice_is_worth_nothing():
    assert gain([1.0, 0.0, -2.0], [0.7, 0.7, 0.7]) == 0.0
    assert gain([0.3], [2.0]) == 0.0


def test_a_gain_in_the_far_tail_keeps_its_digits():
    z = 9.0
    exact = norm.pdf(z) - z * norm.sf(z)  # E[max(x - z, 0)]
    assert gain([0.0, -z], [0.0, 1.0]) == pytest.approx(exact, rel=1e-6)


def test_the_gain_is_differentiable_where_lines_are_parallel_or_hidden():
    levels = torch.tensor([[0.0, -1.0, 0.0, -5.0]], dtype=torch.float64, requires_grad=True)
    slopes = torch.tensor([[0.0, 0.5, 0.0, 0.1]], dtype=torch.float64, requires_grad=True)
    expected_maximum(levels, slopes).sum().backward()
    assert levels.grad.isfinite().all()
    assert slopes.grad.isfinite().all()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def valley(data):
    return (data["x"] - 0.3) ** 2 + 0.5 * (data["y"] - 0.6) ** 2


def test_without_noise_and_other_places_it_is_expected_improvement(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(10, rng), valley)
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = square.sample(150, rng)
    scored = KnowledgeGradient(others=0).scorer(problem, model, dataset, [], seed=0)(new)
    prediction = model.predict(at(problem, new))
    goal = problem.objective
    z = (goal.utility(prediction.mean[:, 0]) - goal.utility(dataset.values[:, 0]).max()) / prediction.std[:, 0]
    improvement = prediction.std[:, 0] * (z * norm.cdf(z) + norm.pdf(z)) / model.output("y").scale[-1]
    large = improvement > 1e-5
    assert large.sum() > 5
    assert np.exp(scored[large]) == pytest.approx(improvement[large], rel=0.02)


def test_a_noisy_label_is_worth_less_than_an_exact_one_and_may_be_repeated(square, make_problem, label, rng):
    noise = np.random.default_rng(0)
    problem = make_problem(square, deterministic=False)
    candidates = square.sample(15, rng)
    dataset = label(problem, candidates, lambda d: valley(d) + 0.05 * noise.standard_normal())
    model = GaussianProcess().fit(problem, dataset, seed=0)
    score = KnowledgeGradient().scorer(problem, model, dataset, [], seed=0)
    assert np.isfinite(score(candidates)).all()
    assert score(candidates).max() > -12.0  # asking a labelled place again still teaches


def test_a_constraint_that_is_surely_broken_leaves_nothing(square, make_problem, label, rng):
    constraint = OutcomeConstraint("risk", "<=", 0.4)
    problem = make_problem(square, outputs=("y", "risk"), constraints=(constraint,))
    dataset = label(problem, square.sample(15, rng), valley, lambda d: d["x"])
    model = GaussianProcess().fit(problem, dataset, seed=0)
    score = KnowledgeGradient().scorer(problem, model, dataset, [], seed=0)
    kept, broken = square.candidate({"x": 0.2, "y": 0.31}), square.candidate({"x": 0.95, "y": 0.31})
    assert score([kept])[0] > score([broken])[0] + 10


def test_it_keeps_the_contract(square, make_problem, label, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(10, rng), valley)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    acquisition = registry.acquisition("knowledge_gradient")
    assert check_acquisition(acquisition, problem, model, dataset, square.sample(12, rng)) == []
