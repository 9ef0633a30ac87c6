"""A campaign that counts its improvement per second learns how long evaluations take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from theoros.db.records import CandidateRecord, LabelRecord
from theoros.models.data import RUN_TIME
from theoros.orchestrator.agents.beliefs import labelled
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_methods import OWN, methods
from theoros.orchestrator.simulate_oracle import cheap_oracle
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict

SPEC: dict[str, Any] = {
    "campaign": "timed",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin", "delay": 0.02}},
    "acquisition": "log_ei_per_second",
    "budget": {"labels": 14},
    "workers": {"slots": 2},
}


@pytest.mark.parametrize(("seconds", "expected"), [(2.0, math.log(2.0)), (None, math.nan)])
def test_a_label_brings_the_logarithm_of_its_seconds(seconds, expected):
    record = LabelRecord(
        1,
        1,
        1,
        CandidateRecord("h", "parameters", {"x": 0.5}, "x=0.5"),
        "full",
        {"y": np.array(3.0)},
        1.0,
        False,
        seconds=seconds,
    )
    assert labelled(record, ("y",)).values == (3.0,)
    assert labelled(record, ("y", RUN_TIME)).values == pytest.approx((3.0, expected), nan_ok=True)


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_predicts_how_long_its_samples_will_take(tmp_path):
    campaign = Campaign(SPEC, tmp_path / "t.db")
    assert campaign.run().finished
    labels = campaign.store.label_records("timed")
    assert all(label.seconds is not None and label.seconds > 0.01 for label in labels)
    told = [p for of_one in campaign.store.predictions("timed").values() for p in of_one if p.output == RUN_TIME]
    assert told
    taken = [math.log(label.seconds) for label in labels]  # type: ignore[arg-type]
    assert all(min(taken) - 1 < p.mean < max(taken) + 1 for p in told)


def test_a_simulation_spends_less_time_where_half_of_the_space_is_slow(tmp_path):
    """Branin's minima are equally good: a campaign that counts seconds looks for the one where answers come soon."""

    def slow_on_the_right(point) -> float:
        return 10.0 if point.candidate.data["x1"] > 2.5 else 0.1

    def busy(acquisition: str) -> tuple[float, float]:
        spec = spec_from_dict(SPEC | {"acquisition": acquisition, "budget": {"labels": 24}})
        (method,) = methods(spec, tmp_path, [OWN], slots=2)
        steps = simulate(
            method.plan, cheap_oracle(method.plan), method.start(method.plan), slots=2, duration=slow_on_the_right
        )
        return steps[-1].ended, min(step.values[0] for step in steps)

    plain, timed = busy("log_ei"), busy("log_ei_per_second")
    assert timed[0] < 0.7 * plain[0]
    assert timed[1] < 0.6  # 0.398 is the least


def test_one_slot_is_refused_because_it_has_to_repeat(tmp_path):
    with pytest.raises(SpecError, match="one slot repeats exactly") as caught:
        Campaign(SPEC | {"workers": {"slots": 1}}, tmp_path / "t.db")
    assert caught.value.field == ("acquisition",)
