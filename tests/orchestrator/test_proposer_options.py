"""What the campaign file says of its proposers reaches them, wherever they are asked, and is kept."""

from __future__ import annotations

import pytest
import yaml

from theoros.models import registry
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.control import make_control
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.workers import modelling
from theoros.workers.model_worker import ModelWorker

MODULE = """
from dataclasses import dataclass

from theoros.models.proposers.random_design import RandomDesign


@dataclass(frozen=True)
class Corner(RandomDesign):
    where: float = 0.0

    name = "corner"

    @classmethod
    def with_options(cls, options):
        if set(options) - {"where"}:
            raise ValueError(f"A corner has no option {sorted(options)[0]!r}. It has 'where'.")
        return cls(**options)

    def propose(self, request):
        return [request.problem.space.candidate({"x1": self.where, "x2": self.where})]
"""
SPEC = {
    "campaign": "bench",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 6},
    "initial": 2,
    "seed": 4,
}
MOLECULES = {
    "campaign": "molecules",
    "question": {"maximize": "gap"},
    "space": {"molecules": {"elements": ["C", "N", "O"], "heavy_atoms": "2..7"}},
    "oracle": {"pyscf": {"fidelities": [{"name": "hf", "method": "hf", "basis": "sto-3g"}]}},
    "budget": {"labels": 20},
    "proposers": ["random", {"genetic": {"generations": 3, "population": 8}}, {"language_model": {"hidden": 320}}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "corners.py").write_text(MODULE)
    return tmp_path


def opened(folder, spec, **fields):
    return Campaign({**spec, **fields}, folder / "t.db", base=folder)


@pytest.mark.parametrize(
    "written",
    [
        "proposers: [random, {genetic: {generations: 3}}]",
        "proposers: {random: , genetic: {generations: 3}}",
        "proposers:\n  - random\n  - genetic: {generations: 3}\n",
    ],
)
def test_proposers_are_written_as_a_list_or_as_a_mapping(written):
    spec = CampaignSpec.model_validate({**MOLECULES, **yaml.safe_load(written)})
    assert spec.proposers == ("random", "genetic")
    assert spec.proposer_options == {"genetic": {"generations": 3}}


def test_one_proposer_needs_no_brackets():
    assert CampaignSpec.model_validate({**SPEC, "proposers": "random"}).proposers == ("random",)


def test_a_specification_reads_itself_and_without_options_is_what_it_always_was():
    spec = CampaignSpec.model_validate(MOLECULES)
    assert CampaignSpec.model_validate(spec.to_dict()) == spec
    plain = CampaignSpec.model_validate({**SPEC, "proposers": ["random"]}).to_dict()
    assert plain["proposers"] == ["random"]
    assert "proposer_options" not in plain


def test_whoever_builds_proposers_builds_them_with_their_options(folder, monkeypatch):
    plan = opened(folder, MOLECULES).plan
    assert plan.proposers == ("random", "genetic", "language_model")
    built, proposer = [], registry.proposer

    def kept(name, options=None):
        built.append(proposer(name, options))
        return built[-1]

    monkeypatch.setattr(registry, "proposer", kept)
    ModelWorker(plan.models, 1)
    _, random, genetic, language_model = built
    assert (genetic.generations, genetic.population) == (3, 8)
    assert language_model.sizes.hidden == 320
    assert [one.name for one in (random, genetic, language_model)] == list(plan.proposers)


def test_a_proposer_of_ones_own_has_its_options_too(folder):
    campaign = opened(folder, SPEC, proposers=[{"corners:Corner": {"where": 7.5}}], surrogate="random_forest")
    for _ in range(2):
        campaign.tell(campaign.ask(), 1.0)
    assert campaign.ask().parameters == {"x1": 7.5, "x2": 7.5}
    decisions = campaign.store.decisions("bench")
    assert decisions["proposer"].iloc[-1] == "corner", "as it names itself"
    campaign.close()
    again = Campaign.open("bench", folder / "t.db")
    assert again.plan.models.proposer_options == {"corners:Corner": {"where": 7.5}}
    again.close()


def test_at_random_a_proposer_of_ones_own_has_its_options_from_the_start(folder):
    plan = opened(folder, SPEC, proposers=[{"corners:Corner": {"where": 3}}], acquisition="random").plan
    (proposal,) = modelling.propose(plan.models, None, [], frozenset(), n=1, seed=1)
    assert dict(proposal.candidate.data) == {"x1": 3.0, "x2": 3.0}


def test_what_ones_own_proposer_refuses_is_told_before_the_campaign_starts(folder):
    with pytest.raises(SpecError, match=r"^proposers.0: A corner has no option 'wher'. It has 'where'.$"):
        opened(folder, SPEC, proposers=[{"corners:Corner": {"wher": 3}}])


def test_a_control_that_asks_at_random_leaves_the_options_behind(folder):
    campaign = opened(folder, MOLECULES)
    campaign.save()
    control = make_control(campaign, "random")
    stored = control.plan.spec.to_dict()
    assert stored["proposers"] == ["random"]
    assert "proposer_options" not in stored
