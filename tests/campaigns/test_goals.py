"""Campaigns with several objectives, and with a value to be matched, from the file to the report."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from theoros.models.pareto import non_dominated
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.app import app
from theoros.orchestrator.control import make_control
from theoros.orchestrator.report.final import print_report

pytestmark = pytest.mark.usefixtures("local_ray")

SEVERAL = {
    "campaign": "several",
    "question": {"minimize": ["value_1", "value_2"], "worst": {"value_1": 18, "value_2": 6}},
    "oracle": {"synthetic": {"function": "BraninCurrin"}},
    "budget": {"labels": 22},
    "workers": {"slots": 2},
    "seed": 1,
}


def test_a_front_is_looked_for_reported_and_beats_its_control(tmp_path):
    campaign = Campaign(SEVERAL, tmp_path / "t.db", base=tmp_path)
    assert campaign.question_text == "minimize value_1, minimize value_2"
    assert campaign.run().finished
    make_control(campaign, "random").run()
    frame = campaign.top(30)
    values = frame[["value_1", "value_2"]].to_numpy()
    assert np.array_equal(frame["front"].to_numpy() == 1, non_dominated(-values))
    assert (np.diff(frame["front"]) >= 0).all()
    decided = campaign.store.decisions("several")
    assert set(decided["acquisition"].dropna()) >= {"log_ehvi"}
    text = io.StringIO()
    print_report(campaign, Console(file=text, width=200), tmp_path / "results")
    assert "several.random: hypervolume" in text.getvalue()
    assert {path.name for path in (tmp_path / "results" / "several").iterdir()} >= {"front.png", "progress.png"}
    ours, theirs = (float(part.split("hypervolume ")[-1].split(" in")[0].split(": ")[-1]) for part in sentence(text))
    assert ours > theirs
    shown = CliRunner().invoke(app, ["top", "several", "--database", str(tmp_path / "t.db")])
    assert shown.exit_code == 0
    assert "front" in shown.output


def sentence(text):
    """What the report says of the campaign, and of its control."""
    (line,) = [line for line in text.getvalue().splitlines() if line.startswith("several.random: hypervolume")]
    control, own = line.split("; ")
    return own, control


def test_a_value_is_matched_and_the_campaign_stops_when_it_is_near_enough(tmp_path):
    spec = {
        "campaign": "near",
        "question": {"match": {"value": 40}},
        "oracle": {"synthetic": {"function": "Branin"}},
        "budget": {"labels": 40},
        "stop": {"target": 0.05},
        "workers": {"slots": 1},
    }
    campaign = Campaign(spec, tmp_path / "t.db", base=tmp_path)
    assert campaign.question_text == "match value = 40"
    ending = campaign.run()
    assert "the target 0.05 is reached" in ending.reason
    best = campaign.top(3)["value"].to_numpy()
    assert abs(best[0] - 40) <= 0.05
    assert (np.diff(np.abs(best - 40)) >= 0).all()
