"""How a twin behaves where it has no labels: laws, roll-outs, speed; and all scores of a model version together."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.models.exact_twin import ExactTwin
from theoros.models.data import Dataset, Origin, Point
from theoros.models.objective import Objective
from theoros.models.twins.unseen import Score
from theoros.models.twins.unseen_behaviour import RolledOut, RollsOut, behaviour, speedups
from theoros.models.twins.unseen_exam import examined, remembered


@dataclass(frozen=True)
class Lawful(ExactTwin):
    """Its members break a law by 3 and by 4 everywhere."""

    def violations(self, candidates, *, seed):
        return {"energy": np.repeat([[3.0], [4.0]], len(candidates), axis=1)}


@dataclass(frozen=True)
class Rolling(ExactTwin):
    """Loses a tenth of its gas in each step."""

    draws = 2
    steps: int = 3

    def roll_out(self, point, *, seed):
        gas = 5.0 * 0.9 ** np.arange(self.steps)
        return RolledOut({"films": np.full((2, 3), point.candidate.data["x"])}, {"gas": gas}, {"angles": 1.5})


@pytest.fixture
def problem(square, make_problem):
    objectives = (Objective("y"), Objective("z"))
    return make_problem(square, goal="learn", outputs=("y", "z"), objectives=objectives, fidelities=("full",))


@pytest.fixture
def labels(problem, square, label):
    candidates = square.sample(30, np.random.default_rng(0))
    data = label(problem, candidates, lambda d: d["x"], lambda d: d["y"])
    return replace(data, points=tuple(Point(candidate, "full") for candidate in candidates))


def by_metric(scores):
    return {score.metric: score for score in scores}


def test_laws_are_scored_by_the_root_mean_square_over_members_and_labels(labels):
    scores, arrays = behaviour(Lawful((0.0, 0.1)), ("y", "z"), labels.points[:4], seed=1)
    assert by_metric(scores)["violation_energy"] == Score("y, z", "violation_energy", math.sqrt(12.5), 4)
    assert by_metric(scores)["seconds"].value > 0
    assert not arrays


def test_a_twin_without_laws_is_only_timed(labels):
    scores, _ = behaviour(ExactTwin((0.0, 0.1)), ("y", "z"), labels.points[:4], seed=1)
    assert [score.metric for score in scores] == ["seconds"]


def test_a_roll_out_is_kept_and_scored_by_its_drift(labels):
    twin = Rolling((0.0, 0.1))
    assert isinstance(twin, RollsOut)
    scores, arrays = behaviour(twin, ("y",), labels.points[3:5], seed=1)
    told = by_metric(scores)
    assert told["drift_gas"] == Score("y", "drift_gas", pytest.approx(0.19), 1)
    assert told["drift_gas_per_step"].value == pytest.approx(-0.095)
    assert told["violation_angles"].value == 1.5
    assert (arrays["films"] == labels.points[3].candidate.data["x"]).all()


def test_a_roll_out_that_ends_at_once_has_no_drift(labels):
    scores, _ = behaviour(Rolling((0.0, 0.1), steps=1), ("y",), labels.points, seed=1)
    assert {score.metric for score in scores} == {"seconds", "violation_angles"}


def test_speed_is_beside_the_median_time_of_labels_at_the_fidelity(labels):
    times = [100.0, 2.0, 4.0, None, 3.0, 0.001]  # the first had to compile
    points = [*(Point(p.candidate, "full") for p in labels.points[:5]), Point(labels.points[5].candidate, "cheap")]
    data = Dataset(tuple(points), ("y",), np.ones((6, 1)), tuple(Origin("p", "a", (), t) for t in times))
    oracle, single, many = speedups(data, "full", Score("y", "seconds", 0.5, 1), 0.01, "scattering")
    assert oracle == Score("y", "seconds_of_scattering", 3.5, 4)
    assert single == Score("y", "speedup", 7.0, 4)
    assert many == Score("y", "speedup_batched", pytest.approx(350.0), 4)
    assert speedups(replace(data, origins=()), "full", Score("y", "seconds", 0.5, 1), 0.01, "scattering") == []


def test_an_exam_has_all_scores_and_goes_on_from_earlier_events(problem, labels):
    twin = ExactTwin((0.0, 0.1))
    first = Dataset(labels.points[:15], labels.outputs, labels.values[:15])
    early = examined(twin, problem, first, range(1, 16), {}, earlier=None, seed=1)
    assert {"crps", "energy_score", "draws_coverage_50", "seconds"} <= set(by_metric(early.scores))
    assert "mmd" not in by_metric(early.scores), "fifteen are too few"
    late = examined(twin, problem, labels, range(1, 31), set(range(1, 16)), earlier=early.events, seed=1)
    assert by_metric(late.scores)["c2st_p"].n == 30
    assert by_metric(late.scores)["crps"].n == 15
    assert late.pictured is None
    assert late.unseen.labels == tuple(range(16, 31))
    keys = [score[:2] for score in late.scores]
    assert len(set(keys)) == len(keys)


def test_the_first_new_label_at_the_target_is_pictured(problem, labels):
    cheap = replace(labels, points=(Point(labels.points[0].candidate, "cheap"), *labels.points[1:]))
    known = set(range(9, 37))
    found = examined(Rolling((0.0, 0.1)), problem, cheap, range(7, 37), known, earlier=None, seed=1)
    assert (found.unseen.labels, found.pictured) == ((7, 8), 8)
    assert (found.arrays["films"] == labels.points[1].candidate.data["x"]).all()
    none = examined(Rolling((0.0, 0.1)), problem, cheap, range(7, 37), known | {8}, earlier=found.events, seed=1)
    assert (none.pictured, none.events) == (None, found.events)
    assert set(by_metric(none.scores)) == {"crps", "energy_score"}


def test_labels_that_are_known_and_failures_are_left_out(problem, labels):
    values = labels.values.copy()
    values[29] = np.nan
    data, twin = replace(labels, values=values), ExactTwin((0.0, 0.1))
    found = examined(twin, problem, data, range(1, 31), set(range(1, 29)), earlier=None, seed=1)
    assert found.unseen.labels == (29,)
    assert examined(twin, problem, data, range(1, 31), set(range(1, 30)), earlier=None, seed=1) is None


def test_a_model_that_draws_nothing_has_no_exam(problem, labels):
    assert examined(object(), problem, labels, range(1, 31), set(), earlier=None, seed=1) is None


def test_what_is_recorded_of_labels_or_outputs_that_are_not_there_is_not_remembered(problem, labels):
    twin = ExactTwin((0.0, 0.1))
    found = examined(twin, problem, labels, range(1, 31), set(range(1, 26)), earlier=None, seed=1)
    first = Dataset(labels.points[:28], labels.outputs, labels.values[:28])
    assert len(remembered(problem, first, range(1, 29), [found.unseen.record()]).observed) == 3
    assert remembered(problem, first, range(1, 11), [found.unseen.record(), {}]) is None
    assert remembered(problem, replace(first, outputs=("a", "b")), range(1, 29), [found.unseen.record()]) is None
