"""A question that makes one number of several outputs: how it is written, judged, simulated and reported."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from theoros.db.records import CandidateRecord, LabelRecord
from theoros.models.desirability import Desirable
from theoros.models.objective import Objective
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.scorecard import Best, Scorecard
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_methods import OWN, methods
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.simulate_report import final
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.orchestrator.yardstick import yardstick

WISHES: dict[str, Any] = {"value_1": {"low": 100, "high": 5}, "value_2": {"low": 8, "high": 3, "weight": 2}}
FILE: dict[str, Any] = {
    "campaign": "both",
    "question": {"desirability": WISHES},
    "oracle": {"synthetic": {"function": "BraninCurrin"}},
    "budget": {"labels": 10},
    "workers": {"slots": 1},
    "seed": 3,
}


@pytest.fixture
def table(tmp_path) -> dict[str, Any]:
    """A campaign on three rows with units: a gap in eV and a cost without one."""
    (tmp_path / "t.csv").write_text("x,gap,cost\n1,2.5,2\n2,3.5,6\n3,2.9,3\n")
    outputs = {"gap": {"column": "gap", "unit": "eV"}, "cost": "cost"}
    return FILE | {"oracle": {"lookup": {"file": "t.csv", "outputs": outputs}}}


def plan_of(data, base):
    return resolve(spec_from_dict(data), base)


def test_amounts_are_converted_to_the_outputs_units(tmp_path, table):
    wishes = {"gap": {"low": "2000 meV", "high": "3 eV", "target": 2.5, "weight": 3}, "cost": {"low": 5, "high": 1}}
    plan = plan_of(table | {"question": {"desirability": wishes}}, tmp_path)
    assert plan.problem.desirability is not None
    gap, cost = plan.problem.desirability.wishes
    assert (gap.low, gap.high, gap.target, gap.weight) == pytest.approx((2.0, 3.0, 2.5, 3.0))
    assert cost == Desirable("cost", 5.0, 1.0)
    assert plan.problem.objectives == (Objective("gap", "match", gap.target or 0.0), Objective("cost", "minimize"))
    assert plan.problem.aim == "desirability"
    assert plan.acquisition == "log_desirability"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"question": {"desirability": WISHES, "maximize": "value_1"}}, "question", "value_1 and desirability"),
        ({"question": {"desirability": {"value_1": {"low": 3}}}}, "question", "high"),
        ({"question": {"desirability": {"value_1": {"low": 3, "high": 3}}}}, "value_1", "as desirable at low"),
        ({"question": {"desirability": {"value_1": {"low": 3, "high": 9, "target": 1}}}}, "value_1", "does not lie"),
        ({"question": {"desirability": {"value_1": {"low": 3, "high": 9, "weight": 0}}}}, "weight", "greater than 0"),
        ({"question": {"desirability": {"value_9": {"low": 3, "high": 9}}}}, "desirability", "no output 'value_9'"),
        ({"stop": {"target": 1.5}}, "target", "between 0 and 1"),
        ({"workers": {"slots": 2, "cancel_hopeless": 0.01}}, "cancel_hopeless", "not known for a desirability"),
        ({"acquisition": "log_ei"}, "acquisition", "log_desirability"),
    ],
)
def test_what_means_nothing_is_refused_where_it_stands(tmp_path, changes, field, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan_of(FILE | changes, tmp_path)
    assert field in map(str, caught.value.field)


def label(sequence: int, **values: float) -> LabelRecord:
    candidate = CandidateRecord(str(sequence), "parameters", {"x": sequence}, f"x={sequence}")
    outputs = {name: np.array(value) for name, value in values.items()}
    return LabelRecord(sequence, sequence, sequence, candidate, "full", outputs, 1.0, False)


def test_labels_are_judged_by_their_desirability_also_when_read_again(tmp_path):
    card = plan_of(FILE, tmp_path).scorecard
    again = Scorecard.from_dict(card.to_dict())
    assert again == card
    assert not card.several
    assert card.objective.output == "desirability"
    half = label(1, value_1=52.5, value_2=5.5)
    useless = label(2, value_1=0.0, value_2=9.0)
    best = label(3, value_1=1.0, value_2=4.0)
    assert again.value(half) == pytest.approx(0.5)
    assert again.value(best) == pytest.approx(0.8 ** (2 / 3))
    assert again.ranked([half, useless, best]) == [best, half, useless]
    assert again.best_so_far([useless, half, useless]) == pytest.approx([0.0, 0.5, 0.5])
    watch = Best(again)
    for each in (half, best, useless):
        watch.add(each)
    assert (watch.value, watch.n, watch.since) == (pytest.approx(0.8 ** (2 / 3)), 3, 1)


def test_questions_without_one_are_stored_as_they_always_were(tmp_path):
    plain = spec_from_dict(FILE | {"question": {"minimize": "value_1"}})
    assert "desirability" not in plain.to_dict()["question"]
    assert "desirability" not in resolve(plain, tmp_path).scorecard.to_dict()
    own = spec_from_dict(FILE)
    assert spec_from_dict(own.to_dict()) == own


@pytest.mark.parametrize("name", [OWN, "tpe"])
def test_it_is_simulated_by_every_method(tmp_path, name):
    (method,) = methods(spec_from_dict(FILE), tmp_path, [name], slots=1)
    plan = method.plan
    steps = simulate(plan, cheap_oracle(plan), method.start(plan), duration=pretended(plan, 0))
    measure = yardstick(plan.problem, plan.scorecard, steps)
    found = measure.so_far(steps)
    assert measure.name == "desirability"
    assert (np.diff(found) >= 0).all()
    assert 0 < final(steps, measure) <= 1


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_ends_when_its_target_is_reached_and_its_table_begins_with_what_is_desirable(tmp_path):
    campaign = Campaign(FILE | {"budget": {"labels": 14}, "stop": {"target": 0.9}}, tmp_path / "t.db")
    ending = campaign.run()
    top = campaign.top()
    assert ending.finished
    assert "the target 0.9 is reached" in ending.reason
    assert list(top.columns)[:4] == ["desirability", "candidate", "value_1", "value_2"]
    assert top["desirability"].is_monotonic_decreasing
    assert top["desirability"].iloc[0] >= 0.9
    first, second = np.clip((100 - top["value_1"]) / 95, 0, 1), np.clip((8 - top["value_2"]) / 5, 0, 1)
    assert top["desirability"].to_numpy() == pytest.approx((first * second**2).to_numpy() ** (1 / 3))
    assert not math.isnan(top["desirability"].sum())
