"""Ask and tell: the loop for an oracle that is a person."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.orchestrator import bench
from theoros.db import CampaignOwned
from theoros.oracles import oracle
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import BadAnswer, NotConverged
from theoros.oracles.spaces import Molecules
from theoros.orchestrator.asktell import NothingToAsk
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.spec.errors import SpecError

SPEC = bench.SPEC | {"budget": {"labels": 16}}


@pytest.fixture
def campaign(tmp_path):
    opened = Campaign(SPEC, tmp_path / "t.db")
    yield opened
    opened.close()


def bowl(parameters):
    return (parameters["x1"] - 3) ** 2 + (parameters["x2"] - 2) ** 2


def test_a_loop_of_ask_and_tell_finds_the_bottom_of_a_bowl(campaign):
    for _ in range(16):
        asked = campaign.ask()
        assert campaign.tell(asked, bowl(asked.parameters))
    assert campaign.top(1)["value"].iloc[0] < 0.05
    with pytest.raises(NothingToAsk, match="budget of 16 labels"):
        campaign.ask()


def test_asking_again_before_telling_gives_the_same_and_others_get_others(campaign):
    first = campaign.ask("anna")
    assert campaign.ask("anna") == first
    other = campaign.ask("ben")
    assert other.evaluation != first.evaluation
    assert other.candidate != first.candidate
    campaign.tell(first, 1.0)
    assert campaign.ask("anna") not in (first, other)


def test_an_answer_counts_once(campaign):
    asked = campaign.ask()
    assert campaign.tell(asked, {"value": 2.0})
    assert not campaign.tell(asked, {"value": 3.0})
    assert campaign.labels()["value"].tolist() == [2.0]


def test_a_wrong_answer_is_refused_and_the_question_stays_open(campaign):
    asked = campaign.ask()
    with pytest.raises(BadAnswer, match="lacks"):
        campaign.tell(asked, {"energy": 1.0})
    with pytest.raises(BadAnswer, match="finite"):
        campaign.tell(asked, float("nan"))
    assert campaign.ask() == asked


def test_a_failed_experiment_is_recorded_and_not_asked_again(campaign):
    asked = campaign.ask()
    assert campaign.tell(asked, NotConverged("the flask broke"))
    (failed,) = campaign.store.evaluations("bench", ["abandoned"])
    assert failed.failure_class == "not_converged"
    assert campaign.ask().candidate != asked.candidate


def test_a_reopened_campaign_goes_on_where_it_was(campaign, tmp_path):
    asked = campaign.ask("anna")
    reopened = Campaign.open("bench", tmp_path / "t.db")
    assert reopened.ask("anna") == asked
    assert reopened.tell(asked, 1.0)
    reopened.close()


def test_model_versions_are_recorded_with_scores_of_what_was_predicted(campaign):
    for _ in range(12):
        asked = campaign.ask()
        campaign.tell(asked, bowl(asked.parameters))
    versions = campaign.store.model_versions("bench")
    assert [v.number for v in versions] == list(range(1, len(versions) + 1))
    assert versions[-1].n_labels == 11
    assert {s.metric for s in versions[-1].scores} >= {"rmse", "coverage_90"}
    decisions = campaign.store.decisions("bench")
    assert decisions["model_version"].max() == versions[-1].number


def test_the_first_design_asks_every_fidelity_of_the_same_candidate(tmp_path):
    ladder = {"synthetic": {"function": "AugmentedBranin"}}
    campaign = Campaign(SPEC | {"campaign": "ladder", "oracle": ladder, "initial": 2}, tmp_path / "t.db")
    levels = campaign.plan.problem.fidelities
    assert len(levels) > 1
    asked = []
    for _ in levels:
        asked.append(campaign.ask())
        campaign.tell(asked[-1], 1.0 + len(asked))
    assert [a.fidelity for a in asked] == list(levels)
    assert len({a.candidate for a in asked}) == 1
    campaign.close()


def test_clients_that_ask_at_the_same_time_get_evaluations_of_their_own(campaign):
    campaign.save()
    with ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(campaign.ask, ["anna", "ben", "cleo", "dan"]))
    assert len({a.evaluation for a in asked}) == 4


def test_while_an_orchestrator_runs_the_campaign_nobody_else_decides_and_answers_are_taken_still(campaign):
    asked = campaign.ask("anna")
    owner = campaign.store.acquire("bench", host="cluster", pid=1)
    campaign.store.set_state("bench", "running", owner=owner)
    assert campaign.ask("anna") == asked, "what was asked stays hers"
    with pytest.raises(CampaignOwned, match="cluster"):
        campaign.ask("ben")
    assert campaign.tell(asked, 1.0)


def test_credit_and_contest_stand_in_the_database_and_so_a_restart_changes_no_decision(tmp_path):
    spec = SPEC | {"acquisition": "portfolio", "budget": {"labels": 12}}

    def run(file: str, *, restart_at: int | None = None) -> Campaign:
        opened = Campaign(spec, tmp_path / file)
        for n in range(12):
            if n == restart_at:
                opened.close()
                opened = Campaign(spec, tmp_path / file)
            asked = opened.ask()
            opened.tell(asked, bowl(asked.parameters))
        return opened

    whole, restarted = run("a.db"), run("b.db", restart_at=10)
    try:
        first, second = ([e.candidate.hash for e in c.store.evaluations("bench")] for c in (whole, restarted))
        assert first == second
        decisions = restarted.store.decisions("bench").drop_duplicates("sequence").set_index("sequence")
        labels = restarted.store.label_records("bench")
        assert [(label.proposer, label.acquisition) for label in labels] == list(
            zip(decisions["proposer"], decisions["acquisition"], strict=True)
        )
        guided = decisions[decisions["acquisition"] != ""]
        assert set(guided["acquisition"]) <= {"log_ei", "ucb", "mes", "ei", "thompson"}
        assert guided["reason"].str.contains("the turn of").all()
        contest = restarted.store.model_versions("bench")[-1].hyperparameters["contest"]
        assert contest["labels"] == 2  # the ninth and the tenth, predicted from eight
        assert set(contest["gains"]) == {"gp", "random_forest"}
    finally:
        whole.close()
        restarted.close()


class Careless:
    """Proposes what nobody can read."""

    name, kinds, needs_model = "careless", frozenset({"molecule"}), True

    def propose(self, request):
        return [Candidate("molecule", {"smiles": text}) for text in ("xx", "[Fe]", "")]


@oracle(space=Molecules(heavy_atoms=(1, 5)), outputs={"value": ""})
def length(smiles: str) -> float:
    return len(smiles)


def test_a_proposer_of_unreadable_candidates_ends_nothing(tmp_path, caplog):
    own = {"oracle": f"{__name__}:length", "proposers": [f"{__name__}:Careless", "random"], "initial": 3}
    with closing(Campaign(SPEC | own, tmp_path / "t.db")) as campaign:
        for _ in range(5):
            asked = campaign.ask()
            campaign.tell(asked, float(len(asked.candidate.text)))
        assert set(campaign.store.decisions(campaign.name)["proposer"]) == {"random"}
    assert "'careless' made 3 of 3 candidates outside the space" in caplog.text


def test_a_campaign_that_has_begun_opens_whatever_its_file_holds(tmp_path):
    """A thousand lines of a long file may miss the few that fit, and its labels are not to be lost for it."""
    (tmp_path / "mine.smi").write_text("CCO\nCCN\n")
    spec = SPEC | {"oracle": f"{__name__}:length", "space": {"molecules": {"file": "mine.smi"}}}
    with closing(Campaign(spec, tmp_path / "t.db", base=tmp_path)) as campaign:
        campaign.ask()
    (tmp_path / "mine.smi").write_text("CCCCCCCCCCCC\n")
    with closing(Campaign.open(campaign.name, tmp_path / "t.db")) as again:
        assert again.name == campaign.name
    with pytest.raises(SpecError, match="none is a molecule of the space"):
        Campaign(spec, tmp_path / "other.db", base=tmp_path)
