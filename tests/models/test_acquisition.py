"""Acquisition functions against closed forms and BoTorch's own."""

import math

import numpy as np
import pytest
import torch
from botorch.acquisition.active_learning import qNegIntegratedPosteriorVariance
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from gpytorch.kernels import ConstantKernel, MaternKernel, RBFKernel, ScaleKernel
from scipy.stats import norm

from theoros.models import registry
from theoros.models.acquisition.integrated_variance import IntegratedVariance, mean_variance
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.ucb import UpperConfidenceBound
from theoros.models.checks import check_acquisition
from theoros.models.data import OutcomeConstraint, Point, Prediction
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.random_forest import RandomForest
from theoros.oracles.spaces import Parameters, Real


def wave(data):
    return math.sin(9 * data["x"]) + math.cos(7 * data["y"])


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def fitted(square, make_problem, label, rng):
    """(problem, model, dataset, new candidates) of a maximisation."""
    problem = make_problem(square)
    dataset = label(problem, square.sample(10, rng), wave)
    return problem, GaussianProcess(outcome="plain").fit(problem, dataset, seed=0), dataset, square.sample(50, rng)


def botorch_twin(model):
    """The same posterior as a BoTorch model in standardised units."""
    own = model.models[0].posterior
    base = RBFKernel(ard_num_dims=2) if own.kernel.family == "rbf" else MaternKernel(2.5, ard_num_dims=2)
    scaled, constant = ScaleKernel(base), ConstantKernel()
    base.lengthscale, scaled.outputscale = own.kernel.length_scales, own.kernel.output_scale
    constant.constant = torch.tensor(own.kernel.constant, dtype=torch.float64)
    twin = SingleTaskGP(
        own.X,
        own.Y,
        train_Yvar=own.noise.unsqueeze(-1),
        covar_module=(scaled + constant).double(),
        mean_module=own.mean,
        outcome_transform=None,
    )
    return twin.eval()


def expected_improvement(mean, std, best):
    u = (mean - best) / std
    return std * (u * norm.cdf(u) + norm.pdf(u))


@pytest.mark.parametrize("maximize", [True, False])
def test_log_ei_is_analytic_ei_when_nothing_is_pending(square, make_problem, label, at, rng, maximize):
    problem = make_problem(square, maximize=maximize)
    dataset = label(problem, square.sample(10, rng), wave)
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = square.sample(50, rng)
    prediction = model.predict(at(problem, new))
    sign = 1 if maximize else -1
    expected = expected_improvement(sign * prediction.mean[:, 0], prediction.std[:, 0], (sign * dataset.values).max())
    score = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)(new)
    scale = model.models[0].scale[-1]
    visible = expected > 1e-12
    assert visible.sum() > 10
    assert np.allclose(np.exp(score[visible]) * scale, expected[visible], rtol=1e-6)


def test_log_ei_with_pending_points_is_botorchs_noisy_ei(fitted):
    problem, model, dataset, new = fitted
    pending = [Point(candidate, problem.target) for candidate in new[:3]]
    own = LogExpectedImprovement(samples=1024).scorer(problem, model, dataset, pending, seed=0)(new[3:])
    reference = qLogNoisyExpectedImprovement(
        botorch_twin(model),
        model.encode([p.candidate for p in dataset.points]),
        sampler=SobolQMCNormalSampler(torch.Size([1024]), seed=0),
        X_pending=model.encode(new[:3]),
        fat=False,
        tau_max=1e-4,
        tau_relu=1e-8,
        prune_baseline=False,
    )
    with torch.no_grad():
        expected = reference(model.encode(new[3:]).unsqueeze(-2)).numpy()
    likely = expected > np.log(1e-2)  # below, Monte Carlo over f(x) itself has too few samples to see
    assert likely.sum() > 5
    assert np.allclose(own[likely], expected[likely], atol=0.1)
    assert np.corrcoef(own[likely], expected[likely])[0, 1] > 0.99


@pytest.mark.parametrize("name", ["log_ei", "ucb", "std", "integrated_variance"])
def test_a_pending_point_makes_its_surroundings_worth_less(fitted, square, name):
    problem, model, dataset, new = fitted
    acquisition = registry.acquisition(name)
    free = acquisition.scorer(problem, model, dataset, [], seed=0)
    best = new[int(np.argmax(free(new)))]
    beside = square.candidate({"x": min(best.data["x"] + 1e-3, 1.0), "y": best.data["y"]})
    taken = acquisition.scorer(problem, model, dataset, [Point(best, problem.target)], seed=0)
    assert taken([beside])[0] < free([beside])[0] - 1e-3


def test_improvement_is_sought_where_constraints_hold(square, make_problem, label, at, rng):
    problem = make_problem(square, outputs=("y", "risk"), constraints=(OutcomeConstraint("risk", "<=", 0.5),))
    dataset = label(problem, square.sample(25, rng), lambda d: d["x"], lambda d: d["x"])
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = square.sample(400, rng)
    for name in ("log_ei", "ucb"):
        best = new[int(np.argmax(registry.acquisition(name).scorer(problem, model, dataset, [], seed=0)(new)))]
        assert 0.4 < best.data["x"] < 0.56


def test_feasibility_is_sought_first_while_nothing_is_feasible(make_problem, label, rng):
    space = Parameters(x=Real(0, 1))
    problem = make_problem(space, outputs=("y", "risk"), constraints=(OutcomeConstraint("risk", ">=", 0.8),))
    left = [space.candidate({"x": x}) for x in (0.0, 0.1, 0.2, 0.3, 0.4)]
    dataset = label(problem, left, lambda d: -d["x"], lambda d: d["x"])
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = space.sample(200, rng)
    score = LogExpectedImprovement().scorer(problem, model, dataset, [], seed=0)
    assert new[int(np.argmax(score(new)))].data["x"] > 0.7


def test_noisy_labels_do_not_fool_the_incumbent(make_problem, label, rng):
    """With noise, a lucky label is not the best value: noisy EI differs from EI over the luckiest label."""
    space = Parameters(x=Real(0, 1))
    noisy = make_problem(space, deterministic=False)
    dataset = label(noisy, space.sample(40, rng), lambda d: math.sin(6 * d["x"]) + 0.5 * rng.standard_normal())
    model = GaussianProcess(outcome="plain").fit(noisy, dataset, seed=0)
    peak = [space.candidate({"x": math.pi / 12})]
    honest = LogExpectedImprovement().scorer(noisy, model, dataset, [], seed=0)(peak)
    fooled = LogExpectedImprovement().scorer(make_problem(space), model, dataset, [], seed=0)(peak)
    assert honest[0] > fooled[0] + 0.5


def test_ucb_is_mean_plus_root_beta_deviations(fitted, at):
    problem, model, dataset, new = fitted
    score = UpperConfidenceBound(beta=4.0).scorer(problem, model, dataset, [], seed=0)(new)
    prediction, own = model.predict(at(problem, new)), model.models[0]
    expected = (prediction.mean[:, 0] + 2 * prediction.std[:, 0] - own.offset[-1]) / own.scale[-1]
    assert np.allclose(score, expected)


def test_integrated_variance_ranks_as_botorch_does(make_problem, label, square, rng):
    problem = make_problem(square, goal="learn", deterministic=False)
    dataset = label(problem, square.sample(10, rng), wave)
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = square.sample(30, rng)
    own = IntegratedVariance(references=64).build(problem, model, dataset, [], seed=0)
    twin = botorch_twin(model)
    reference = qNegIntegratedPosteriorVariance(twin, mc_points=own.references)
    with torch.no_grad():
        # BoTorch's fantasies carry the mean noise of the training labels, which is the model's own.
        expected = mean_variance(own) + reference(model.encode(new).unsqueeze(-2))
        got = own(model.encode(new).unsqueeze(-2))
    assert torch.allclose(got, expected, atol=1e-7, rtol=1e-3)


def test_a_label_lowers_the_integrated_variance_by_what_was_promised(make_problem, label, join, square, rng):
    problem = make_problem(square, goal="learn")
    dataset = label(problem, square.sample(12, rng), wave)
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    new = square.sample(100, rng)
    acquisition = IntegratedVariance().build(problem, model, dataset, [], seed=0)
    with torch.no_grad():
        promised = acquisition(model.encode(new).unsqueeze(-2))
    best = new[int(promised.argmax())]
    after = IntegratedVariance().build(problem, model, dataset, [Point(best, problem.target)], seed=0)
    drop = mean_variance(acquisition) - mean_variance(after)
    assert drop == pytest.approx(float(promised.max()), rel=0.02)


def test_a_batch_to_learn_from_is_what_one_choice_after_another_would_be(make_problem, label, square, rng):
    """Greedy picks over the same references, each pending for the next."""
    problem = make_problem(square, goal="learn")
    dataset = label(problem, square.sample(12, rng), wave)
    model, new = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0), square.sample(60, rng)
    acquisition = IntegratedVariance()
    picks = acquisition.batch(problem, model, dataset, [], new, 6, seed=0)
    pending = []
    for pick in picks:
        values = acquisition.scorer(problem, model, dataset, pending, seed=0)(new)
        values[[new.index(point.candidate) for point in pending]] = -np.inf
        assert pick.value == pytest.approx(values.max(), rel=1e-3)
        assert values[pick.place] == pytest.approx(values.max(), rel=1e-3)
        pending.append(Point(new[pick.place], problem.target))


def test_thompson_chooses_candidates_as_often_as_they_are_best(fitted):
    problem, model, dataset, new = fitted
    thompson = registry.acquisition("thompson")
    picks = [int(np.argmax(thompson.scorer(problem, model, dataset, [], seed=s)(new[:8]))) for s in range(400)]
    inputs = model.encode(new[:8])
    best = model.models[0].posterior.sample(inputs, 4096, seed=1).argmax(0)
    shares = np.bincount(best.numpy(), minlength=8) / 4096
    assert np.abs(np.bincount(picks, minlength=8) / 400 - shares).max() < 0.08


@pytest.fixture
def forest(square, make_problem, label, rng):
    """(problem, model, dataset, new candidates): a random forest, which offers no posterior."""
    problem = make_problem(square)
    dataset = label(problem, square.sample(60, rng), wave)
    return problem, RandomForest().fit(problem, dataset, seed=0), dataset, square.sample(80, rng)


#: Every acquisition for optimisation that a random forest can serve.
FOR_ONE_OUTPUT = [
    name
    for name, entry in registry.ACQUISITIONS.items()
    if entry.goals - {"pareto", "desirability"} and "generative" not in entry.needs
]
FOREST_ACQUISITIONS = [
    name
    for name, entry in registry.ACQUISITIONS.items()
    if entry.needs <= registry.SURROGATES["random_forest"].provides
]


def test_a_forest_serves_all_that_need_no_posterior():
    assert set(FOREST_ACQUISITIONS) >= {"ei", "ucb", "thompson", "greedy", "std", "epig", "bald", "committee", "random"}


@pytest.mark.parametrize("name", FOREST_ACQUISITIONS)
def test_they_keep_the_contract_on_a_forest(forest, name):
    problem, model, dataset, new = forest
    assert check_acquisition(registry.acquisition(name), problem, model, dataset, new) == []


@pytest.mark.parametrize("maximize", [True, False])
def test_ei_is_the_closed_form_of_a_forests_mean_and_deviation(square, make_problem, label, at, rng, maximize):
    problem = make_problem(square, maximize=maximize)
    dataset = label(problem, square.sample(60, rng), wave)
    model, new = RandomForest().fit(problem, dataset, seed=0), square.sample(80, rng)
    prediction, sign = model.predict(at(problem, new)), 1 if maximize else -1
    expected = expected_improvement(sign * prediction.mean[:, 0], prediction.std[:, 0], (sign * dataset.values).max())
    score = registry.acquisition("ei").scorer(problem, model, dataset, [], seed=0)(new)
    visible = expected > 1e-9
    assert visible.sum() > 10
    assert np.allclose(np.exp(score[visible]) * dataset.values.std(), expected[visible], rtol=1e-6)


def test_ei_with_a_gaussian_process_is_log_ei_without_pending_points(fitted):
    problem, model, dataset, new = fitted
    ours, theirs = (registry.acquisition(n).scorer(problem, model, dataset, [], seed=0)(new) for n in ("ei", "log_ei"))
    assert np.ptp((ours - theirs)[theirs > -20]) < 1e-6  # a constant: their units differ


def test_greedy_takes_the_best_means(forest, at):
    problem, model, dataset, new = forest
    picks = registry.acquisition("greedy").batch(problem, model, dataset, [], new, 5, seed=0)
    assert [pick.place for pick in picks] == np.argsort(-model.predict(at(problem, new)).mean[:, 0])[:5].tolist()


@pytest.mark.parametrize("name", ["ei", "ucb", "thompson", "greedy"])
def test_constraints_are_kept_with_a_forest_too(square, make_problem, label, rng, name):
    problem = make_problem(square, outputs=("y", "risk"), constraints=(OutcomeConstraint("risk", "<=", 0.5),))
    dataset = label(problem, square.sample(400, rng), lambda d: d["x"], lambda d: d["x"])
    model, new = RandomForest().fit(problem, dataset, seed=0), square.sample(400, rng)
    best = new[int(np.argmax(registry.acquisition(name).scorer(problem, model, dataset, [], seed=0)(new)))]
    assert 0.4 < best.data["x"] < 0.56


@pytest.mark.parametrize("surrogate", ["gp", "random_forest"])
def test_a_thompson_batch_finds_the_optimum_when_little_is_uncertain(square, make_problem, label, rng, surrogate):
    """One candidate in a hundred stands out, and all were labelled: it is the first pick of every seed."""
    problem = make_problem(square)
    candidates = square.sample(100, rng)
    best = max(range(100), key=lambda i: candidates[i].data["x"])
    peak = lambda d: d["x"] + 100 * (d["x"] == candidates[best].data["x"])  # noqa: E731
    smooth = lambda d: 10 * d["x"]  # noqa: E731
    dataset = label(problem, candidates, smooth if surrogate == "gp" else peak)
    model = registry.surrogate(surrogate).fit(problem, dataset, seed=0)
    thompson = registry.acquisition("thompson")
    picks = [thompson.batch(problem, model, dataset, [], candidates, 3, seed=seed) for seed in range(20)]
    share = np.mean([best in [pick.place for pick in batch] for batch in picks])
    assert share >= 0.95


def test_a_thompson_batch_picks_candidates_as_often_as_they_are_best(fitted):
    problem, model, dataset, new = fitted
    thompson = registry.acquisition("thompson")
    first = [thompson.batch(problem, model, dataset, [], new[:8], 2, seed=s)[0].place for s in range(300)]
    paths = model.paths("y", "truth", 4096, seed=1)(new[:8])
    shares = np.bincount(paths.argmax(1), minlength=8) / 4096
    assert np.abs(np.bincount(first, minlength=8) / 300 - shares).max() < 0.09


def test_a_large_thompson_batch_is_of_many_minds(forest):
    problem, model, dataset, new = forest
    picks = registry.acquisition("thompson").batch(problem, model, dataset, [], new, 60, seed=0)
    assert len({pick.place for pick in picks}) == 60
    ranks = np.argsort(np.argsort(-registry.acquisition("greedy").scorer(problem, model, dataset, [], seed=0)(new)))
    taken = ranks[[pick.place for pick in picks[:10]]]
    assert sorted(taken) != list(range(10))  # the ten best means are what greed would take
    assert taken.mean() < 25


def test_one_thompson_scorer_is_one_function(fitted):
    problem, model, dataset, new = fitted
    score = registry.acquisition("thompson").scorer(problem, model, dataset, [], seed=3)
    first = score(new[:10])
    score(new[10:])
    assert np.array_equal(score(new[:10]), first)


def test_uncertainty_sampling_works_with_any_surrogate_that_has_a_deviation(square, make_problem, label, rng):
    class Foreign:
        name, n_labels, fell_back, message = "foreign", 3, False, ""

        def predict(self, points):
            spread = np.array([[point.candidate.data["x"]] for point in points]).reshape(-1, 1)
            return Prediction(("y",), np.zeros_like(spread), spread, np.zeros_like(spread))

        def hyperparameters(self):
            return {}

    problem = make_problem(square, goal="learn")
    new = square.sample(5, rng)
    dataset = label(problem, new, wave)
    score = registry.acquisition("std").scorer(problem, Foreign(), dataset, [], seed=0)
    assert score(new).tolist() == [candidate.data["x"] for candidate in new]
    with pytest.raises(TypeError, match="offers no posterior"):
        registry.acquisition("log_ei").scorer(problem, Foreign(), dataset, [], seed=0)


@pytest.mark.parametrize("name", FOR_ONE_OUTPUT)
def test_every_acquisition_keeps_the_contract(fitted, name):
    problem, model, dataset, new = fitted
    assert check_acquisition(registry.acquisition(name), problem, model, dataset, new[:20]) == []


@pytest.mark.parametrize("name", FOR_ONE_OUTPUT)
def test_every_acquisition_works_over_two_fidelities(square, make_problem, label, join, rng, name):
    problem = make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    dataset = join(
        label(problem, square.sample(8, rng), wave, fidelity="cheap"), label(problem, square.sample(5, rng), wave)
    )
    model = GaussianProcess(outcome="plain").fit(problem, dataset, seed=0)
    acquisition = registry.acquisition(name)
    assert check_acquisition(acquisition, problem, model, dataset, square.sample(10, rng)) == []
    cheap_pending = [Point(square.sample(1, rng)[0], "cheap")]
    assert np.isfinite(acquisition.scorer(problem, model, dataset, cheap_pending, seed=0)(square.sample(9, rng))).all()
