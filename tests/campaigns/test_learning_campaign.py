"""A campaign that learns two outputs, beside its random control, on a real local Ray."""

from __future__ import annotations

import pytest

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.control import make_control
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.plots import figures

pytestmark = pytest.mark.usefixtures("local_ray")

SPEC = {
    "campaign": "both",
    "question": {"learn": ["value_1", "value_2"]},
    "oracle": {"synthetic": {"function": "BraninCurrin"}},
    "acquisition": "loo_variance",
    "surrogate": "gp",
    "budget": {"labels": 14},
    "workers": {"slots": 1},
    "seed": 3,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, local_ray):
    campaign = Campaign(SPEC, tmp_path_factory.mktemp("both") / "t.db")
    assert campaign.run().finished
    assert make_control(campaign, "random").run().finished
    return campaign


def test_every_decision_foresees_both_outputs_and_both_are_tested(finished):
    decisions = finished.store.decisions("both")
    guided = decisions[decisions["acquisition"] == "loo_variance"]
    assert set(guided["output"]) == {"value_1", "value_2"}
    assert set(finished.store.checks("both")["output"]) == {"value_1", "value_2"}


def test_the_random_control_learns_its_labels_too_so_that_there_is_an_error_to_compare(finished):
    versions = finished.store.model_versions("both.random")
    assert versions
    assert versions[-1].surrogate == "gp"
    chosen = finished.store.decisions("both.random")
    assert (chosen["acquisition"] == "").all()


def test_the_report_shows_both(finished):
    axes = dict(figures(finished.store, "both"))["progress"].axes[0]
    assert axes.get_legend_handles_labels()[1] == ["both", "both.random"]
    written = page(finished.store, "both")
    assert "What was foreseen of labels" in written
    assert "model: error of value_1 " in written
