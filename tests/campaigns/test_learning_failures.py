"""An oracle that fails where values would be best: a campaign finds that out, and asks elsewhere."""

from __future__ import annotations

import sys
import textwrap

import pytest

from theoros.orchestrator.campaign import Campaign

pytestmark = pytest.mark.usefixtures("local_ray")

ORACLE = '''
from theoros import Parameters, Real, oracle
from theoros.oracles.failures import NotConverged

@oracle(space=Parameters(x=Real(0, 1), y=Real(0, 1)), outputs={"height": ""})
def cliff(x, y):
    """The higher the nearer to a cliff, beyond which there is no answer."""
    if x > 0.55:
        raise NotConverged("beyond the cliff")
    return {"height": x - (y - 0.3) ** 2}
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "edge.py").write_text(textwrap.dedent(ORACLE))
    yield tmp_path
    sys.modules.pop("edge", None)


@pytest.mark.parametrize("slots", [1, 2])
def test_the_edge_is_found_and_what_was_lost_beyond_it_is_no_label(folder, slots):
    spec = {
        "campaign": "cliff",
        "question": {"maximize": "height"},
        "oracle": {"edge:cliff": {}},
        "budget": {"cost": 36},
        "initial": 8,
        "workers": {"slots": slots},
        "seed": 2,
    }
    campaign = Campaign(spec, folder / "t.db", base=folder)
    assert campaign.run().finished
    assert campaign.top(1)["height"].iloc[0] > 0.53, "who learns from labels alone asks beyond the cliff for ever"
    evaluations = campaign.store.evaluations("cliff")
    assert any(e.state == "abandoned" for e in evaluations)
    versions = campaign.store.model_versions("cliff")
    assert versions[-1].n_labels <= sum(e.state == "done" for e in evaluations)
    assert not any(score.output == "succeeds" for version in versions for score in version.scores)
    believed = campaign.store.predictions("cliff")
    assert any(p.output == "succeeds" for predictions in believed.values() for p in predictions)
