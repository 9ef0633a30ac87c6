"""Random forests: accurate, honest about it, indifferent to the order of labels, quick with many of them."""

import math
import pickle
import time

import numpy as np
import pytest

from theoros.models.acquisition.predicted import at_target
from theoros.models.calibration import scores
from theoros.models.checks import check_surrogate
from theoros.models.data import Dataset, Point
from theoros.models.surrogates.packed_tree import PackedTree
from theoros.models.surrogates.random_forest import RandomForest
from theoros.models.surrogates.trees import Growth, grow
from theoros.models.tree_features import tree_features
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Categorical, Library, Parameters, Real


def friedman(data):
    """Friedman's first function (Annals of Statistics 19, 1 (1991)), of standard deviation 4.9 on the unit cube."""
    return (
        10 * math.sin(math.pi * data["x0"] * data["x1"])
        + 20 * (data["x2"] - 0.5) ** 2
        + 10 * data["x3"]
        + 5 * data["x4"]
    )


@pytest.fixture(scope="module")
def cube():
    return Parameters(**{f"x{i}": Real(0, 1) for i in range(6)})


@pytest.fixture(scope="module")
def many():
    """3,000 candidates of the cube, drawn once."""
    rows = np.random.default_rng(0).random((3_000, 6)).tolist()
    return [Candidate("parameters", {f"x{i}": value for i, value in enumerate(row)}) for row in rows]


@pytest.fixture(scope="module")
def fitted(cube, make_problem, label, many):
    """(problem, dataset, model) of 1,000 labels."""
    problem = make_problem(cube)
    dataset = label(problem, many[:1_000], friedman)
    return problem, dataset, RandomForest().fit(problem, dataset, seed=0)


def test_it_recovers_a_known_function(fitted, many, at):
    problem, _, model = fitted
    truth = np.array([friedman(c.data) for c in many[1_000:]])
    error = model.predict(at(problem, many[1_000:])).mean[:, 0] - truth
    assert np.sqrt(np.mean(error**2)) < 0.35 * truth.std()


@pytest.mark.parametrize("n", [20, 60, 300])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_its_intervals_hold_the_labels_that_they_promise(cube, make_problem, label, many, at, n, noise):
    """On labels held out, on average over eight sets of labels; one set of twenty can mislead anybody."""
    problem = make_problem(cube, deterministic=noise == 0)
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        known = label(problem, many[seed * n : (seed + 1) * n], lambda d: friedman(d) + noise * rng.standard_normal())  # noqa: B023
        prediction = RandomForest().fit(problem, known, seed=seed).predict(at(problem, many[2_500:]))
        truth = np.array([friedman(c.data) + noise * rng.standard_normal() for c in many[2_500:]])
        found.append(scores(prediction.mean[:, 0], prediction.label_std[:, 0], truth))
    assert abs(np.mean([one["coverage_50"] for one in found]) - 0.5) < 0.07
    assert abs(np.mean([one["coverage_90"] for one in found]) - 0.9) < 0.06


def test_noise_is_told_from_ignorance(cube, make_problem, label, many, at):
    rng = np.random.default_rng(3)
    problem = make_problem(cube, deterministic=False)
    dataset = label(problem, many[:2_500], lambda d: friedman(d) + 2.0 * rng.standard_normal())
    prediction = RandomForest().fit(problem, dataset, seed=0).predict(at(problem, many[2_500:]))
    assert 1.5 < prediction.noise.mean() < 2.6
    assert prediction.std.mean() < prediction.noise.mean()


def test_less_is_known_far_from_all_labels(make_problem, label, at):
    space = Parameters(x=Real(0, 1))
    problem = make_problem(space)
    places = [*np.linspace(0, 0.3, 20), *np.linspace(0.7, 1, 20)]
    known = [space.candidate({"x": float(x)}) for x in places]
    model = RandomForest().fit(problem, label(problem, known, lambda d: math.sin(8 * d["x"])), seed=0)
    std = model.predict(at(problem, [space.candidate({"x": x}) for x in (0.15, 0.5, 0.85)])).std[:, 0]
    assert std[1] > 3 * max(std[0], std[2])


def test_the_order_of_the_labels_does_not_matter(fitted, many, at):
    problem, dataset, model = fitted
    order = np.random.default_rng(1).permutation(len(dataset))
    turned = Dataset(tuple(dataset.points[i] for i in order), dataset.outputs, dataset.values[order])
    one, other = (m.predict(at(problem, many)) for m in (model, RandomForest().fit(problem, turned, seed=0)))
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.std, other.std)


def test_a_seed_is_a_forest_and_another_seed_another(fitted, many, at):
    problem, dataset, model = fitted
    same, other = (RandomForest().fit(problem, dataset, seed=seed).predict(at(problem, many)) for seed in (0, 1))
    assert np.array_equal(same.mean, model.predict(at(problem, many)).mean)
    assert not np.array_equal(other.mean, same.mean)


def test_the_number_of_threads_changes_nothing(fitted, many, at, monkeypatch):
    problem, dataset, model = fitted
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("theoros.models.surrogates.trees.WORTH_THREADS", 1)
    threaded = RandomForest().fit(problem, dataset, seed=0).predict(at(problem, many))
    assert np.array_equal(threaded.mean, model.predict(at(problem, many)).mean)


def test_a_pickled_forest_predicts_the_same_and_is_small(fitted, many, at):
    problem, dataset, model = fitted
    sent = pickle.dumps(model, protocol=5)
    assert len(sent) < 2_000 * len(dataset)
    before, after = model.predict(at(problem, many)), pickle.loads(sent).predict(at(problem, many))
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.std, after.std)
    assert len(pickle.dumps(pickle.loads(sent), protocol=5)) == len(sent)


def test_a_packed_tree_parts_the_space_as_scikit_learns_own_does():
    from sklearn.tree import ExtraTreeRegressor

    rng = np.random.default_rng(0)
    X = rng.random((500, 3)).astype(np.float32)
    tree = ExtraTreeRegressor(min_samples_leaf=2, random_state=0).fit(X, X.sum(1)).tree_
    twin = PackedTree.of(tree).unpacked()
    on_thresholds = np.repeat(tree.threshold[tree.feature >= 0].astype(np.float32)[:, None], 3, axis=1)
    for places in (X, rng.random((500, 3)).astype(np.float32), on_thresholds):
        leaf = tree.apply(places)
        assert np.array_equal(twin.apply(places), leaf)
        assert np.allclose(twin.value[leaf], tree.value[leaf], rtol=1e-6)
        assert np.allclose(twin.impurity[leaf], tree.impurity[leaf], rtol=1e-6, atol=1e-12)


def test_the_variances_between_trees_and_within_leaves_add_up():
    """The law of total variance, over the mixture of all leaves' distributions."""
    rng = np.random.default_rng(2)
    X = rng.random((300, 2)).astype(np.float32)
    forest = grow(X, X[:, 0] + 0.3 * rng.standard_normal(300), Growth(trees=16, leaf=20), seed=0)
    _, between, within = forest.moments(X[:5])
    values, variances = forest.leaves(X[:5])
    draws = values[:, :, None] + np.sqrt(variances)[:, :, None] * rng.standard_normal((16, 5, 20_000))
    total = draws.transpose(1, 0, 2).reshape(5, -1).var(1) * forest.scale**2
    assert np.allclose(between + within, total, rtol=0.03)


def test_paths_have_the_moments_that_are_predicted(fitted, many, at):
    problem, _, model = fitted
    new = many[1_000:1_020]
    prediction = model.predict(at(problem, new))
    drawn = model.paths("y", "truth", 4_000, seed=1)(new)
    assert np.allclose(drawn.mean(0), prediction.mean[:, 0], atol=0.08 * prediction.std.max())
    assert np.allclose(drawn.std(0), prediction.std[:, 0], rtol=0.08)


def test_neighbours_share_their_fate_on_a_path_and_strangers_do_not(fitted, many, cube):
    _, _, model = fitted
    here = many[1_500]
    beside = cube.candidate({**here.data, "x0": min(1.0, here.data["x0"] + 1e-3)})
    far = cube.candidate({name: (value + 0.5) % 1 for name, value in here.data.items()})
    drawn = model.paths("y", "truth", 2_000, seed=1)([here, beside, far])
    correlation = np.corrcoef(drawn.T)
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.5


def test_categories_have_no_order(make_problem, label, at):
    space = Parameters(kind=Categorical("a", "b", "c", "d"), x=Real(0, 1))
    problem = make_problem(space)
    value = {"a": 0.0, "b": 10.0, "c": 1.0, "d": -10.0}
    rng = np.random.default_rng(0)
    model = RandomForest().fit(problem, label(problem, space.sample(60, rng), lambda d: value[d["kind"]]), seed=0)
    new = space.sample(100, rng)
    assert np.allclose(model.predict(at(problem, new)).mean[:, 0], [value[c.data["kind"]] for c in new], atol=1.0)


def test_a_cheap_fidelity_teaches_the_truth(cube, make_problem, label, join, many, at):
    """Twenty true labels and five hundred of a shifted and stretched cheap level, against the twenty alone."""
    ladder = make_problem(cube, fidelities=("cheap", "truth"), costs=(0.01, 1.0))
    cheap = label(ladder, many[:500], lambda d: 3 * friedman(d) + 40, fidelity="cheap")
    true = label(ladder, many[:20], friedman)
    truth = np.array([friedman(c.data) for c in many[500:1_500]])

    def error(dataset):
        model = RandomForest().fit(ladder, dataset, seed=0)
        return np.sqrt(np.mean((model.predict(at(ladder, many[500:1_500])).mean[:, 0] - truth) ** 2))

    assert error(join(cheap, true)) < 0.7 * error(true)


def test_molecules_are_read(molecules, smiles_candidates, make_problem, label, at):
    problem = make_problem(molecules)
    heavy = lambda d: float(sum(letter in "CNOFS" for letter in d["smiles"].upper()))  # noqa: E731
    model = RandomForest().fit(problem, label(problem, smiles_candidates[::2], heavy), seed=0)
    new = smiles_candidates[1::2]
    truth = np.array([heavy(c.data) for c in new])
    assert np.corrcoef(model.predict(at(problem, new)).mean[:, 0], truth)[0, 1] > 0.85


def test_rows_of_a_library_are_scored_as_their_candidates_are(table_library, make_problem, label):
    problem = make_problem(table_library)
    rows = table_library.rows()
    dataset = label(problem, list(rows[:30]), lambda d: d["size"] + 5 * (d["colour"] == "a"))
    model = RandomForest().fit(problem, dataset, seed=0)
    assert np.array_equal(at_target(problem, model, rows).mean, at_target(problem, model, list(rows)).mean)
    paths = model.paths("y", "truth", 4, seed=0)
    assert np.array_equal(paths(rows), paths(list(rows)))


@pytest.mark.parametrize("deterministic", [True, False])
def test_it_keeps_the_contract_over_parameters(mixed, make_problem, label, deterministic):
    problem = make_problem(mixed, outputs=("y", "z"), deterministic=deterministic)
    dataset = label(problem, mixed.sample(20, np.random.default_rng(0)), lambda d: d["v"], lambda d: d["n"] ** 2)
    assert check_surrogate(RandomForest(trees=16), problem, dataset) == []


def test_it_keeps_the_contract_over_fidelities_and_molecules(molecules, smiles_candidates, make_problem, label, join):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    length = lambda d: float(len(d["smiles"]))  # noqa: E731
    dataset = join(
        label(problem, smiles_candidates[:20], length, fidelity="cheap"), label(problem, smiles_candidates[:9], length)
    )
    assert check_surrogate(RandomForest(trees=16), problem, dataset) == []


def test_an_absurd_label_does_not_widen_all_intervals(cube, make_problem, label, many, at):
    problem = make_problem(cube)
    dataset = label(problem, many[:200], friedman)
    values = dataset.values.copy()
    values[0] = 1e4
    model = RandomForest().fit(problem, Dataset(dataset.points, dataset.outputs, values), seed=0)
    assert np.median(model.predict(at(problem, many[200:])).std) < 600  # the labels' spread is 700 by the outlier


def test_twenty_thousand_labels_are_fitted_in_seconds(cube, make_problem, at):
    rng = np.random.default_rng(0)
    rows = rng.random((20_000, 6))
    names = [f"x{i}" for i in range(6)]
    points = tuple(Point(Candidate("parameters", dict(zip(names, row, strict=True))), "truth") for row in rows.tolist())
    values = np.array([[friedman(point.candidate.data)] for point in points])
    problem = make_problem(cube)
    started = time.process_time()
    model = RandomForest().fit(problem, Dataset(points, ("y",), values), seed=0)
    assert time.process_time() - started < 10
    assert model.n_labels == 20_000


def test_a_library_of_one_row_and_no_label_are_survived(tmp_path, make_problem):
    (tmp_path / "one.csv").write_text("x\n1.5\n")
    library = Library(str(tmp_path / "one.csv"))
    problem = make_problem(library)
    model = RandomForest().fit(problem, Dataset((), ("y",), np.zeros((0, 1))), seed=0)
    assert model.predict([Point(library.take([0])[0], "truth")]).std[0, 0] == 1.0
    assert tree_features(library).table([]).shape == (0, 1)
