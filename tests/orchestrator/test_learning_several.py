"""A question that is about a model of several outputs: how it is read, measured and told."""

import math
from pathlib import Path

import numpy as np
import pytest

from theoros.db import Store
from theoros.db.records import LabelRecord, ModelVersionRecord, ScoreRecord
from theoros.models.data import Prediction
from theoros.models.learning_error import learning_error
from theoros.models.objective import Objective
from theoros.orchestrator.agents.learner import error_of
from theoros.orchestrator.exam import Exam
from theoros.orchestrator.report.plots import error_curve
from theoros.orchestrator.report.sentences import model_sentence
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.scorecard import Best, Scorecard
from theoros.orchestrator.simulate import Step, simulate
from theoros.orchestrator.simulate_methods import OWN, methods
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.orchestrator.spec.question import Question
from theoros.orchestrator.yardstick import yardstick
from theoros.workers.modelling import Check

SPEC = {
    "campaign": "learn-both",
    "question": {"learn": ["value_1", "value_2"]},
    "oracle": {"synthetic": {"function": "BraninCurrin"}},
    "budget": {"labels": 12},
    "workers": {"slots": 1},
}
CARD = Scorecard("learn", (Objective("a"), Objective("b")), ("true",), (1.0,), {"a": "mm", "b": ""})


def plan_of(**question):
    return resolve(spec_from_dict(SPEC | {"question": question}), Path())


@pytest.mark.parametrize(
    ("given", "stored"),
    [(["value_1", "value_2"], ["value_1", "value_2"]), ("value_1", "value_1"), (["value_1"], "value_1")],
)
def test_one_output_is_stored_as_it_was_when_there_could_be_no_more(given, stored):
    question = Question(learn=given)
    data = question.model_dump(mode="json")
    assert data["learn"] == stored
    assert Question(**{k: v for k, v in data.items() if k == "learn"}) == question
    assert Question(maximize="value_1").model_dump(mode="json")["learn"] is None


def test_every_output_is_an_objective_and_the_aim_is_to_learn():
    plan = plan_of(learn=["value_1", "value_2"])
    assert [goal.output for goal in plan.problem.objectives] == list(plan.problem.outputs) == ["value_1", "value_2"]
    assert plan.problem.aim == "learn"
    assert plan.acquisition == "integrated_variance"
    assert plan.scorecard.wishes == "learn value_1, value_2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": {"learn": ["value_1", "value_1"]}}, "value_1 can't be learned twice; name each output once"),
        ({"question": {"learn": ["value_1", "value_3"]}}, "has no output 'value_3'. Did you mean"),
        ({"question": {"learn": ["value_1"], "maximize": "value_2"}}, "value_2 and learn are given"),
        ({"stop": {"target": 1.0}}, "a target is the value of one objective, and there are several"),
        ({"acquisition": "log_ehvi"}, "serves the goal 'pareto', and the campaign's is 'learn'"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        resolve(spec_from_dict(SPEC | changes), Path())


def test_an_unknown_output_is_pointed_at_where_it_is_asked_for():
    with pytest.raises(SpecError) as caught:
        plan_of(learn=["value_1", "value_3"])
    assert caught.value.field == ("question", "learn")


def test_the_error_of_one_output_has_its_unit_and_that_of_several_is_a_share():
    assert learning_error([0.3], [10.0]) == 0.3
    assert learning_error([0.3, 40.0], [1.0, 100.0]) == pytest.approx(math.sqrt((0.09 + 0.16) / 2))
    assert learning_error([0.5, 0.0], [0.0, 1.0]) == pytest.approx(math.sqrt(0.125))
    assert CARD.error_label == "error of a, b (share of their spread)"
    assert CARD.error_unit == ""
    assert Scorecard("learn", (Objective("a"),), ("true",), (1.0,), {"a": "mm"}).error_label == "error of a (mm)"


class Means:
    """A model that knows nothing but the means of the truth."""

    def __init__(self, values):
        self.mean = values.mean(0)

    def predict(self, points):
        mean = np.tile(self.mean, (len(points), 1))
        return Prediction(("value_1", "value_2"), mean, mean, mean)


def test_a_model_that_knows_the_means_alone_has_an_error_of_one():
    (method,) = methods(spec_from_dict(SPEC), Path(), [OWN], slots=1)
    exam = Exam.of(method.plan, cheap_oracle(method.plan), n=40)
    assert exam.values.shape == (40, 2)
    assert exam.error(Means(exam.values)) == pytest.approx(1.0)


def test_a_simulated_campaign_learns_both(tmp_path):
    (method,) = methods(spec_from_dict(SPEC), tmp_path, [OWN], slots=1)
    oracle, chooser = cheap_oracle(method.plan), method.start(method.plan)
    exam = Exam.of(method.plan, oracle, n=60)
    steps = simulate(
        method.plan, oracle, chooser, duration=pretended(method.plan, 0), error=lambda: exam.error(chooser.model)
    )
    measure = yardstick(method.plan.problem, method.plan.scorecard, steps)
    assert measure.label == "error of value_1, value_2 (share of their spread)"
    errors = measure.so_far(steps)
    assert errors[-1] < 0.75 * np.nanmax(errors)
    assert all(np.isfinite(step.values).all() for step in steps)


def test_the_yardstick_of_several_outputs_is_the_error_and_not_a_volume():
    plan = plan_of(learn=["value_1", "value_2"])
    steps = [Step(1, "", "1", "full", (1.0, 2.0), True, 1.0, 1, 1.0, 0.1, error=0.5)]
    assert yardstick(plan.problem, plan.scorecard, steps).so_far(steps).tolist() == [0.5]


def label(sequence, a, b):
    return LabelRecord(
        label_id=sequence,
        evaluation_id=sequence,
        sequence=sequence,
        candidate=None,
        fidelity="true",
        values={"a": a, "b": b},
        cost=1.0,
        from_cache=False,
    )


def version(number, n_labels, a, b):
    scores = [ScoreRecord("a", "rmse", a, 9), ScoreRecord("b", "rmse", b, 9)]
    scores += [ScoreRecord("a", "coverage_90", 0.9, 9), ScoreRecord("b", "coverage_90", 0.8, 9)]
    return ModelVersionRecord(number, "gp", n_labels, 0, 0.1, False, "", {}, scores)


def test_the_curve_of_several_outputs_is_in_units_of_their_spread():
    labels = {"own": [label(1, 0.0, 0.0), label(2, 2.0, 20.0)], "own.random": [label(1, 0.0, 0.0), label(2, 2.0, 20.0)]}
    versions = [ModelVersionRecord(1, "gp", 3, 0, 0.1, False, "", {}), version(2, 4, 0.5, 5.0), version(3, 5, 0.1, 1.0)]
    assert error_curve(CARD, versions, labels) == ([4, 5], pytest.approx([0.5, 0.1]))


def test_a_front_is_not_looked_for_where_several_outputs_are_learned():
    assert not CARD.several
    best = Best(CARD)
    for record in (label(1, 0.0, 5.0), label(2, 1.0, 1.0)):
        best.add(record)
    assert (best.n, best.value) == (2, 1.0)


def test_the_model_is_told_output_by_output(tmp_path):
    with Store(tmp_path / "t.db") as store:
        store.create_campaign("both", goal="learn", spec={"scorecard": CARD.to_dict()}, seed=0)
        assert model_sentence(store, "both") == ""
        store.add_model_version("both", version(1, 9, 0.5, 5.0))
        assert model_sentence(store, "both") == (
            "model: error of a 0.5 mm, of b 5 on 9 labels before it saw them; "
            "90%, 80% of them within its 90 % intervals"
        )


def test_the_running_error_waits_for_every_output_and_is_the_first_ones_where_one_is_optimised():
    problem = plan_of(learn=["value_1", "value_2"]).problem
    checks = [Check(1, "value_1", 0.0, 1.0, 1.0), Check(2, "value_1", 0.0, 1.0, -1.0)]
    assert error_of(checks, problem) is None
    checks += [Check(1, "value_2", 0.0, 1.0, 10.0), Check(2, "value_2", 0.0, 1.0, -10.0)]
    assert error_of(checks, problem) == pytest.approx(1.0)
    assert error_of(checks, plan_of(minimize=["value_1", "value_2"]).problem) == pytest.approx(1.0)
    assert error_of(checks, plan_of(learn="value_2").problem) == pytest.approx(10.0)
