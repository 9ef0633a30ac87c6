"""What proposers bring, take and earn stands in the database, and shares follow from what stands there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from rich.console import Console

from tests.orchestrator.molecule_book import properties
from theoros.oracles import Quantity, oracle
from theoros.oracles.spaces import Molecules
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.report.console import plain_console
from theoros.orchestrator.report.proposers import who_earned_what
from theoros.orchestrator.report.status import print_campaign
from theoros.orchestrator.spec.errors import SpecError

LINE = {
    "campaign": "bench",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "proposers": ["acquisition_optimizer", "random"],
    "budget": {"labels": 20},
    "initial": 5,
    "seed": 4,
}


@oracle(space=Molecules(heavy_atoms=(1, 7)), outputs={"logp": Quantity()})
def lipophilicity(smiles: str) -> float:
    """RDKit's logP."""
    return properties(smiles)["logp"]


def bowl(parameters):
    return (parameters["x1"] - 3) ** 2 + (parameters["x2"] - 2) ** 2


def run(spec, database: Path, *, restart_at: int | None = None, n: int = 12) -> Campaign:
    """Ask and tell `n` times; with `restart_at` the campaign is closed and opened again before that."""
    opened = Campaign(spec, database)
    for number in range(n):
        if number == restart_at:
            opened.close()
            opened = Campaign(spec, database)
        asked = opened.ask()
        opened.tell(asked, bowl(asked.parameters))
    return opened


def test_a_campaign_repeats_and_resumes_whatever_time_its_proposers_took(tmp_path):
    ran = [run(LINE, tmp_path / "a.db"), run(LINE, tmp_path / "b.db"), run(LINE, tmp_path / "c.db", restart_at=9)]
    try:
        first, *others = ([e.candidate.hash for e in campaign.store.evaluations("bench")] for campaign in ran)
        assert all(other == first for other in others)
        taken = [
            [offer.seconds for pool in campaign.store.offers("bench").values() for offer in pool] for campaign in ran
        ]
        assert taken[0] != taken[1]
        promised = [
            [
                (offer.proposer, offer.share, offer.promise)
                for pool in campaign.store.offers("bench").values()
                for offer in pool
            ]
            for campaign in ran
        ]
        assert promised[0] == promised[1] == promised[2]
    finally:
        for campaign in ran:
            campaign.close()


def test_every_decision_tells_what_each_proposer_brought_and_shares_follow(tmp_path):
    campaign = run(LINE, tmp_path / "a.db")
    pools = campaign.store.offers("bench")
    assert len(pools) == 12
    guided = [{offer.proposer: offer for offer in pool} for pool in list(pools.values())[5:]]
    for pool in guided:
        assert set(pool) == {"acquisition_optimizer", "random"}
        assert pool["acquisition_optimizer"].promise > pool["random"].promise
        assert sum(offer.share for offer in pool.values()) == pytest.approx(1)
    assert guided[0]["random"].share == 0.5
    assert guided[-1]["random"].share < 0.4, "from six pools"
    table = who_earned_what(campaign.store, "bench").set_index("proposer")
    assert table["asked"].sum() == 12
    best = campaign.top(1)
    assert table["value"].min() == pytest.approx(best["value"].iloc[0])
    assert (table["proposing"] >= 0).all()
    lines = told(campaign)
    assert any(line.startswith("random: ") and "CPU s, mean promise 0." in line for line in lines)
    campaign.close()


def told(campaign: Campaign) -> list[str]:
    """What `theoros show` says."""
    console: Console = plain_console()
    with console.capture() as capture:
        print_campaign(console, campaign.store, "bench")
    return [line.strip() for line in capture.get().splitlines()]


def test_molecules_that_were_bred_are_kept_with_their_parents(tmp_path):
    spec = {
        "campaign": "bred",
        "question": {"maximize": "logp"},
        "oracle": f"{__name__}:lipophilicity",
        "proposers": ["genetic", "selfies"],
        "surrogate": "tanimoto_gp",
        "budget": {"labels": 12},
        "initial": 6,
        "seed": 3,
    }
    campaign = Campaign(spec, tmp_path / "t.db")
    for _ in range(7):
        asked = campaign.ask()
        campaign.tell(asked, properties(asked.parameters["smiles"])["logp"])
    evaluations = {e.evaluation_id: e for e in campaign.store.evaluations("bred")}
    descents = campaign.store.descent("bred")
    assert {evaluations[key].sequence for key in descents} == {7}, "the first choice by a model"
    for key, pairs in descents.items():
        assert pairs[0].child == evaluations[key].candidate.text
        space = Molecules(heavy_atoms=(1, 7))
        assert all(space.candidate(pair.parent).text == pair.parent for pair in pairs), "canonical, and of the space"
        assert all(pair.parent != pair.child for pair in pairs)
    frame = campaign.store.parents("bred")
    asked_before = frame[frame["parent_sequence"].notna()]
    assert (asked_before["parent_sequence"] < asked_before["sequence"]).all()
    campaign.close()


def test_credit_per_second_is_refused_where_it_would_break_a_promise_or_say_nothing(tmp_path):
    with pytest.raises(SpecError, match=r"a campaign with one slot repeats exactly\. Use more slots, or leave it out"):
        Campaign(LINE | {"credit": "per_second", "workers": {"slots": 1}}, tmp_path / "t.db")
    alone = LINE | {"credit": "per_second", "proposers": ["random"]}
    with pytest.raises(SpecError, match=r"this campaign has one, 'random'\. Name several proposers"):
        Campaign(alone, tmp_path / "t.db")


def test_credit_per_second_is_carried_to_the_models_and_kept_with_the_campaign(tmp_path):
    counted, plain = Campaign(LINE | {"credit": "per_second"}, tmp_path / "t.db"), Campaign(LINE, tmp_path / "u.db")
    assert (counted.plan.models.credit_per_second, plain.plan.models.credit_per_second) == (True, False)
    assert counted.plan.spec.to_dict()["credit"] == "per_second"
    assert "credit" not in plain.plan.spec.to_dict(), "campaigns of earlier versions are the same"
    counted.close()
    plain.close()


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_that_counts_time_runs_and_learns_of_it_from_the_database(tmp_path):
    spec = LINE | {"credit": "per_second", "budget": {"labels": 12}, "workers": {"slots": 2}}
    with contextlib.closing(Campaign(spec, tmp_path / "t.db")) as campaign:
        campaign.run()
        labels = campaign.store.label_records("bench")
        assert len(labels) == 12
        assert all(label.seconds is not None for label in labels)
        guided = [label for label in labels if label.acquisition]
        assert guided
        assert {offer.proposer for label in guided for offer in label.offers} <= {"acquisition_optimizer", "random"}
        table = campaign.store.proposers("bench").set_index("proposer")
        assert table.loc["acquisition_optimizer", "seconds"] > 0
        assert table["decisions"].sum() == len(campaign.store.evaluations("bench"))
