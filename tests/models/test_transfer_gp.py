"""A process that begins with what earlier campaigns learned: exact where that is known, no worse if they mislead."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from theoros.models import registry
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.checks import check_acquisition, check_proposer, check_surrogate
from theoros.models.contract import ProposalRequest
from theoros.models.data import Dataset, Earlier, LabelNoise, Point
from theoros.models.proposers.earlier_best import APART, INITIAL, EarlierBest, best_of_earlier
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.marginal import MarginalPosterior
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.transfer import TransferGaussianProcess
from theoros.models.surrogates.transfer_kernel import Share, TransferKernel, TransferMean
from theoros.models.surrogates.transfer_marginal import TransferPosterior
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real


def labelled(problem, function, n, seed):
    """Labels of random candidates."""
    candidates = problem.space.sample(n, np.random.default_rng(seed))
    values = np.array([[function(candidate.data)] for candidate in candidates])
    return Dataset(tuple(Point(candidate, problem.target) for candidate in candidates), problem.outputs, values)


@pytest.fixture
def problem(square, make_problem):
    return make_problem(square, maximize=False)


@pytest.fixture
def related(problem, branin):
    """The problem after two campaigns with functions that are nearly its own: moved a little, and scaled."""
    moved = labelled(problem, lambda p: branin({"x": p["x"] + 0.03, "y": p["y"]}) + 20, 25, 1)
    scaled = labelled(problem, lambda p: 0.7 * branin(p), 25, 2)
    return replace(problem, earlier=(Earlier("moved", moved), Earlier("scaled", scaled)))


@pytest.fixture
def unrelated(problem):
    """The problem after a campaign whose labels have nothing to do with it."""
    noise = labelled(problem, lambda p: 0.0, 25, 1)
    values = 50 + 50 * np.random.default_rng(5).standard_normal((25, 1))
    return replace(problem, earlier=(Earlier("noise", replace(noise, values=values)),))


def error(model, problem, function):
    """Root mean square error on a hundred candidates that no test learns from."""
    test = labelled(problem, function, 100, 99)
    return float(np.sqrt(np.mean((model.predict(test.points).mean - test.values) ** 2)))


def log_density(model, problem, function):
    """Mean log density of a hundred labels under the model's beliefs."""
    test = labelled(problem, function, 100, 99)
    prediction = model.predict(test.points)
    return float(norm(prediction.mean, np.maximum(prediction.label_std, 1e-3)).logpdf(test.values).mean())


def test_without_earlier_campaigns_it_is_the_process_of_the_labels_alone(problem, branin):
    dataset = labelled(problem, branin, 12, 3)
    own, plain = (
        s.fit(problem, dataset, seed=1).predict(dataset.points) for s in (TransferGaussianProcess(), GaussianProcess())
    )
    np.testing.assert_array_equal(own.mean, plain.mean)
    np.testing.assert_array_equal(own.std, plain.std)


@pytest.mark.parametrize("n", [3, 6, 12])
def test_related_campaigns_tell_more_than_as_many_labels(related, problem, branin, n):
    dataset = labelled(problem, branin, n, 3)
    with_them = TransferGaussianProcess().fit(related, dataset, seed=1)
    without = GaussianProcess().fit(problem, dataset, seed=1)
    assert error(with_them, problem, branin) < 0.5 * error(without, problem, branin)


@pytest.mark.parametrize("n", [3, 8, 20])
def test_an_unrelated_campaign_does_little_harm(unrelated, problem, branin, n):
    gains, errors = [], []
    for seed in (3, 4, 5):
        dataset = labelled(problem, branin, n, seed)
        misled = TransferGaussianProcess().fit(unrelated, dataset, seed=1)
        alone = GaussianProcess().fit(problem, dataset, seed=1)
        gains.append(log_density(misled, problem, branin) - log_density(alone, problem, branin))
        errors.append(error(misled, problem, branin) / error(alone, problem, branin))
    assert np.mean(gains) > -0.5
    assert np.mean(errors) < 1.25


def test_once_there_are_labels_enough_an_unrelated_campaign_has_no_weight_at_all(unrelated, problem, branin):
    dataset = labelled(problem, branin, 20, 3)
    model = TransferGaussianProcess().fit(unrelated, dataset, seed=1)
    assert model.hyperparameters()["y"]["learned_from"]["noise"] == {"labels": 25, "weight": 0.0}
    alone = GaussianProcess().fit(problem, dataset, seed=1).predict(dataset.points)
    np.testing.assert_array_equal(model.predict(dataset.points).mean, alone.mean)


def test_a_campaign_that_is_the_same_up_to_scale_gets_that_scale_as_its_weight(problem, branin):
    earlier = Earlier("double", labelled(problem, lambda p: 0.5 * branin(p), 60, 1))
    model = GaussianProcess(outcome="plain")
    assert model.outcome == "plain"
    fitted = TransferGaussianProcess().fit(
        replace(problem, earlier=(earlier,), deterministic=False), labelled(problem, branin, 10, 3), seed=1
    )
    told = fitted.hyperparameters()["y"]["learned_from"]["double"]
    assert told["labels"] == 60
    assert told["weight"] == pytest.approx(2.0, rel=0.1)


def kernel(length):
    """A kernel of two numbers with one length scale."""
    return ArdKernel("rbf", (0, 1), torch.full((2,), length, dtype=torch.float64), (), torch.zeros(0), 1.3)


def source_of(problem, function, n):
    """A source fitted to `n` labels, as a surrogate would have it."""
    model = TransferGaussianProcess().fit(
        replace(problem, earlier=(Earlier("one", labelled(problem, function, n, 1)),)),
        labelled(problem, function, 6, 8),
        seed=1,
    )
    (view, *_) = model.views["y"]
    return view.sources[0]


def test_conditioning_on_the_source_first_is_conditioning_on_both_at_once(problem, branin):
    source, own, weight = source_of(problem, branin, 9), kernel(0.4), 0.6
    posterior, scale = source.model.posterior, float(source.model.scale[0])
    rng = np.random.default_rng(1)
    X, x = (torch.from_numpy(rng.random((n, 2))) for n in (5, 4))
    y, noise = torch.from_numpy(rng.standard_normal((5, 1))), torch.full((5,), 1e-3, dtype=torch.float64)
    share = Share(source, weight / scale, weight / scale, 0.0, source.level)
    step = Posterior.of(TransferKernel(own, [share]), TransferMean([share]), X, y, noise)
    mean, variance = step.moments(x)
    # The joint prior of the source's labels, the campaign's labels, and the values that are asked for.
    everything = torch.cat([posterior.X, X, x])
    weights = torch.tensor([1.0] * 9 + [weight] * 9, dtype=torch.float64)
    joint = weights[:, None] * weights * posterior.kernel(everything)
    joint[9:, 9:] += own(everything[9:])
    joint[:9, :9] += torch.diag(posterior.noise)
    joint[9:14, 9:14] += torch.diag(noise)
    known, asked = joint[:14, :14], joint[14:, :14]
    solved = torch.linalg.solve(known, asked.T)
    expected = solved.T @ torch.cat([posterior.Y, y])
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(variance, torch.diag(joint[14:, 14:] - asked @ solved), rtol=1e-5, atol=1e-7)


def test_a_weight_that_is_not_known_is_a_regression_on_the_means_of_the_source(problem, branin):
    source, own = source_of(problem, branin, 9), kernel(0.4)
    share = Share(source, 0.0, 0.3, 0.5, 1.0)
    rng = np.random.default_rng(1)
    X, x = (torch.from_numpy(rng.random((n, 2))) for n in (5, 4))
    y, noise = torch.from_numpy(rng.standard_normal((5, 1))), torch.full((5,), 1e-3, dtype=torch.float64)
    mean, variance = Posterior.of(TransferKernel(own, [share]), TransferMean([share]), X, y, noise).moments(x)
    # Equations 2.41 and 2.42 of Rasmussen & Williams (2006), with one basis function.
    H, h = (source.mean(points)[None] - 1.0 for points in (X, x))
    K, k = own(X) + torch.diag(noise), own(X, x)
    R = h - H @ torch.linalg.solve(K, k)
    precision = H @ torch.linalg.solve(K, H.T) + 1 / 0.5**2
    weight = torch.linalg.solve(precision, H @ torch.linalg.solve(K, y) + 0.3 / 0.5**2)
    np.testing.assert_allclose(mean, k.T @ torch.linalg.solve(K, y) + R.T @ weight, rtol=1e-6, atol=1e-8)
    rest = own(x, diag=True) - (k * torch.linalg.solve(K, k)).sum(0)
    np.testing.assert_allclose(variance, rest + (R**2 / precision)[0], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("categories", [0, 2])
def test_the_gradient_of_the_marginal_posterior_is_that_of_its_value(categories):
    rng = np.random.default_rng(2)
    X, C = rng.random((10, 2)), rng.integers(0, 3, (10, categories)).astype(float)
    own = MarginalPosterior("matern", X, C, rng.standard_normal(10), Warp(), (-4.0, 1.0), 1e-8, fixed=rng.random(10))
    roots = rng.standard_normal((2, 10, 10))
    function = TransferPosterior(own, rng.standard_normal((2, 10)), roots @ roots.transpose(0, 2, 1) / 10)
    theta = function.starts()[0] + 0.2 * rng.standard_normal(len(function.starts()[0]))
    differences = [
        (function.value(theta + e)[0] - function.value(theta - e)[0]) / 2e-5 for e in 1e-5 * np.eye(len(theta))
    ]
    assert function.value(theta)[1] == pytest.approx(differences, rel=1e-5, abs=1e-6)


def test_moments_over_arrays_are_those_of_torch_and_so_are_their_gradients(related, problem, branin):
    model = TransferGaussianProcess().fit(related, labelled(problem, branin, 9, 3), seed=1).output("y")
    x = torch.from_numpy(np.random.default_rng(1).random((5, 2)))
    for posterior in (model.posterior, model.posterior.conditioned(x[:2], torch.ones(2, 3, dtype=torch.float64))):
        assert posterior.written_out is not None
        with torch.no_grad():
            plain = posterior.moments(x)
        written = posterior.moments(x.clone().requires_grad_())
        for ours, theirs in zip(written, plain, strict=True):
            torch.testing.assert_close(ours.detach(), theirs, rtol=1e-6, atol=1e-7)
        inputs = (x.clone().requires_grad_(),)
        assert torch.autograd.gradcheck(posterior.moments, inputs, rtol=1e-3, atol=1e-5)


def test_it_keeps_the_contract_of_surrogates_and_serves_expected_improvement(related, problem, branin):
    dataset = labelled(problem, branin, 9, 3)
    assert check_surrogate(TransferGaussianProcess(), related, dataset) == []
    model = TransferGaussianProcess().fit(related, dataset, seed=1)
    fresh = problem.space.sample(5, np.random.default_rng(8))
    assert check_acquisition(LogExpectedImprovement(), related, model, dataset, fresh) == []


def test_a_fitted_model_goes_to_another_process_and_predicts_the_same(related, problem, branin):
    model = TransferGaussianProcess().fit(related, labelled(problem, branin, 6, 3), seed=1)
    points = labelled(problem, branin, 5, 4).points
    model.output("y").posterior.moments(torch.rand(2, 2, dtype=torch.float64, requires_grad=True))
    there = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(there.predict(points).mean, model.predict(points).mean)


def test_categories_are_learned_from_too(mixed, make_problem):
    problem = make_problem(mixed)

    def function(data):
        return {"a": 0.0, "b": 3.0, "c": 1.0}[data["base"]] + data["v"]

    informed = replace(problem, earlier=(Earlier("one", labelled(problem, function, 60, 1)),))
    dataset = labelled(problem, function, 6, 3)
    with_it = TransferGaussianProcess().fit(informed, dataset, seed=1)
    without = GaussianProcess().fit(problem, dataset, seed=1)
    assert error(with_it, problem, function) < 0.5 * error(without, problem, function)


def test_the_sources_are_fitted_once_while_no_label_is_better_than_theirs(related, problem, branin):
    dataset = labelled(problem, lambda p: branin(p) + 500, 8, 3)
    first = TransferGaussianProcess().fit(related, dataset, seed=1)
    shorter = Dataset(dataset.points[:7], dataset.outputs, dataset.values[:7])
    again = TransferGaussianProcess().fit(related, shorter, seed=1, previous=first)
    assert first.views["y"]
    assert all(a is b for a, b in zip(first.views["y"], again.views["y"], strict=True))


def test_the_first_candidates_are_the_best_of_earlier_campaigns_in_turn(related):
    first, second = (earlier.dataset for earlier in related.earlier)
    chosen = best_of_earlier(related)
    assert len(chosen) == INITIAL
    assert chosen[0] == first.points[int(first.values.argmin())].candidate
    assert chosen[1] == second.points[int(second.values.argmin())].candidate
    places = np.array([[c.data["x"], c.data["y"]] for c in chosen])
    for i in range(len(places)):
        assert all(np.abs(places[i] - places[j]).max() > APART for j in range(i))


def test_what_this_campaign_may_not_ask_is_not_proposed(related):
    narrow = replace(related, space=Parameters(x=Real(0, 0.5), y=Real(0, 0.5)))
    assert all(c.data["x"] <= 0.5 and c.data["y"] <= 0.5 for c in best_of_earlier(narrow))
    vetoed = replace(related, feasible=lambda candidate: candidate.data["x"] > 0.6)
    asked = EarlierBest().propose(ProposalRequest(vetoed, 4, 1, frozenset()))
    assert len(asked) == 4
    assert all(candidate.data["x"] > 0.6 for candidate in asked)


def test_a_design_follows_the_best(related, problem):
    assert check_proposer(EarlierBest(), related) == []
    assert len(EarlierBest().propose(ProposalRequest(problem, 5, 1, frozenset()))) == 5
    seen = frozenset(candidate.hash for candidate in best_of_earlier(related))
    assert not seen & {c.hash for c in EarlierBest().propose(ProposalRequest(related, 5, 1, seen))}


def test_labels_outside_the_space_are_learned_from(problem, branin):
    far = [Candidate("parameters", {"x": 1.2, "y": v}) for v in np.linspace(0, 1, 6)]
    values = np.array([[branin(c.data)] for c in far])
    outside = Earlier("far", Dataset(tuple(Point(c, "truth") for c in far), ("y",), values))
    model = TransferGaussianProcess().fit(replace(problem, earlier=(outside,)), labelled(problem, branin, 5, 3), seed=1)
    assert model.hyperparameters()["y"]["learned_from"]["far"]["labels"] == 6
    assert model.message == ""


def test_known_errors_of_labels_are_known_here_too(related, problem, branin):
    rng = np.random.default_rng(4)
    dataset = labelled(problem, branin, 15, 3)
    dataset = replace(dataset, values=dataset.values + 8 * rng.standard_normal(dataset.values.shape))
    told = replace(related, deterministic=False, noise=(LabelNoise("y", 8.0),))
    model = TransferGaussianProcess().fit(told, dataset, seed=1)
    prediction = model.predict(dataset.points)
    assert prediction.noise == pytest.approx(8.0, rel=0.3)
    assert error(model, problem, branin) < 15


def test_rows_of_a_table_are_learned_from_and_asked_again(table_library, make_problem):
    problem = make_problem(table_library)

    def function(data):
        return float(data["size"]) + 3 * (data["colour"] == "b")

    known = labelled(problem, function, 30, 1)
    elsewhere = Candidate("parameters", {"size": 99.0, "colour": "a"})
    first = Dataset((*known.points, Point(elsewhere, "truth")), ("y",), np.append(known.values, [[102.0]], axis=0))
    informed = replace(problem, earlier=(Earlier("table", first),))
    (best, *_) = EarlierBest().propose(ProposalRequest(informed, 3, 1, frozenset()))
    assert best == known.points[int(known.values.argmax())].candidate
    dataset = labelled(problem, function, 4, 3)
    with_it = TransferGaussianProcess().fit(informed, dataset, seed=1)
    without = GaussianProcess().fit(problem, dataset, seed=1)
    assert error(with_it, problem, function) < 0.5 * error(without, problem, function)


def test_its_name_is_known():
    assert registry.surrogate("transfer_gp").name == "transfer_gp"
    assert registry.proposer("earlier_best").name == "earlier_best"
