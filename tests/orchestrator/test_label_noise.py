"""What a question tells of its labels' errors reaches the surrogate, however the campaign is run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import yaml

from theoros.models.data import LabelNoise, Point
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.explain import refitted
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.load import spec_from_dict

BENCH: dict[str, Any] = {
    "campaign": "noisy-bench",
    "question": {"maximize": "gap", "noise": {"gap": "gap_error"}},
    "space": {"parameters": {"x": {"real": [0, 1]}}},
    "oracle": {"command": {"command": ["true"], "outputs": {"gap": "eV", "gap_error": "eV"}}},
    "budget": {"labels": 9},
    "surrogate": "gp",
    "initial": 4,
    "seed": 1,
}


def asked(**noise: Any) -> dict[str, Any]:
    """The campaign with another account of its noise."""
    return BENCH | {"question": {"maximize": "gap", **noise}}


def test_a_standard_deviation_is_read_in_any_unit_that_fits(tmp_path):
    plan = resolve(spec_from_dict(asked(noise={"gap": "500 meV"})), tmp_path)
    assert plan.problem.noise == (LabelNoise("gap", pytest.approx(0.5)),)
    assert plan.problem.columns == ("gap",)
    assert not plan.problem.deterministic


def test_an_output_that_gives_errors_is_asked_for_and_kept(tmp_path):
    plan = resolve(spec_from_dict(BENCH), tmp_path)
    assert plan.problem.outputs == ("gap",)
    assert plan.problem.columns == ("gap", "gap_error")
    assert plan.oracle.outputs == ("gap", "gap_error")


def test_a_campaign_without_noise_is_stored_as_before_there_was_such_a_field():
    assert "noise" not in spec_from_dict(asked()).to_dict()["question"]
    assert spec_from_dict(spec_from_dict(BENCH).to_dict()) == spec_from_dict(BENCH)


def test_answers_that_people_tell_are_weighed_by_their_errors(tmp_path):
    """The eighth answer is far off, and says so."""
    campaign = Campaign(BENCH, tmp_path / "t.db")
    for i in range(9):
        question = campaign.ask()
        truth, off = math.sin(4 * question.parameters["x"]), 5.0 if i == 7 else 0.0
        campaign.tell(question, {"gap": truth + off, "gap_error": 20.0 if off else 0.01})
    found = refitted(campaign.store, "noisy-bench")
    space, target = found.problem.space, found.problem.target
    points = [Point(space.candidate({"x": x}), target) for x in np.linspace(0, 1, 21)]
    error = found.model.predict(points).mean[:, 0] - [math.sin(4 * p.candidate.data["x"]) for p in points]
    assert np.abs(error).max() < 0.2
    campaign.close()


@pytest.fixture
def pool(tmp_path):
    """Rows of a library with y and its standard error."""
    rows = [f"{x / 20},{-((x / 20 - 0.4) ** 2)},{0.01 + 0.001 * x}" for x in range(20)]
    (tmp_path / "noisy.csv").write_text("\n".join(["x,y,s", *rows]) + "\n")
    return {
        "campaign": "noisy-pool",
        "question": {"maximize": "y", "noise": {"y": "s"}},
        "oracle": {"lookup": {"file": "noisy.csv", "outputs": {"y": "y", "s": "s"}}},
        "budget": {"labels": 6},
        "surrogate": "gp",
        "initial": 4,
        "workers": {"slots": 1},
    }


@pytest.mark.usefixtures("local_ray")
def test_a_simulation_and_a_campaign_hand_the_errors_on_alike(tmp_path, pool):
    plan = resolve(spec_from_dict(pool), tmp_path)
    chooser = EngineChooser(plan)
    steps = simulate(plan, cheap_oracle(plan), chooser, duration=pretended(plan, 0))
    dataset = chooser._belief.dataset
    assert dataset.outputs == ("y", "s")
    assert np.isfinite(dataset.values).all()
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(pool))
    campaign = Campaign(tmp_path / "campaign.yaml", tmp_path / "t.db")
    assert campaign.run().finished
    assert [e.candidate.hash for e in campaign.store.evaluations("noisy-pool")] == [step.hash for step in steps]
    campaign.close()
