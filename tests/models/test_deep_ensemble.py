"""Deep ensembles: accurate, honest about it, bounded in cost, and drawn as functions."""

import pickle

import numpy as np
import pytest

from tests.timing import processor_seconds
from theoros.models.acquisition.predicted import at_target
from theoros.models.calibration import scores
from theoros.models.checks import check_surrogate
from theoros.models.data import Dataset, Point
from theoros.models.left_out import left_out, uncertainty_scale
from theoros.models.network_features import Scaling, network_features
from theoros.models.surrogates.deep_ensemble import DeepEnsemble
from theoros.models.surrogates.deep_ensemble_networks import Training
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real

QUICK = DeepEnsemble(Training(members=8, width=16, steps=(40, 40)))


def wave(data):
    return float(np.sin(3 * data["x0"]) + data["x1"] ** 2 + 0.5 * data["x2"])


@pytest.fixture(scope="module")
def cube():
    return Parameters(**{f"x{i}": Real(-1, 1) for i in range(4)})


@pytest.fixture(scope="module")
def many():
    """1,500 candidates of the cube, drawn once."""
    rows = np.random.default_rng(0).uniform(-1, 1, (1_500, 4)).tolist()
    return [Candidate("parameters", {f"x{i}": value for i, value in enumerate(row)}) for row in rows]


@pytest.fixture(scope="module")
def fitted(cube, make_problem, label, many):
    """(problem, dataset, model) of 300 labels."""
    problem = make_problem(cube)
    dataset = label(problem, many[:300], wave)
    return problem, dataset, DeepEnsemble().fit(problem, dataset, seed=0)


def test_it_recovers_a_known_function(fitted, many, at):
    problem, _, model = fitted
    truth = np.array([wave(c.data) for c in many[500:]])
    error = model.predict(at(problem, many[500:])).mean[:, 0] - truth
    assert np.sqrt(np.mean(error**2)) < 0.15 * truth.std()


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_intervals_hold_what_they_say(cube, make_problem, label, many, at, noise):
    problem = make_problem(cube, deterministic=noise == 0)
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        some = [many[i] for i in rng.permutation(1_000)[:120]]
        known = label(problem, some, lambda d: wave(d) + noise * rng.standard_normal())  # noqa: B023
        prediction = DeepEnsemble().fit(problem, known, seed=seed).predict(at(problem, many[1_000:]))
        truth = np.array([wave(c.data) + noise * rng.standard_normal() for c in many[1_000:]])
        found.append(scores(prediction.mean[:, 0], prediction.label_std[:, 0], truth))
    assert abs(np.mean([one["coverage_50"] for one in found]) - 0.5) < 0.12
    assert abs(np.mean([one["coverage_90"] for one in found]) - 0.9) < 0.08


def test_noise_is_told_from_ignorance(cube, make_problem, label, many, at):
    rng = np.random.default_rng(3)
    problem = make_problem(cube, deterministic=False)
    dataset = label(problem, many[:1_000], lambda d: wave(d) + 0.5 * rng.standard_normal())
    prediction = DeepEnsemble().fit(problem, dataset, seed=0).predict(at(problem, many[1_000:]))
    assert 0.35 < prediction.noise.mean() < 0.65
    assert prediction.std.mean() < prediction.noise.mean()


def test_paths_have_the_moments_that_are_predicted(fitted, many, at):
    problem, _, model = fitted
    new = many[1_000:1_020]
    prediction = model.predict(at(problem, new))
    drawn = model.paths("y", "truth", 4_000, seed=1)(new)
    assert np.allclose(drawn.mean(0), prediction.mean[:, 0], atol=0.08 * prediction.std.max())
    assert np.allclose(drawn.std(0), prediction.std[:, 0], rtol=0.08)


def test_a_warm_start_believes_the_same_within_its_own_uncertainty(fitted, many, at):
    problem, dataset, model = fitted
    again = DeepEnsemble().fit(problem, dataset, seed=1, previous=model)
    new = at(problem, many[1_000:])
    one, other = model.predict(new), again.predict(new)
    assert np.sqrt(np.mean((one.mean - other.mean) ** 2)) < 2 * one.label_std.mean()


def test_a_fitted_ensemble_travels_between_processes(fitted, many, at):
    problem, _, model = fitted
    twin = pickle.loads(pickle.dumps(model))
    assert np.array_equal(twin.predict(at(problem, many)).mean, model.predict(at(problem, many)).mean)


def test_molecules_are_read(molecules, smiles_candidates, make_problem, label, at):
    problem = make_problem(molecules)
    heavy = lambda d: float(sum(letter in "CNOFS" for letter in d["smiles"].upper()))  # noqa: E731
    model = DeepEnsemble().fit(problem, label(problem, smiles_candidates[::2], heavy), seed=0)
    truth = np.array([heavy(c.data) for c in smiles_candidates[1::2]])
    assert np.corrcoef(model.predict(at(problem, smiles_candidates[1::2])).mean[:, 0], truth)[0, 1] > 0.85


def test_rows_of_a_library_are_scored_as_their_candidates_are(table_library, make_problem, label):
    problem = make_problem(table_library)
    rows = table_library.rows()
    dataset = label(problem, list(rows[:30]), lambda d: d["size"] + 5 * (d["colour"] == "a"))
    model = QUICK.fit(problem, dataset, seed=0)
    assert np.allclose(at_target(problem, model, rows).mean, at_target(problem, model, list(rows)).mean)


@pytest.mark.parametrize("deterministic", [True, False])
def test_it_keeps_the_contract_over_parameters(mixed, make_problem, label, deterministic):
    problem = make_problem(mixed, outputs=("y", "z"), deterministic=deterministic)
    dataset = label(problem, mixed.sample(20, np.random.default_rng(0)), lambda d: d["v"], lambda d: d["n"] ** 2)
    assert check_surrogate(QUICK, problem, dataset) == []


def test_it_keeps_the_contract_over_fidelities_and_molecules(molecules, smiles_candidates, make_problem, label, join):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    length = lambda d: float(len(d["smiles"]))  # noqa: E731
    dataset = join(
        label(problem, smiles_candidates[:20], length, fidelity="cheap"), label(problem, smiles_candidates[:9], length)
    )
    assert check_surrogate(QUICK, problem, dataset) == []


def test_the_cost_of_many_labels_is_bounded(cube, make_problem):
    rows = np.random.default_rng(0).uniform(-1, 1, (50_000, 4)).tolist()
    points = tuple(Point(Candidate("parameters", {f"x{i}": v for i, v in enumerate(row)}), "truth") for row in rows)
    values = np.array([[wave(point.candidate.data)] for point in points])
    surrogate, problem = DeepEnsemble(Training(steps=(100, 500))), make_problem(cube)

    def fit(n):
        assert surrogate.fit(problem, Dataset(points[:n], ("y",), values[:n]), seed=0).n_labels == n

    few, many = (processor_seconds(lambda n=n: fit(n), runs=1) for n in (5_000, 50_000))
    assert many < 5 * few, "ten times the labels take nowhere near ten times as long"


def test_all_labels_of_a_candidate_are_left_out_together_and_every_label_by_someone(many):
    unseen = left_out([*many[:40], *many[:40]], members=12, folds=4)
    assert np.array_equal(unseen[:, :40], unseen[:, 40:])
    assert (unseen.sum(0) == 3).all()
    assert not left_out(many[:5], members=12, folds=4).any()


def test_intervals_that_are_twice_too_narrow_are_doubled():
    off = 2 * np.abs(np.random.default_rng(0).standard_normal(20_000))
    assert uncertainty_scale(off) == pytest.approx(2.0, rel=0.03)


def test_a_column_that_never_changed_says_nothing(cube, many):
    table = network_features(cube).table(many[:50])
    table[:, 1] = 0.25
    scaling = Scaling.of(table)
    assert (scaling.scaled(table)[:, 1] == 0).all()
    other = table.copy()
    other[:, 1] = 7.0
    assert np.array_equal(scaling.scaled(other), scaling.scaled(table))
