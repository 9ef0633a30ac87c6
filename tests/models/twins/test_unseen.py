"""What is kept of a twin's draws for labels that it had not seen."""

import json
import math

import numpy as np
import pytest

from tests.models.exact_twin import ExactTwin
from theoros.models.contract import Dataset
from theoros.models.objective import Objective
from theoros.models.twins.unseen import DRAWN, Unseen
from theoros.workers.modelling import Belief, ModelPlan, train, unseen_draws


@pytest.fixture
def learn(square, make_problem):
    return make_problem(square, goal="learn", outputs=("y", "z"), objectives=(Objective("y"), Objective("z")))


@pytest.fixture
def labels(learn, square, label):
    candidates = square.sample(30, np.random.default_rng(0))
    return label(learn, candidates, lambda d: d["x"], lambda d: d["y"])


def test_labels_where_the_twin_expects_them_score_like_its_noise(labels):
    twin = ExactTwin(offsets=(0.0, 0.0), noise=0.2)
    found = Unseen.of(twin, ("y", "z"), labels, range(10, 30), range(111, 131), seed=1)
    assert found.labels == tuple(range(111, 131))
    assert np.allclose(found.pit, 0.5, atol=0.12), "they lie in the middle of what was drawn"
    scores = found.scores()
    exact = 0.2 * (2 / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi))
    assert scores["y", "crps"] == (pytest.approx(exact, rel=0.15), 20)
    assert set(scores) == {("y", "crps"), ("z", "crps"), ("y, z", "energy_score")}


def test_what_was_written_is_read_back_missing_outputs_too(labels):
    values = labels.values.copy()
    values[5, 0] = np.nan
    data = Dataset(labels.points, labels.outputs, values)
    found = Unseen.of(ExactTwin(offsets=(0.0, 0.1)), ("y", "z"), data, [4, 5], [4, 5], seed=1)
    read = Unseen.recorded(json.loads(json.dumps(found.record(), allow_nan=False)))
    assert math.isnan(read.crps[0][1])
    assert math.isnan(read.energy_score[1])
    assert read.crps[1] == found.crps[1]
    assert read.scores() == found.scores()
    assert read.scores()["y", "crps"][1] == 1
    assert Unseen.recorded(None) is None


def test_a_single_output_has_no_energy_score_of_its_own(labels):
    found = Unseen.of(ExactTwin(offsets=(0.0, 0.1)), ("z",), labels, [0], [1], seed=1)
    assert set(found.scores()) == {("z", "crps")}


class Plain:
    """A surrogate that predicts and draws nothing."""

    outputs = ("y", "z")


def test_nothing_is_kept_of_models_that_do_not_draw_and_of_labels_that_are_known(learn, labels):
    assert Unseen.of(Plain(), ("y", "z"), labels, [0], [1], seed=1) is None
    known = Belief(ExactTwin(offsets=(0.0, 0.1)), labels, frozenset(range(1, 31)))
    assert unseen_draws(learn, known, labels, range(1, 31), 0) is None


def test_failures_are_left_out(learn, labels):
    values = labels.values.copy()
    values[29] = np.nan
    data = Dataset(labels.points, labels.outputs, values)
    belief = Belief(ExactTwin(offsets=(0.0, 0.1)), labels, frozenset(range(1, 29)))
    assert unseen_draws(learn, belief, data, range(1, 31), 0).labels == (29,)


class Twins:
    """A surrogate whose fitted form is always the same exact twin."""

    name = ExactTwin.name

    def fit(self, problem, dataset, *, seed, previous=None):
        return ExactTwin(offsets=(0.0, 0.1))


def test_a_fit_keeps_what_the_model_before_it_drew_of_the_new_labels(learn, labels, monkeypatch):
    monkeypatch.setattr("theoros.models.registry.surrogate", lambda name, options=None: Twins())
    plan = ModelPlan(learn, "exact_twin", "std", ("random",), "sobol")
    first = Dataset(labels.points[:20], labels.outputs, labels.values[:20])
    belief, report = train(plan, first, range(1, 21), seed=0, previous=None)
    assert DRAWN not in report.hyperparameters
    _, report = train(plan, labels, range(1, 31), seed=0, previous=belief)
    assert report.hyperparameters[DRAWN]["labels"] == list(range(21, 31))
