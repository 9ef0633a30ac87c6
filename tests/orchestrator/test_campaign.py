"""A campaign from its specification to its labels, on a real local Ray."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.control import make_control
from theoros.workers.cluster import ClusterError

pytestmark = pytest.mark.usefixtures("local_ray")

BRANIN: dict[str, Any] = {
    "campaign": "branin",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 22},
    "workers": {"slots": 1},
    "seed": 4,
}


def spec(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(BRANIN) | changes


def decisions(campaign: Campaign) -> list[tuple[str, str]]:
    return [(e.candidate.hash, e.fidelity) for e in campaign.store.evaluations(campaign.name)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Campaign:
    """The campaign, run to its end."""
    campaign = Campaign(spec(), tmp_path_factory.mktemp("finished") / "t.db")
    assert campaign.run().finished
    return campaign


def test_a_campaign_ends_with_its_budget_spent_and_a_good_answer(finished):
    assert len(finished.labels()) == 22
    best = finished.top(1)["value"].iloc[0]
    assert best < 0.397887 + 0.5  # random search needs several hundred labels for this
    assert finished.store.campaign("branin").state == "finished"


def test_every_decision_says_why_and_every_model_version_is_scored(finished):
    chosen = finished.store.decisions("branin")
    guided = chosen[chosen["model_version"].notna()]
    assert len(guided) >= 15
    assert (guided["acquisition"] == "log_ei").all()
    assert guided[["predicted_mean", "predicted_std", "acquisition_value", "seconds"]].notna().all().all()
    last = finished.store.model_versions("branin")[-1]
    metrics = {score.metric for score in last.scores}
    assert {"rmse", "nll", "coverage_50", "coverage_90", "miscalibration_area"} <= metrics
    assert len(finished.store.checks("branin")) >= 15


def test_with_one_slot_a_campaign_repeats_exactly(finished, tmp_path):
    again, other = Campaign(spec(), tmp_path / "again.db"), Campaign(spec(seed=5), tmp_path / "other.db")
    again.run()
    other.run()
    assert decisions(again) == decisions(finished)
    assert decisions(other) != decisions(finished)


def test_a_second_campaign_pays_nothing_for_answers_the_database_has(finished):
    again = Campaign(spec(campaign="again"), finished.store.url)
    again.run()
    assert decisions(again) == decisions(finished)
    assert again.store.progress("again", {"full": 1.0}).cost == 0
    assert again.labels()["from_cache"].all()


def test_failures_count_towards_the_budget_and_the_campaign_goes_on(tmp_path):
    failing = {"synthetic": {"function": "Branin", "failure_rate": 0.4}}
    campaign = Campaign(spec(oracle=failing, acquisition="random", workers={"slots": 3}), tmp_path / "t.db")
    assert campaign.run().finished
    states = [e.state for e in campaign.store.evaluations("branin")]
    assert len(states) == 22
    assert set(states) == {"done", "abandoned"}
    assert campaign.store.progress("branin", {"full": 1.0}).cost == 22


def test_a_target_ends_the_campaign_early(tmp_path):
    campaign = Campaign(spec(acquisition="random", stop={"target": 40.0}), tmp_path / "t.db")
    ending = campaign.run()
    assert ending.finished
    assert "target" in ending.reason
    assert len(campaign.labels()) < 22


def test_learning_reduces_the_error(tmp_path):
    campaign = Campaign(spec(question={"learn": "value"}, budget={"labels": 30}), tmp_path / "t.db")
    assert campaign.run().finished
    checks = campaign.store.checks("branin")
    errors = (checks["mean"] - checks["observed"]).abs().to_numpy()
    assert errors[-8:].mean() < 0.5 * errors[:8].mean()


def test_controls_spend_the_same_and_say_what_they_are(finished):
    random = make_control(finished, "random")
    assert random.run().finished
    assert random.name == "branin.random"
    assert len(random.labels()) == 22
    chosen = random.store.decisions("branin.random")
    assert set(chosen["proposer"]) == {"random"}
    assert random.store.model_versions("branin.random") == []
    once = make_control(finished, "train-once")
    assert once.run().finished
    versions = once.store.model_versions("branin.train-once")
    assert versions[-1].n_labels == 5, "the last fit knows the whole initial design and nothing else"


def test_more_slots_than_fit_are_refused_with_what_there_is(tmp_path):
    hungry = spec(oracle={"synthetic": {"function": "Branin", "resources": {"num_gpus": 3}}})
    campaign = Campaign(hungry, tmp_path / "t.db")
    with pytest.raises(ClusterError, match=r"needs CPU 1, GPU 3.*the cluster has .*CPU 4"):
        campaign.run()
    assert campaign.state == "new"


def test_a_model_worker_that_fits_nowhere_is_refused_with_what_there_is(tmp_path):
    trained_on_gpus = Campaign(spec(workers={"trainer": {"num_gpus": 2}}), tmp_path / "t.db")
    with pytest.raises(ClusterError, match=r"trainer needs CPU 1, GPU 2; the cluster has .*Lower workers\.trainer"):
        trained_on_gpus.run()
    assert trained_on_gpus.state == "new"
