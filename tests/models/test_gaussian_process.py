"""What the Gaussian processes believe, and what they do when a fit fails."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

from theoros.models.checks import check_surrogate
from theoros.models.data import Dataset, Point
from theoros.models.feasibility import SUCCEEDS, problem_of
from theoros.models.surrogates import fitting, marginal
from theoros.models.surrogates.gaussian_process import GaussianProcess, TanimotoGaussianProcess
from theoros.oracles.spaces import Parameters, Real


def smooth(data):
    return math.sin(3 * data["x"]) + data["y"] ** 2


def carbons(data):
    return float(data["smiles"].upper().count("C"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_it_recovers_a_smooth_function_and_interpolates_its_labels(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(40, rng), smooth)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    new = square.sample(300, rng)
    prediction = model.predict(at(problem, new))
    truth = np.array([smooth(candidate.data) for candidate in new])
    known = model.predict(dataset.points)
    assert np.abs(prediction.mean[:, 0] - truth).max() < 0.02
    assert np.abs(known.mean - dataset.values).max() < 2e-3
    assert known.std.max() < 0.01 < model.predict(at(problem, new)).std.max() + 0.01


def test_uncertainty_is_honest_on_draws_from_its_own_prior(make_problem):
    """A function drawn from the kernel's own family lies in the 90 % interval about nine times in ten."""
    space = Parameters(x=Real(0, 1))
    problem = make_problem(space)
    inside, total = 0, 0
    for seed in range(6):
        draw = np.random.default_rng(seed)
        weights, phases = draw.standard_normal(60), draw.uniform(0, 2 * np.pi, 60)
        frequencies = draw.standard_normal(60) / 0.15
        f = lambda x: math.sqrt(2 / 60) * float(np.sum(weights * np.cos(frequencies * x + phases)))  # noqa: B023, E731
        candidates = space.sample(10, draw)
        dataset = Dataset(
            tuple(Point(c, "truth") for c in candidates), ("y",), np.array([[f(c.data["x"])] for c in candidates])
        )
        new = space.sample(100, draw)
        prediction = GaussianProcess().fit(problem, dataset, seed=0).predict([Point(c, "truth") for c in new])
        error = np.abs(prediction.mean[:, 0] - [f(c.data["x"]) for c in new])
        inside += int((error <= 1.645 * prediction.std[:, 0] + 1e-6).sum())
        total += len(new)
    assert 0.75 < inside / total <= 1.0


def test_noise_is_learned_when_the_oracle_is_noisy(square, make_problem, label, rng):
    problem = make_problem(square, deterministic=False)
    dataset = label(problem, square.sample(80, rng), lambda d: smooth(d) + 0.3 * rng.standard_normal())
    model = GaussianProcess().fit(problem, dataset, seed=0)
    scale = model.hyperparameters()["y"]["scale"]["truth"]
    assert math.sqrt(model.hyperparameters()["y"]["noise_variance"]) * scale == pytest.approx(0.3, rel=0.35)


def test_an_irrelevant_parameter_gets_a_longer_length_scale(make_problem, label, rng):
    space = Parameters(x=Real(0, 1), idle=Real(0, 1))
    problem = make_problem(space)
    model = GaussianProcess().fit(
        problem, label(problem, space.sample(30, rng), lambda d: math.sin(6 * d["x"])), seed=0
    )
    scales = model.hyperparameters()["y"]["length_scales"]
    assert scales["idle"] > 5 * scales["x"]


def test_categories_and_integers_are_learned(mixed, make_problem, label, at, rng):
    problem = make_problem(mixed)
    f = lambda d: {"a": 0.0, "b": 2.0, "c": -1.0}[d["base"]] + 0.3 * d["n"] + math.log10(d["t"])  # noqa: E731
    model = GaussianProcess().fit(problem, label(problem, mixed.sample(80, rng), f), seed=0)
    new = mixed.sample(200, rng)
    error = model.predict(at(problem, new)).mean[:, 0] - [f(c.data) for c in new]
    assert np.sqrt(np.mean(error**2)) < 0.25 * np.std([f(c.data) for c in new])


def test_outputs_are_independent_and_each_uses_the_labels_that_have_it(square, make_problem, label, at, rng):
    problem = make_problem(square, outputs=("y", "z"))
    full = label(problem, square.sample(30, rng), smooth, lambda d: 100 - 50 * d["x"])
    holed = full.values.copy()
    holed[10:, 1] = np.nan
    both = GaussianProcess().fit(problem, replace(full, values=holed), seed=0)
    alone = GaussianProcess().fit(make_problem(square), Dataset(full.points, ("y",), full.values[:, :1]), seed=0)
    new = at(problem, square.sample(20, rng))
    assert np.allclose(both.predict(new).mean[:, 0], alone.predict(new).mean[:, 0], atol=1e-3)
    assert np.abs(both.predict(new).mean[:, 1] - [100 - 50 * p.candidate.data["x"] for p in new]).max() < 1


def test_units_do_not_matter(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(20, rng), smooth)
    new = at(problem, square.sample(20, rng))
    plain = GaussianProcess().fit(problem, dataset, seed=0).predict(new)
    other = GaussianProcess().fit(problem, replace(dataset, values=1e-7 * dataset.values + 40), seed=0).predict(new)
    assert np.allclose(other.mean, 1e-7 * plain.mean + 40, atol=1e-12)
    assert np.allclose(other.std, 1e-7 * plain.std, rtol=1e-2)


def test_molecules_are_learned_from_their_fingerprints(molecules, smiles_candidates, make_problem, label, at):
    problem = make_problem(molecules)
    train, test = smiles_candidates[::2], smiles_candidates[1::2]
    model = TanimotoGaussianProcess().fit(problem, label(problem, train, carbons), seed=0)
    error = model.predict(at(problem, test)).mean[:, 0] - [carbons(c.data) for c in test]
    assert np.sqrt(np.mean(error**2)) < 0.8 * np.std([carbons(c.data) for c in test])


def test_the_same_seed_gives_the_same_model(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(20, rng), smooth)
    new = at(problem, square.sample(20, rng))
    one, two = (GaussianProcess().fit(problem, dataset, seed=5).predict(new) for _ in range(2))
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.std, two.std)


def test_a_warm_start_does_not_change_what_is_believed(square, make_problem, label, at, rng):
    problem = make_problem(square)
    dataset = label(problem, square.sample(25, rng), smooth)
    fewer = Dataset(dataset.points[:20], dataset.outputs, dataset.values[:20])
    new = at(problem, square.sample(20, rng))
    cold = GaussianProcess().fit(problem, dataset, seed=0)
    warm = GaussianProcess().fit(problem, dataset, seed=0, previous=GaussianProcess().fit(problem, fewer, seed=0))
    assert np.allclose(cold.predict(new).mean, warm.predict(new).mean, atol=0.02)


def test_a_fitted_model_travels_between_processes(square, make_problem, label, at, rng):
    problem = make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    model = GaussianProcess().fit(problem, label(problem, square.sample(10, rng), smooth), seed=0)
    new = at(problem, square.sample(5, rng))
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(new).mean, model.predict(new).mean)


def test_hyperparameters_are_json_with_the_parameters_names(mixed, make_problem, label, rng):
    problem = make_problem(mixed)
    model = GaussianProcess().fit(problem, label(problem, mixed.sample(15, rng), lambda d: d["n"]), seed=0)
    told = json.loads(json.dumps(model.hyperparameters()))
    assert set(told["y"]["length_scales"]) == set(mixed.parameters)


class TestWhenFitsFail:
    @pytest.fixture
    def problem(self, square, make_problem):
        return make_problem(square)

    @pytest.fixture
    def dataset(self, problem, square, label, rng):
        return label(problem, square.sample(12, rng), smooth)

    @pytest.fixture
    def broken(self, monkeypatch):
        def fail(*args, **kwargs):
            raise RuntimeError("the matrix is not positive definite")

        monkeypatch.setattr(marginal, "minimize", fail)
        monkeypatch.setattr(fitting, "fit_gpytorch_mll_scipy", fail)

    def test_without_a_previous_model_the_prior_stands_in_and_says_so(self, problem, dataset, broken):
        model = GaussianProcess().fit(problem, dataset, seed=0)
        assert model.fell_back
        assert "not positive definite" in model.message
        assert np.isfinite(model.predict(dataset.points).mean).all()

    def test_the_previous_hyperparameters_take_in_the_new_labels(self, problem, dataset, monkeypatch, request):
        fewer = Dataset(dataset.points[:8], dataset.outputs, dataset.values[:8])
        previous = GaussianProcess().fit(problem, fewer, seed=0)
        request.getfixturevalue("broken")
        model = GaussianProcess().fit(problem, dataset, seed=0, previous=previous)
        assert model.fell_back
        assert model.n_labels == 12
        assert model.hyperparameters()["y"]["length_scales"] == previous.hyperparameters()["y"]["length_scales"]
        assert np.abs(model.predict(dataset.points).mean - dataset.values).max() < 0.2

    def test_when_even_that_fails_the_previous_model_is_returned(self, problem, dataset, monkeypatch, request):
        fewer = Dataset(dataset.points[:8], dataset.outputs, dataset.values[:8])
        previous = GaussianProcess().fit(problem, fewer, seed=0)
        request.getfixturevalue("broken")
        monkeypatch.setattr("theoros.models.surrogates.gaussian_process._without_fit", lambda *args: None)
        model = GaussianProcess().fit(problem, dataset, seed=0, previous=previous)
        assert model.fell_back
        assert model.n_labels == 8
        assert "previous version is kept" in model.message

    def test_the_previous_model_is_not_returned_where_it_lacks_an_output(self, problem, dataset, monkeypatch, request):
        previous = GaussianProcess().fit(problem, dataset, seed=0)
        request.getfixturevalue("broken")
        monkeypatch.setattr("theoros.models.surrogates.gaussian_process._without_fit", lambda *args: None)
        outcomes = np.column_stack([dataset.values, np.arange(len(dataset)) != 3])
        failed = replace(dataset, outputs=(*dataset.outputs, SUCCEEDS), values=outcomes)
        model = GaussianProcess().fit(problem_of(problem, failed), failed, seed=0, previous=previous)
        assert model.fell_back
        assert model.predict(dataset.points).outputs == ("y", SUCCEEDS)

    def test_one_failure_is_mended_by_another_start(self, problem, dataset, monkeypatch):
        real, calls = marginal.minimize, []

        def fail_once(*args, **kwargs):
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("singular")
            return real(*args, **kwargs)

        monkeypatch.setattr(marginal, "minimize", fail_once)
        model = GaussianProcess().fit(problem, dataset, seed=0)
        assert not model.fell_back
        assert "singular" in model.message
        assert np.abs(model.predict(dataset.points).mean - dataset.values).max() < 0.01


class TestSeveralFidelities:
    @pytest.fixture
    def problem(self, square, make_problem):
        return make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))

    @staticmethod
    def cheap(data):
        return 0.5 * smooth(data) + 7 + 0.2 * data["x"]

    def test_correlated_cheap_labels_teach_the_truth(self, problem, square, label, join, at, rng):
        cheap, true = square.sample(40, rng), square.sample(6, rng)
        both = join(label(problem, cheap, self.cheap, fidelity="cheap"), label(problem, true, smooth))
        new = square.sample(100, rng)
        truth = np.array([smooth(c.data) for c in new])
        alone = GaussianProcess().fit(problem, label(problem, true, smooth), seed=0).predict(at(problem, new))
        helped_model = GaussianProcess().fit(problem, both, seed=0)
        helped = helped_model.predict(at(problem, new))
        assert np.sqrt(np.mean((helped.mean[:, 0] - truth) ** 2)) < 0.5 * np.sqrt(
            np.mean((alone.mean[:, 0] - truth) ** 2)
        )
        assert helped.std.mean() < 0.6 * alone.std.mean()
        assert helped_model.hyperparameters()["y"]["fidelity_correlation"][0][1] > 0.8

    def test_each_fidelity_keeps_its_own_offset_and_scale(self, problem, square, label, join, at, rng):
        shared = square.sample(25, rng)
        both = join(label(problem, shared, self.cheap, fidelity="cheap"), label(problem, shared, smooth))
        model = GaussianProcess().fit(problem, both, seed=0)
        new = square.sample(50, rng)
        for fidelity, f in (("cheap", self.cheap), ("truth", smooth)):
            error = model.predict(at(problem, new, fidelity)).mean[:, 0] - [f(c.data) for c in new]
            assert np.abs(error).max() < 0.1

    def test_an_unrelated_cheap_level_does_no_harm(self, problem, square, label, join, at, rng):
        noise = lambda d: math.sin(40 * d["x"] + 3) * math.cos(31 * d["y"])  # noqa: E731
        true = label(problem, square.sample(25, rng), smooth)
        both = join(label(problem, square.sample(25, rng), noise, fidelity="cheap"), true)
        new = square.sample(100, rng)
        truth = np.array([smooth(c.data) for c in new])
        model = GaussianProcess().fit(problem, both, seed=0)
        error = np.sqrt(np.mean((model.predict(at(problem, new)).mean[:, 0] - truth) ** 2))
        assert error < 0.05 * np.std(truth)
        assert model.hyperparameters()["y"]["fidelity_correlation"][0][1] < 0.5

    def test_a_level_without_labels_is_predicted_from_the_others(self, problem, square, label, at, rng):
        model = GaussianProcess().fit(problem, label(problem, square.sample(20, rng), smooth, fidelity="cheap"), seed=0)
        new = square.sample(20, rng)
        cheap, truth = model.predict(at(problem, new, "cheap")), model.predict(at(problem, new))
        assert (truth.std > cheap.std).all()


def test_gp_keeps_the_contract(mixed, make_problem, label, rng):
    problem = make_problem(mixed, outputs=("y", "z"))
    dataset = label(problem, mixed.sample(12, rng), lambda d: d["v"], lambda d: d["n"])
    assert check_surrogate(GaussianProcess(), problem, dataset) == []


def test_matern_gp_keeps_the_contract_over_two_fidelities(square, make_problem, label, join, rng):
    problem = make_problem(square, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    dataset = join(
        label(problem, square.sample(8, rng), smooth, fidelity="cheap"), label(problem, square.sample(6, rng), smooth)
    )
    assert check_surrogate(GaussianProcess(kernel="matern"), problem, dataset) == []


def test_tanimoto_gp_keeps_the_contract(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    dataset = label(problem, smiles_candidates[:12], carbons)
    assert check_surrogate(TanimotoGaussianProcess(), problem, dataset) == []


def test_gp_reads_a_table(table_library, make_problem, label, at, rng):
    problem = make_problem(table_library)
    f = lambda d: d["size"] + 5 * (d["colour"] == "a")  # noqa: E731
    rows = table_library.sample(60, rng)
    model = GaussianProcess().fit(problem, label(problem, rows[:40], f), seed=0)
    error = model.predict(at(problem, rows[40:])).mean[:, 0] - [f(c.data) for c in rows[40:]]
    assert np.sqrt(np.mean(error**2)) < 0.5
