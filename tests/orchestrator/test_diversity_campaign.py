"""A campaign with a quota asks for no near copies together: by hand, simulated, and with its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.models.near_copies import CHAINS, RINGS, candidate, fullest
from tests.orchestrator.molecule_book import properties
from theoros.models.data import Dataset, Point
from theoros.models.diversity import Quota
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.agents.beliefs import to_candidate
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.control import make_control
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_methods import OWN, methods
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers import modelling

POOL = [*CHAINS, *RINGS, "N#CC#N", "FC(F)F", "OS(=O)(=O)O", "C1CC1", "c1ccoc1", "CC(C)(C)C", "C=CC=C", "NC=O"]
QUOTA = Quota(0.45, 1)
SPEC = {
    "campaign": "varied",
    "question": {"maximize": "logp"},
    "oracle": {"lookup": {"file": "m.csv", "smiles": "smiles", "outputs": {"logp": "logp"}}},
    "surrogate": "tanimoto_gp",
    "acquisition": "ucb",
    "diversity": {"similarity": 0.45},
    "budget": {"labels": 16},
    "initial": 5,
    "seed": 2,
}
PLAIN = {key: value for key, value in SPEC.items() if key != "diversity"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pool(tmp_path, POOL)
    return tmp_path


def write_pool(folder: Path, smiles: Sequence[str]) -> None:
    rows = "".join(f"{text},{properties(text)['logp']}\n" for text in smiles)
    (folder / "m.csv").write_text(f"smiles,logp\n{rows}")


def relaxed(reason: str) -> bool:
    return "in one circle, as no proposal keeps to" in reason


def three_at_a_time(spec, folder: Path, turns: int) -> tuple[list[list[Candidate]], pd.DataFrame]:
    """What three clients were given each time that they asked, and the decisions."""
    with contextlib.closing(Campaign(spec, folder / f"{len(spec)}.db", base=folder)) as campaign:
        given = []
        for _ in range(turns):
            asked = [campaign.ask(f"bench {number}") for number in range(3)]
            given.append([one.candidate for one in asked])
            for one in asked:
                campaign.tell(one, properties(one.parameters["smiles"])["logp"])
        return given, campaign.store.decisions("varied")


def test_clients_that_ask_at_the_same_time_are_given_molecules_of_different_circles(folder):
    given, decisions = three_at_a_time(SPEC, folder, 5)
    assert all(fullest(group, QUOTA) == 1 for group in given)
    assert (decisions["acquisition"] == "ucb").sum() == 10
    assert not decisions["reason"].map(relaxed).any()
    given, _ = three_at_a_time(PLAIN, folder, 5)
    assert any(fullest(group, QUOTA) > 1 for group in given), "without a quota they are given near copies"


def test_slow_gates_are_passed_by_molecules_that_have_room(folder):
    given, decisions = three_at_a_time(SPEC | {"gates": ["embed"]}, folder, 4)
    assert all(fullest(group, QUOTA) == 1 for group in given)
    assert (decisions["acquisition"] == "ucb").sum() == 7


def test_slots_of_a_simulation_keep_the_quota_among_themselves(folder):
    (method,) = methods(spec_from_dict(SPEC), folder, [OWN], slots=3)
    inner, together = method.start(method.plan), []

    class Watched:
        tell = inner.tell

        def ask(self, ledger, *, idle):
            choices = inner.ask(ledger, idle=idle)
            if choices and choices[0].acquisition:
                open_ones = [
                    Candidate(e.candidate.kind, e.candidate.data) for e in (*ledger.waiting(), *ledger.running())
                ]
                together.append([*open_ones, *(choice.point.candidate for choice in choices)])
                assert not relaxed(choices[0].reason)
            return choices

    simulate(method.plan, cheap_oracle(method.plan), Watched(), slots=3, duration=pretended(method.plan, 0))
    assert len(together) > 5
    assert max(map(len, together)) == 3
    assert all(fullest(group, QUOTA) == 1 for group in together)


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_with_workers_never_has_near_copies_under_way_together(folder):
    with contextlib.closing(Campaign(SPEC | {"workers": {"slots": 3}}, folder / "t.db", base=folder)) as campaign:
        assert campaign.run().finished
        store = campaign.store
        found = [(e.sequence, to_candidate(e.candidate)) for e in store.evaluations("varied")]
        assert fullest([one for _, one in found[:5]], QUOTA) == 1, "the first design"
        decisions = store.decisions("varied").set_index("sequence")
        ended = store.attempts("varied").groupby("evaluation_id")["ended_at"].max()
        for number, one in found[5:]:
            decision = decisions.loc[number]
            under_way = [
                other
                for earlier, other in found[: number - 1]
                if ended[decisions.loc[earlier, "evaluation_id"]] > decision["decided_at"]
            ]
            assert relaxed(decision["reason"]) or fullest([*under_way, one], QUOTA) == 1


def test_with_one_slot_labels_that_are_remembered_keep_a_whole_campaign_varied_and_it_repeats(folder):
    spec = spec_from_dict(SPEC | {"diversity": {"similarity": 0.45, "at_most": 2, "remember": 100}})
    (method,) = methods(spec, folder, [OWN], slots=1)
    first, again = (
        simulate(method.plan, cheap_oracle(method.plan), method.start(method.plan), duration=pretended(method.plan, 0))
        for _ in range(2)
    )
    asked = [candidate(step.candidate) for step in first]
    assert len(asked) == 16
    assert fullest(asked, QUOTA) == 2
    assert [step.hash for step in again] == [step.hash for step in first]


def test_a_pool_of_one_circle_does_not_stop_a_campaign(folder):
    write_pool(folder, CHAINS[5:25])
    given, decisions = three_at_a_time(SPEC | {"diversity": {"similarity": 0.1}}, folder, 3)
    assert len({one.hash for group in given for one in group}) == 9
    assert decisions["reason"].map(relaxed).any(), "and it says so"


def test_a_decision_is_not_taken_back_for_near_copies_that_could_not_be_asked_together(folder):
    labelled, waiting = [*CHAINS[:4], *POOL[-8:-1]], POOL[-1]
    write_pool(folder, [*labelled, waiting, *CHAINS[20:24]])
    with contextlib.closing(Campaign(SPEC | {"diversity": {"similarity": 0.1}}, folder / "t.db", base=folder)) as one:
        models = one.plan.models
    problem = models.problem
    points = tuple(Point(candidate(smiles), problem.target) for smiles in labelled)
    values = np.array([[properties(smiles)["logp"]] for smiles in labelled])
    dataset, seen = Dataset(points, problem.columns, values), frozenset(point.candidate.hash for point in points)
    belief, _ = modelling.train(models, dataset, range(len(points)), seed=0, previous=None)
    held = [Point(candidate(waiting), problem.target)]
    free = replace(models, problem=replace(problem, diversity=None))
    assert modelling.stale(free, belief, held, [], seen, seed=1) == [0]
    assert modelling.stale(models, belief, held, [], seen, seed=1) == [], "one of them is better, and not two"


# -- the file ------------------------------------------------------------------------------------------------------


def test_a_quota_is_carried_to_the_models_and_kept_with_the_campaign(folder):
    with contextlib.closing(Campaign(SPEC, folder / "t.db", base=folder)) as campaign:
        assert campaign.plan.models.problem.diversity == Quota(0.45, 1, 0)
        stored = campaign.plan.spec.to_dict()
        assert CampaignSpec.model_validate(stored) == campaign.plan.spec
    assert "diversity" not in spec_from_dict(PLAIN).to_dict(), "campaigns of earlier versions are the same"


def test_random_choice_keeps_no_quota_and_so_the_control_has_none(folder):
    with contextlib.closing(Campaign(SPEC, folder / "t.db", base=folder)) as campaign:
        for _ in range(2):
            asked = campaign.ask()
            campaign.tell(asked, 1.0)
        assert make_control(campaign, "random").plan.problem.diversity is None
        assert make_control(campaign, "train-once").plan.problem.diversity == QUOTA
    (method,) = methods(spec_from_dict(SPEC), folder, ["random"], slots=1)
    assert method.plan.problem.diversity is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acquisition": "random", "surrogate": "auto"}, "diversity: random choice takes what comes"),
        ({"diversity": {"similarity": 1.5}}, "diversity.similarity: "),
        ({"diversity": {"similarity": 0.5, "at_most": 0}}, "diversity.at_most: "),
        ({"diversity": {"at_most": 2}}, "diversity.similarity: "),
        ({"diversity": {"similarity": 0.5, "circles": 3}}, "diversity.circles: "),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused_with_its_field(folder, changes, message):
    with pytest.raises(SpecError) as caught:
        Campaign(SPEC | changes, folder / "t.db", base=folder)
    assert str(caught.value).startswith(message)


def test_a_quota_is_refused_where_there_are_no_molecules(tmp_path):
    spec = {
        "campaign": "bench",
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": "Branin"}},
        "budget": {"labels": 20},
        "diversity": {"similarity": 0.5},
    }
    with pytest.raises(SpecError) as caught:
        Campaign(spec, tmp_path / "t.db")
    assert str(caught.value) == (
        "diversity: near copies are told by the fingerprints of molecules, and this space holds parameters. "
        "Leave it out."
    )
