"""The scattering campaign learns a twin of the experiment, noise included, from events that the twin asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics.scattering_setup import Setup, events
from theoros.orchestrator.campaign import Campaign

FILE = Path(__file__).parents[2] / "campaigns" / "scattering" / "campaign.yaml"


def test_the_campaign_file_asks_for_what_its_page_says(tmp_path):
    campaign = Campaign(FILE, tmp_path / "t.db")
    assert campaign.question_text == "learn x (angstrom), y (angstrom), delay (fs)"


@pytest.mark.usefixtures("local_ray")
def test_a_small_version_learns_from_events_that_the_twin_chose(tmp_path):
    spec = yaml.safe_load(FILE.read_text())
    spec |= {"budget": {"labels": 22}, "initial": 16, "workers": {"slots": 1, "lookahead": 4}, "proposers": ["sobol"]}
    campaign = Campaign(spec, tmp_path / "t.db", base=tmp_path)
    assert campaign.run().finished
    labels = campaign.labels()
    assert len(labels) == 22

    # Each label is an event of the hyperbola, and the detector's noise of 5 angstrom and 5 fs.
    shot = events(labels["energy"].to_numpy(), labels["impact_parameter"].to_numpy())
    truth = exact.on_the_rim(Setup(), shot, outgoing=True)[:, :2]
    errors = labels[["x", "y"]].to_numpy() - truth
    assert errors.std() == pytest.approx(5, rel=0.3)
    assert np.abs(errors).max() < 25

    decided = campaign.store.decisions("scattering")
    assert "distribution_distance" in set(decided["acquisition"].dropna())
    versions = campaign.store.model_versions("scattering")
    assert versions[-1].n_labels > 16
    assert {score.output for version in versions for score in version.scores} >= {"x", "y", "delay"}
