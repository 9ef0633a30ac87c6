"""Decisions are not kept against better knowledge: what waits is judged anew, and what runs may be given up."""

from __future__ import annotations

import copy
import sys
import textwrap
from typing import Any

import pytest

from theoros.orchestrator.agents.pruner import MOST_SPENT
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.spec.errors import SpecError

pytestmark = pytest.mark.usefixtures("local_ray")

ORACLE = '''
import math, time
from theoros import Parameters, Quantity, Real, Resources, oracle

SLOPE = 2.0

@oracle(
    space=Parameters(x=Real(0, 1), y=Real(0, 1)),
    outputs={"height": Quantity("m")},
    resources=Resources(num_cpus=1, timeout="60 s"),
)
def hill(x, y):
    """A hill; far from its top an evaluation takes long, and is not worth it."""
    height = math.exp(-8 * ((x - 0.37) ** 2 + (y - 0.61) ** 2))
    time.sleep(SLOPE / 2 if height > 0.5 else SLOPE)
    return {"height": height}
'''

SPEC: dict[str, Any] = {
    "campaign": "hill",
    "question": {"maximize": "height"},
    "oracle": {"slow_hill:hill": {}},
    "budget": {"labels": 18},
    "initial": 6,
    "workers": {"slots": 3, "lookahead": 6},
    "seed": 3,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slow_hill.py").write_text(textwrap.dedent(ORACLE))
    yield tmp_path
    sys.modules.pop("slow_hill", None)


def spec(**workers: Any) -> dict[str, Any]:
    changed = copy.deepcopy(SPEC)
    changed["workers"] |= workers
    return changed


def test_decisions_that_wait_are_taken_back_when_the_model_learns_better(folder):
    # Where deciding is slower than evaluating nothing is thought over: a busy machine needs a slower oracle.
    for slope in (2.0, 6.0, 18.0):
        (folder / "slow_hill.py").write_text(textwrap.dedent(ORACLE).replace("SLOPE = 2.0", f"SLOPE = {slope}"))
        sys.modules.pop("slow_hill", None)
        campaign = Campaign(spec(), folder / f"{slope:g}.db", base=folder)
        assert campaign.run().finished
        evaluations = campaign.store.evaluations("hill")
        taken_back = [e for e in evaluations if e.state == "cancelled" and (e.message or "").startswith("taken back")]
        if taken_back:
            break
    assert taken_back, "six decisions waited through some ten model versions, and none was ever changed"
    assert all(e.attempts == 0 for e in taken_back), "somebody had begun what was taken back"
    assert all(e.sequence > campaign.plan.initial_decisions for e in taken_back)
    assert len(campaign.labels()) == 18, "what was taken back counts against no budget"


def test_a_running_evaluation_without_a_chance_is_cancelled_and_charged_for_what_it_had(folder):
    (folder / "slow_hill.py").write_text(textwrap.dedent(ORACLE).replace("SLOPE)", "3.0)"))
    hopeful = spec(cancel_hopeless=0.3) | {"budget": {"labels": 16}}
    campaign = Campaign(hopeful, folder / "t.db", base=folder)
    assert campaign.run().finished
    given_up = [e for e in campaign.store.evaluations("hill") if e.state == "cancelled" and e.attempts == 1]
    assert given_up
    assert all("to beat the best" in (e.message or "") for e in given_up)
    assert all(e.sequence > campaign.plan.initial_decisions for e in given_up), "the initial design is for the model"
    attempts = campaign.store.attempts("hill")
    cancelled = attempts[attempts["state"] == "cancelled"]
    assert len(cancelled) == len(given_up)
    assert ((cancelled["cost"] >= 0) & (cancelled["cost"] <= MOST_SPENT)).all()
    assert len(campaign.labels()) == 16
    cost = campaign.store.progress("hill", campaign.plan.cost_table).cost
    assert cost == pytest.approx(16 + cancelled["cost"].sum())


@pytest.mark.parametrize(
    ("workers", "question", "mend"),
    [
        ({"slots": 1, "cancel_hopeless": 0.01}, {"maximize": "height"}, "repeats exactly"),
        ({"slots": 3, "cancel_hopeless": 0.01}, {"learn": "height"}, "no label is hopeless"),
    ],
)
def test_giving_up_is_refused_where_it_makes_no_sense(folder, workers, question, mend):
    asked = SPEC | {"workers": workers, "question": question}
    with pytest.raises(SpecError, match=mend) as error:
        Campaign(asked, folder / "t.db", base=folder)
    assert "workers" in str(error.value)
