"""What is kept of a twin's draws for labels that it had not seen."""

import json
import math

import numpy as np
import pytest

from tests.models.exact_twin import ExactTwin
from theoros.models.data import Dataset
from theoros.models.objective import Objective
from theoros.models.twins.unseen import DRAWN, PICTURED, Score, Unseen
from theoros.models.twins.unseen_behaviour import RolledOut
from theoros.workers.modelling import ModelPlan, train


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
    assert scores[0] == Score("y", "crps", pytest.approx(exact, rel=0.15), 20)
    assert {score[:2] for score in scores} == {("y", "crps"), ("z", "crps"), ("y, z", "energy_score")}


def test_one_draw_stands_beside_the_mean_and_deviation_of_the_others(labels):
    twin = ExactTwin(offsets=(0.0, 0.0), noise=0.2)
    found = Unseen.of(twin, ("y", "z"), labels, range(30), range(1, 31), seed=1)
    truth = labels.values.T
    assert np.allclose(found.mean, truth, atol=4 * 0.2 / math.sqrt(255))
    assert np.allclose(found.std, 0.2, rtol=0.25)
    assert np.mean(found.believed) == pytest.approx(0.2 / math.sqrt(math.pi), rel=0.05)
    standard = (np.array(found.draw) - found.mean) / found.std
    assert abs(standard.mean()) < 0.5
    assert 0.8 < standard.std() < 1.2


class Dear(ExactTwin):
    """A twin that is judged by few draws, and counts them."""

    draws = 3

    def sample(self, points, n, *, seed):
        assert n == self.draws
        return super().sample(points, n, seed=seed)


def test_a_twin_says_by_how_many_draws_it_is_judged(labels):
    found = Unseen.of(Dear(offsets=(0.0, 0.1)), ("y",), labels, [0], [1], seed=1)
    ranks = np.array(found.pit) * 7 - 0.5  # among three draws of either member
    assert np.allclose(ranks, ranks.round())


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
    assert read.scores()[0] == Score("y", "crps", found.crps[0][0], 1)
    assert (read.draw, read.std) == (found.draw, found.std)
    assert read.only([1]).labels == (5,)
    assert read.only([1]).mean[1] == (found.mean[1][1],)
    assert Unseen.recorded(None) is None


def test_records_that_know_no_draws_are_read():
    """As they were before draws were kept."""
    told = {"labels": [1, 2], "outputs": ["x"], "crps": [[0.25, None]], "pit": [[0.125, None]], "energy_score": [1, 1]}
    read = Unseen.recorded(told)
    assert read.pit[0][0] == 0.125
    assert np.isnan(read.draw).all()
    assert np.shape(read.mean) == (1, 2)
    assert np.isnan(read.believed).all()


def test_a_single_output_has_no_energy_score_of_its_own(labels):
    found = Unseen.of(ExactTwin(offsets=(0.0, 0.1)), ("z",), labels, [0], [1], seed=1)
    assert [score[:2] for score in found.scores()] == [("z", "crps")]


class Plain:
    """A surrogate that predicts and draws nothing."""

    outputs = ("y", "z")


def test_nothing_is_kept_of_models_that_do_not_draw(labels):
    assert Unseen.of(Plain(), ("y", "z"), labels, [0], [1], seed=1) is None


class Rolling(ExactTwin):
    """An exact twin that also shows a track of something whose mass is kept."""

    draws = 4

    def roll_out(self, point, *, seed):
        return RolledOut({"track": np.array([[1.0, 2.0]])}, {"mass": np.ones(3)})


class Twins:
    """A surrogate whose fitted form is always the same exact twin."""

    name = ExactTwin.name

    def fit(self, problem, dataset, *, seed, previous=None):
        return Rolling(offsets=(0.0, 0.1))


@pytest.fixture
def trained(learn, labels, monkeypatch):
    """The reports and beliefs of fits to 20 and to 30 labels, of an exact twin that rolls out."""
    monkeypatch.setattr("theoros.models.registry.surrogate", lambda name, options=None: Twins())
    plan = ModelPlan(learn, "exact_twin", "std", ("random",), "sobol")
    first = Dataset(labels.points[:20], labels.outputs, labels.values[:20])
    before = train(plan, first, range(1, 21), seed=0, previous=None)
    after = train(plan, labels, range(1, 31), seed=0, previous=before[0])
    again = train(plan, labels, range(1, 31), seed=0, previous=after[0])
    return before, after, again


def test_a_fit_keeps_what_the_model_before_it_drew_of_the_new_labels(trained):
    (_, first), (_, second), (_, third) = trained
    for report in (first, third):
        assert DRAWN not in report.hyperparameters
        assert (report.scores, report.arrays) == ((), {})
    assert second.hyperparameters[DRAWN]["labels"] == list(range(21, 31))
    assert {score.metric for score in second.scores} >= {"crps", "energy_score", "draws_coverage_90", "drift_mass"}
    assert second.hyperparameters[DRAWN][PICTURED] == 21
    assert np.array_equal(second.arrays["track"], [[1.0, 2.0]])
    json.dumps(second.hyperparameters, allow_nan=False)


def test_events_are_handed_on_from_belief_to_belief(trained):
    (before, _), (after, _), (again, _) = trained
    assert before.events is None
    assert len(after.events.observed) == 10
    assert again.events is after.events


def test_after_a_resume_events_are_as_they_were_recorded(trained, learn, labels):
    _, (after, report), _ = trained
    plan = ModelPlan(learn, "exact_twin", "std", ("random",), "sobol")
    drawn = [json.loads(json.dumps(report.hyperparameters[DRAWN]))]
    resumed, _ = train(plan, labels, range(1, 31), seed=0, previous=None, drawn=drawn)
    for name in ("conditions", "observed", "drawn", "pit", "crps", "believed"):
        assert np.array_equal(getattr(resumed.events, name), getattr(after.events, name))
