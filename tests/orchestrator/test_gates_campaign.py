"""A campaign asks nothing that its gates turn away, and its database tells what they did."""

from __future__ import annotations

import io
from collections import Counter
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console

from theoros.models import gates as module
from theoros.models.data import Proposal
from theoros.models.feasibility import SUCCEEDS
from theoros.models.gates import CHECKS, admitted
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.gates.quick import Neutral, Within
from theoros.oracles.spaces.gates.shape import Embeds
from theoros.oracles.spaces.molecule_properties import evaluate
from theoros.orchestrator.asktell import NothingToAsk
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.gates import UNFIT, card_of, gate_counts, unfit_of
from theoros.orchestrator.report.status import print_campaign
from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_engine import EngineChooser
from theoros.orchestrator.simulate_methods import OWN, methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers import modelling

MODULE = """
from theoros.oracles.decorate import oracle
from theoros.oracles.spaces import Molecules


@oracle(space=Molecules(elements=["C", "N", "O"], heavy_atoms=(2, 6)), outputs={"logp": ""})
def logp(smiles):
    from rdkit.Chem import Crippen, MolFromSmiles

    return Crippen.MolLogP(MolFromSmiles(smiles))


def no_nitrogen(smiles):
    return "it has nitrogen" if "n" in smiles.lower() else True


def nothing(smiles):
    return False
"""

SPEC = {
    "campaign": "gated",
    "question": {"maximize": "logp", "subject to": ["heavy_atoms <= 5"]},
    "oracle": "logp_of_gated:logp",
    "surrogate": "tanimoto_gp",
    "acquisition": "ucb",
    "proposers": ["random"],
    "budget": {"labels": 12},
    "initial": 6,
    "workers": {"slots": 1},
    "gates": [{"alerts": "brenk"}, {"sa_score": 4.5}, "logp_of_gated:no_nitrogen", "embed"],
    "seed": 3,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "logp_of_gated.py").write_text(MODULE)
    return tmp_path


def opened(folder, **fields):
    return Campaign({**SPEC, **fields}, folder / "t.db", base=folder)


def answered(campaign, n):
    """Ask and answer `n` times; returns what was asked."""
    from rdkit.Chem import Crippen, MolFromSmiles

    found = []
    for _ in range(n):
        asked = campaign.ask()
        campaign.tell(asked, Crippen.MolLogP(MolFromSmiles(asked.parameters["smiles"])))
        found.append(asked.candidate)
    return found


def passes(candidate):
    return (
        evaluate("sa_score", candidate) <= 4.5
        and evaluate("heavy_atoms", candidate) <= 5
        and "n" not in candidate.text.lower()
    )


# -- what is learned -----------------------------------------------------------------------------------------------

SLOW = {**SPEC, "question": {"maximize": "logp"}, "gates": [{"logp_of_gated:no_nitrogen": "late"}]}


@pytest.mark.usefixtures("local_ray")
def test_what_a_slow_gate_turns_away_is_learned_as_failed(folder):
    campaign = opened(folder, **(SLOW | {"workers": {"slots": 2}}))
    assert campaign.run().finished
    unfit = unfit_of(campaign.store.cards("gated", UNFIT))
    assert unfit
    assert all("n" in one.candidate.text.lower() for one in unfit)
    assert all(one.decision >= 1 for one in unfit)
    assert sum(gate_counts(campaign.store, "gated")["logp_of_gated:no_nitrogen"].values()) >= len(unfit)
    last = campaign.store.model_versions("gated")[-1]
    assert SUCCEEDS in last.hyperparameters, "the model has an output for what fails"
    assert last.n_labels <= 12, "what was turned away is no label"
    assert not campaign.store.evaluations("gated", ["abandoned"])


def test_ask_and_tell_learn_it_too_and_repeat_exactly_after_a_resume(folder, tmp_path):
    first = answered(opened(folder, **SLOW), 10)
    (tmp_path / "again").mkdir()
    campaign = Campaign({**SPEC, **SLOW}, tmp_path / "again" / "t.db", base=folder)
    again = answered(campaign, 8)
    again += answered(Campaign.open("gated", tmp_path / "again" / "t.db"), 2)
    assert again == first
    assert SUCCEEDS in campaign.store.model_versions("gated")[-1].hyperparameters


def test_a_simulation_learns_it_whatever_other_seeds_have_met_before(folder):
    spec = spec_from_dict({**SLOW, "budget": {"labels": 14}})

    def simulated(plan):
        oracle, chooser = cheap_oracle(plan, force=True), EngineChooser(plan)
        return [step.candidate for step in simulate(plan, oracle, chooser, duration=pretended(plan, plan.spec.seed))]

    plan = methods(spec, folder, [OWN], slots=1)[0].plan
    first = simulated(plan)
    simulated(with_seed(plan, 4))
    assert simulated(plan) == first


# -- a campaign ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_asks_only_what_passes_and_tells_what_did_not(folder):
    campaign = opened(folder)
    assert campaign.run().finished
    labels = campaign.labels()
    assert len(labels) == 12
    assert all(passes(Candidate("molecule", {"smiles": smiles})) for smiles in labels["smiles"])
    counts = gate_counts(campaign.store, "gated")
    assert set(counts) <= {"heavy_atoms", "alerts", "sa_score", "logp_of_gated:no_nitrogen", "embed"}
    assert counts["logp_of_gated:no_nitrogen"].keys() == {"it has nitrogen"}
    assert all(reason.startswith("brenk: ") for reason in counts["alerts"])
    assert all(n > 0 for reasons in counts.values() for n in reasons.values())
    decisions = campaign.store.decisions("gated")
    assert set(decisions["acquisition"].dropna()) - {""}, "the model had a say"


def test_ask_and_tell_pass_the_gates_and_count_as_well(folder):
    campaign = opened(folder)
    found = answered(campaign, 9)
    assert all(map(passes, found))
    counts = gate_counts(campaign.store, "gated")
    assert sum(counts["logp_of_gated:no_nitrogen"].values()) > 0
    assert campaign.plan.gates.take_counts() == {}, "everything that was counted is in the database"


def test_a_campaign_repeats_exactly_with_its_gates_and_after_a_resume(folder, tmp_path):
    first = answered(opened(folder), 10)
    (tmp_path / "again").mkdir()
    campaign = Campaign(SPEC, tmp_path / "again" / "t.db", base=folder)
    again = answered(campaign, 8)
    again += answered(Campaign.open("gated", tmp_path / "again" / "t.db"), 2)
    assert again == first


def test_without_gates_the_space_and_the_bounds_of_the_question_are_counted(folder):
    genetic = {"genetic": {"generations": 3, "offspring": 20}}
    question = {"maximize": "logp", "subject to": ["sa_score <= 3", "heavy_atoms <= 5"]}
    campaign = opened(folder, gates=[], question=question, proposers=[genetic])
    found = answered(campaign, 8)
    assert all(evaluate("sa_score", candidate) <= 3 for candidate in found)
    counts = gate_counts(campaign.store, "gated")
    assert set(counts) == {"space (genetic)", "sa_score", "heavy_atoms"}
    assert list(counts["sa_score"]) == ["more than 3"]
    assert sum(n for reason, n in counts["space (genetic)"].items() if reason.startswith("stability rule: ")) > 0
    assert campaign.plan.gates.take_counts() == {}, "everything that was counted is in the database"


@pytest.mark.usefixtures("local_ray")
def test_a_run_counts_what_the_space_refused_without_any_gate(folder):
    genetic = {"genetic": {"generations": 2, "offspring": 20}}
    campaign = opened(folder, gates=[], question={"maximize": "logp"}, proposers=[genetic], budget={"labels": 8})
    assert campaign.run().finished
    counts = gate_counts(campaign.store, "gated")
    assert set(counts) == {"space (genetic)"}
    text = io.StringIO()
    print_campaign(Console(file=text, width=200), campaign.store, "gated")
    assert f"gate space (genetic) turned away {sum(counts['space (genetic)'].values())}: " in text.getvalue()


def test_gates_that_let_nothing_through_end_a_campaign_and_say_so(folder):
    for when in ("early", "late"):
        campaign = opened(folder, campaign=when, gates=[{"logp_of_gated:nothing": when}])
        with pytest.raises(NothingToAsk, match="no candidate is left that has not been asked and passes the gates"):
            campaign.ask()
        assert gate_counts(campaign.store, when)["logp_of_gated:nothing"]["turned away"] > 10


def test_every_proposal_has_passed_the_slow_gates(folder):
    gates = [{"logp_of_gated:no_nitrogen": "late"}]
    plan = opened(folder, gates=gates).plan
    proposals = modelling.propose(plan.models, None, [], frozenset(), n=6, seed=1)
    assert len(proposals) == 6
    assert not any("n" in proposal.candidate.text.lower() for proposal in proposals)
    assert plan.gates.take_counts()["logp_of_gated:no_nitrogen"]["it has nitrogen"] > 0


def test_a_table_of_hostile_rows_is_asked_for_its_molecules_alone(folder):
    hostile = ["C" * 5000, "C1CC", "[CH3]", "[Na+].[Cl-]", "C" * 500, "\u202eCC", "C(C)(C)(C)(C)C", "[Fe]", "C[NH3+]"]
    rows = [f"{smiles},{i}" for i, smiles in enumerate(["CCO", *hostile, "CCN", "CCC"])]
    (folder / "rows.csv").write_text("\n".join(["smiles,value", *rows, ""]))
    lookup = {"lookup": {"file": "rows.csv", "smiles": "smiles", "outputs": {"value": "value"}}}
    question, gates = {"maximize": "value"}, ["charges", {"size": "2..9"}]
    campaign = opened(folder, oracle=lookup, question=question, gates=gates, proposers=["library"], initial=2)
    asked = [campaign.ask(name) for name in ("a", "b", "c")]
    assert {one.candidate.text for one in asked} == {"CCO", "CCN", "CCC"}
    with pytest.raises(NothingToAsk, match="and passes the gates"):
        campaign.ask("d")
    counts = gate_counts(campaign.store, "gated")
    assert counts["charges"] == {"a net charge of +1": 1, "a radical": 1, "several fragments": 1}
    assert counts["size"] == {"less than 2": 1, "more than 9": 1}


def test_counts_of_several_decisions_add_up(folder):
    campaign = opened(folder)
    campaign.save()
    assert gate_counts(campaign.store, "gated") == {}
    for counts in ({"embed": {"no coordinates can be found": 2}}, {"embed": {"no coordinates can be found": 1}}):
        campaign.store.add_card("gated", card_of(counts))
    assert gate_counts(campaign.store, "gated") == {"embed": {"no coordinates can be found": 3}}


def test_the_control_has_the_same_gates(folder):
    campaign = opened(folder, campaign="random", acquisition="random")
    assert all(map(passes, answered(campaign, 8)))


# -- from the file to the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "gates: [charges, size: 5, embed]",
        "gates: {charges: true, size: 5, embed: }",
        "gates:\n  - charges\n  - size: 5\n  - embed\n",
    ],
)
def test_gates_are_written_as_a_list_or_as_a_mapping(folder, written):
    plan = opened(folder, gates=yaml.safe_load(written)["gates"]).plan
    assert plan.gates.gates == (
        Within("heavy_atoms", None, 5.0, "heavy_atoms"),  # of the question
        Neutral(),
        Within("heavy_atoms", None, 5.0, "size"),
        Embeds(10.0),
    )
    assert plan.problem.feasible is plan.gates
    assert plan.models.gates is plan.gates


def test_one_gate_needs_no_brackets(folder):
    assert opened(folder, gates="charges").plan.gates.gates[1:] == (Neutral(),)


def test_a_campaign_without_gates_is_stored_as_it_always_was(folder):
    plain = {key: value for key, value in SPEC.items() if key != "gates"}
    spec = CampaignSpec.model_validate(plain)
    assert "gates" not in spec.to_dict()
    plan = Campaign(plain, folder / "t.db", base=folder).plan
    assert plan.exhausted == "no candidate is left that has not been asked"


def test_a_specification_with_gates_reads_itself(folder):
    spec = CampaignSpec.model_validate(SPEC)
    assert CampaignSpec.model_validate(spec.to_dict()) == spec


NO_GATE = "is no gate; write a name, or one name with its setting, for example 'gates: [charges, alerts: brenk]'."


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (["charges", {"embed": None, "size": 4}], f"gates: number 2, {{'embed': None, 'size': 4}}, {NO_GATE}"),
        ([3], f"gates: number 1, 3, {NO_GATE}"),
        (["charges", "charges"], "gates: the gate 'charges' is named twice; name each once."),
        (["charges", "embedd"], "gates.1: there is no gate 'embedd'. Did you mean 'embed'?"),
        (
            [{"sa_score": "low"}],
            "gates.0.sa_score: 'low' is no bound. Write 'sa_score: 4' for at most, or 'sa_score: 2..4' for a range.",
        ),
    ],
)
def test_a_mistake_names_the_file_the_field_and_the_mend(folder, gates, message):
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump({**SPEC, "gates": gates}))
    with pytest.raises(SpecError) as error:
        Campaign(path, folder / "t.db")
    assert str(error.value) == f"campaign.yaml: {message}"


def test_gates_are_for_molecules(folder):
    spec = {
        "campaign": "bench",
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": "Branin"}},
        "budget": {"labels": 5},
        "gates": ["charges"],
    }
    with pytest.raises(SpecError, match=r"^gates: gates judge molecules, and this space holds parameters. Leave them"):
        Campaign(spec, folder / "t.db")


# -- between proposing and choosing --------------------------------------------------------------------------------


def asking(names):
    """Proposes the first four of `names` that were not seen, and remembers how often it was asked."""
    calls = Counter()

    def ask(seen, seed):
        calls["asked"] += 1
        left = [Candidate("molecule", {"smiles": name}) for name in names]
        return [Proposal(c, "list") for c in left if c.hash not in seen][:4]

    return SimpleNamespace(ask=ask, calls=calls)


def texts(proposals):
    return [proposal.candidate.text for proposal in proposals]


def test_the_best_that_pass_are_taken_in_their_order():
    listed = asking(["C" * n for n in range(1, 20)])
    assert texts(admitted(listed.ask, lambda c: len(c.text) % 3 == 0, frozenset(), 2, 0)) == ["CCC", "CCCCCC"]
    assert listed.calls["asked"] == 2, "as the first four held only one"


def test_no_more_are_looked_at_than_needed_and_none_twice():
    looked_at = []
    listed = asking(["C" * n for n in range(1, 8)])

    def admits(candidate):
        looked_at.append(candidate.text)
        return len(candidate.text) > 4

    assert texts(admitted(listed.ask, admits, frozenset(), 2, 0)) == ["CCCCC", "CCCCCC"]
    assert looked_at == ["C" * n for n in range(1, 7)]


def test_it_ends_when_there_is_no_more_and_when_it_has_looked_at_many():
    few = asking(["C", "CC"])
    assert admitted(few.ask, lambda c: False, frozenset(), 3, 0) == []
    assert few.calls["asked"] == 2
    looked_at = []
    many = asking(["C" * n for n in range(1, 500)])

    def only(length):
        return lambda c: bool(looked_at.append(c)) or len(c.text) == length

    assert texts(admitted(many.ask, only(1), frozenset(), 2, 0)) == ["C"]
    assert len(looked_at) == 2 * CHECKS


def test_it_does_not_end_with_none_as_long_as_there_are_more():
    many = asking(["C" * n for n in range(1, 500)])
    assert texts(admitted(many.ask, lambda c: len(c.text) == 400, frozenset(), 2, 0)) == ["C" * 400]
    assert admitted(many.ask, lambda c: False, frozenset(), 2, 0) == []


def test_it_ends_when_its_time_is_out(monkeypatch):
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    listed = asking(["C" * n for n in range(1, 500)])
    looked_at = []

    def admits(candidate):
        looked_at.append(candidate.text)
        return candidate.text == "CC"

    assert texts(admitted(listed.ask, admits, frozenset(), 20, 0)) == ["CC"]
    assert len(looked_at) == module.SECONDS / 60


def test_a_campaign_is_shown_with_what_its_gates_did(folder):
    campaign = opened(folder)
    campaign.save()
    reasons = {"brenk: aldehyde": 7, "brenk: nitro_group": 2, "brenk: imine_1": 1, "brenk: azide": 1}
    campaign.store.add_card("gated", card_of({"alerts": reasons}))
    text = io.StringIO()
    print_campaign(Console(file=text, width=200), campaign.store, "gated")
    shown = "gate alerts turned away 11: 7 x brenk: aldehyde, 2 x brenk: nitro_group, 1 x brenk: imine_1"
    assert f"  {shown}\n" in text.getvalue()
