"""A campaign on PostgreSQL is the same campaign: same decisions, same labels, same reports."""

from __future__ import annotations

import pandas as pd
import pytest

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.report.best import best_labels
from theoros.orchestrator.report.status import status_table

pytestmark = pytest.mark.usefixtures("local_ray")

SPEC = {
    "campaign": "branin",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 12},
    "workers": {"slots": 1},
    "seed": 4,
}


def test_both_databases_hold_the_same_campaign(tmp_path, postgres_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    campaigns = [Campaign(SPEC, url) for url in (tmp_path / "t.db", postgres_url)]
    for campaign in campaigns:
        assert campaign.run().finished
    sqlite, postgres = (best_labels(campaign.store, "branin") for campaign in campaigns)
    pd.testing.assert_frame_equal(sqlite, postgres)
    assert len(campaigns[1].labels()) == 12
    assert status_table(campaigns[1].store)["state"].tolist() == ["finished"]
    wide = campaigns[1].store.query('SELECT "x1", "value" FROM labels_wide_branin')
    assert len(wide) == 12
