"""Twins of processes whose distribution is known: means, noise, shape, ignorance, and the contract."""

import importlib
import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from theoros.models import registry
from theoros.models.checks import check_acquisition, check_surrogate
from theoros.models.data import Dataset, Point
from theoros.models.twins.training import Training, blind_to
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real

NAMES = ["cvae", "cgan", "conditional_flow", "flow_matching"]
TINY = Training(members=3, steps=(20, 20))
#: Correlation of the two outputs' noise.
TIED = 0.8


def twin(name, training=TINY, **options):
    module, _, cls = registry.SURROGATES[name].path.partition(":")
    return getattr(importlib.import_module(module), cls)(training=training, **options)


def points(x):
    return tuple(Point(Candidate("parameters", {"x": float(value)}), "truth") for value in x)


@pytest.fixture(scope="module")
def line():
    return Parameters(x=Real(-2, 2))


def spread(x):
    """The first output's standard deviation."""
    return 0.3 + 0.1 * x


@pytest.fixture(scope="module")
def linear(line, make_problem):
    """(problem, dataset): ``y = x`` with growing noise, ``z = 10 - 5 x`` with noise tied to it; no label beyond 1."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 1, 500)
    noise = rng.multivariate_normal([0, 0], [[1, TIED], [TIED, 1]], 500)
    values = np.stack([x + spread(x) * noise[:, 0], 10 - 5 * x + noise[:, 1]], 1)
    problem = make_problem(line, goal="learn", outputs=("y", "z"), deterministic=False)
    return problem, Dataset(points(x), ("y", "z"), values)


@pytest.fixture(scope="module")
def fitted(linear):
    """Every family, fitted to the linear process."""
    training = Training(members=3, steps=(300, 300))
    return {name: twin(name, training).fit(*linear, seed=0) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_means_and_noise_of_a_linear_process_are_recovered(fitted, name):
    x = np.linspace(-1.8, 0.8, 30)
    prediction = fitted[name].predict(points(x))
    assert np.abs(prediction.mean[:, 0] - x).max() < 0.12
    assert np.abs(prediction.mean[:, 1] - (10 - 5 * x)).max() < 0.7
    assert np.mean(prediction.noise[:, 0] / spread(x)) == pytest.approx(1.0, abs=0.15)
    assert np.mean(prediction.noise[:, 1]) == pytest.approx(1.0, abs=0.15)
    assert prediction.noise[-5:, 0].mean() > 1.7 * prediction.noise[:5, 0].mean()


def test_a_member_that_is_blind_to_all_whole_answers_learns_their_shape_all_the_same(line, make_problem):
    """Two places, asked forty times each, of which one lacks an output: some member sees that place alone."""
    problem = make_problem(line, goal="learn", outputs=("y", "z"), deterministic=False)
    values = np.random.default_rng(0).normal(size=(80, 2))
    values[40:, 1] = np.nan
    places = points([-1.0] * 40 + [1.0] * 40)
    training = Training(members=8, steps=(20, 20))
    whole, lacking = blind_to([places[0].candidate, places[-1].candidate] * 8, 8, training.folds)[:, :2].T
    assert (whole & ~lacking).any()
    assert not twin("cvae", training).fit(problem, Dataset(places, ("y", "z"), values), seed=0).fell_back


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_moments_that_are_predicted_and_are_tied_as_the_outputs_are(fitted, name):
    x = np.array([-1.0, 0.0, 0.5])
    drawn, prediction = fitted[name].sample(points(x), 3_000, seed=1), fitted[name].predict(points(x))
    assert drawn.shape == (3, 3_000, 3, 2)
    assert np.allclose(drawn.mean((0, 1)), prediction.mean, atol=0.35 * prediction.noise.min(0))
    assert np.allclose(drawn.std(1).mean(0), prediction.noise, rtol=0.25)
    for place in range(3):
        assert np.corrcoef(drawn[0, :, place].T)[0, 1] == pytest.approx(TIED, abs=0.15)


@pytest.mark.parametrize("name", ["cvae", "conditional_flow", "flow_matching"])
def test_the_log_density_is_the_process_own_in_the_outputs_units(fitted, name):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1.5, 0.7, 60)
    std = np.stack([spread(x), np.ones(60)], 1)
    tied = multivariate_normal([0, 0], [[1, TIED], [TIED, 1]])
    noise = tied.rvs(60, random_state=rng)
    values = np.stack([x, 10 - 5 * x], 1) + std * noise
    mine = np.logaddexp.reduce(fitted[name].log_prob(points(x), values)) - np.log(fitted[name].members)
    assert -0.05 < np.mean(tied.logpdf(noise) - np.log(std).sum(1) - mine) < 0.25


def test_a_generator_without_a_density_says_so(fitted):
    assert fitted["cgan"].log_prob(points([0.0]), np.array([[0.0, 10.0]])) is None


@pytest.mark.parametrize("name", NAMES)
def test_members_differ_where_there_are_no_labels(fitted, name):
    inside, outside = fitted[name].predict(points([-0.5, 0.0])), fitted[name].predict(points([1.8, 2.0]))
    assert (outside.std.mean(0) > 2.5 * inside.std.mean(0)).all()


def test_density_of_a_missing_answer_is_missing(fitted):
    density = fitted["conditional_flow"].log_prob(points([0.0, 0.0]), np.array([[0.0, 10.0], [np.nan, 10.0]]))
    assert np.isfinite(density[:, 0]).all()
    assert np.isnan(density[:, 1]).all()


def test_more_points_than_fit_in_one_pass_are_answered_as_few_are(fitted):
    x = np.linspace(-2, 1, 60)
    many = points(np.tile(x, 200))
    model = fitted["cvae"]
    assert np.allclose(model.predict(many).mean[:60], model.predict(points(x)).mean)
    assert np.isfinite(model.sample(many, 2, seed=0)).all()


def test_paths_have_the_moments_that_are_predicted(fitted):
    x = np.array([-1.0, 0.3, 1.5])
    candidates = [point.candidate for point in points(x)]
    drawn = fitted["cvae"].paths("z", "truth", 4_000, seed=0)(candidates)
    prediction = fitted["cvae"].predict(points(x))
    assert np.allclose(drawn.mean(0), prediction.mean[:, 1], atol=0.1 * prediction.std[:, 1].max())
    assert np.allclose(drawn.std(0), prediction.std[:, 1], rtol=0.08)
    with pytest.raises(KeyError, match="the model has no output 'q'; it has \\['y', 'z'\\]"):
        fitted["cvae"].paths("q", "truth", 1, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_extrapolation_is_known_to_be_one(fitted, name):
    taught, beyond = (fitted[name].predict(points(x)).std for x in (np.linspace(-2, 1, 20), np.array([3.0, 4.0])))
    assert (beyond.min(0) > 3 * taught.max(0)).all()


def test_a_fitted_twin_travels_between_processes(fitted):
    for model in fitted.values():
        other = pickle.loads(pickle.dumps(model))
        assert np.array_equal(other.sample(points([0.0]), 5, seed=3), model.sample(points([0.0]), 5, seed=3))


@pytest.mark.parametrize("name", NAMES)
def test_draws_at_a_point_do_not_depend_on_the_points_asked_beside_it(fitted, name):
    together = fitted[name].sample(points([-1.0, 0.0, 0.5]), 4, seed=3)
    assert np.allclose(fitted[name].sample(points([0.0]), 4, seed=3)[:, :, 0], together[:, :, 1])
    assert not np.allclose(together[:, :, 0, 1] - 5, together[:, :, 1, 1], atol=0.1)  # the noise is each point's own


@pytest.mark.parametrize("name", NAMES)
def test_an_acquisition_that_draws_answers_keeps_its_laws_on_them(fitted, linear, line, name):
    candidates = line.sample(12, np.random.default_rng(5))
    acquisition = registry.acquisition("distribution_distance")
    assert check_acquisition(acquisition, linear[0], fitted[name], linear[1], candidates) == []


def test_two_fits_with_one_seed_draw_the_same_and_two_seeds_do_not(linear):
    first, again, other = (twin("cgan").fit(*linear, seed=seed).sample(points([0.0]), 4, seed=1) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_version_does_not_depend_on_the_one_before(linear, fitted):
    training = Training(members=3, steps=(40, 40))
    x = points(np.linspace(-1.5, 0.8, 20))
    fresh, later = (twin("cvae", training).fit(*linear, seed=1, previous=last) for last in (None, fitted["cvae"]))
    assert np.array_equal(later.predict(x).mean, fresh.predict(x).mean)


def test_two_modes_are_drawn_where_a_normal_distribution_would_fill_the_middle(line, make_problem):
    """Labels lie near 1 and near -1; of a normal distribution's draws 38 % would lie within 1/2 of the middle."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 500)
    values = (rng.choice([-1.0, 1.0], 500) + 0.1 * rng.standard_normal(500))[:, None]
    problem = make_problem(line, goal="learn", deterministic=False)
    middle, upper = {}, {}
    for name, steps in (("conditional_flow", 200), ("flow_matching", 800), ("cvae", 500)):
        model = twin(name, Training(members=3, steps=(steps, steps))).fit(
            problem, Dataset(points(x), ("y",), values), seed=0
        )
        drawn = model.sample(points([-1.0, 0.0, 1.0]), 2_000, seed=1)
        middle[name], upper[name] = np.mean(np.abs(drawn) < 0.5), np.mean(drawn > 0)
    assert middle["conditional_flow"] < 0.06
    assert middle["flow_matching"] < 0.2
    assert middle["cvae"] < 0.25
    assert np.allclose(list(upper.values()), 0.5, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(mixed, make_problem, label, name):
    problem = make_problem(mixed, outputs=("y", "z"), deterministic=False)
    dataset = label(problem, mixed.sample(40, np.random.default_rng(0)), lambda d: d["v"], lambda d: d["n"] ** 2)
    assert check_surrogate(twin(name), problem, dataset) == []


def test_it_keeps_the_contract_over_molecules_and_fidelities(molecules, smiles_candidates, make_problem, label, join):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    length = lambda d: float(len(d["smiles"]))  # noqa: E731
    cheap = label(problem, smiles_candidates[:20], length, fidelity="cheap")
    dataset = join(cheap, label(problem, smiles_candidates[:9], length))
    assert check_surrogate(twin("flow_matching"), problem, dataset) == []


def test_outputs_that_never_come_together_are_each_learned(line, make_problem):
    x = np.random.default_rng(0).uniform(-2, 2, 200)
    values = np.where(np.arange(200)[:, None] % 2 == [0, 1], np.stack([x, -x], 1), np.nan)
    problem = make_problem(line, outputs=("y", "z"))
    model = twin("cvae", Training(members=3, steps=(200, 200))).fit(
        problem, Dataset(points(x), ("y", "z"), values), seed=0
    )
    assert np.allclose(model.predict(points([1.0])).mean, [[1.0, -1.0]], atol=0.2)
    assert [own["labels"] for own in model.hyperparameters().values()] == [100, 100]


def test_training_that_goes_astray_leaves_the_last_good_twin(linear, monkeypatch):
    problem, dataset = linear
    good = twin("cvae").fit(problem, dataset, seed=0)

    def astray(*_, **__):
        raise ArithmeticError("the networks' weights are not finite")

    monkeypatch.setattr("theoros.models.twins.ensemble.train_members", astray)
    again = twin("cvae").fit(problem, dataset, seed=1, previous=good)
    alone = twin("cvae").fit(problem, dataset, seed=1)
    assert (again.fell_back, again.message) == (True, "training failed (the networks' weights are not finite)")
    assert np.array_equal(again.predict(points([0.0])).mean, good.predict(points([0.0])).mean)
    assert alone.fell_back
    assert alone.predict(points([0.0])).std[0] == pytest.approx(np.nanstd(dataset.values, axis=0, ddof=1))
