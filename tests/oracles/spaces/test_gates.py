"""Gates turn molecules away for a stated reason, once each, and never stop anything."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import MissingDependency
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.gates.base import Subject
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper
from theoros.oracles.spaces.gates.own import Own
from theoros.oracles.spaces.gates.parse import gates_from_data
from theoros.oracles.spaces.gates.quick import Alerts, Neutral, Novel, Within
from theoros.oracles.spaces.gates.relaxation import KeepsBonds
from theoros.oracles.spaces.gates.shape import Embeds, RelaxesInForceField, embedded
from theoros.oracles.spaces.molecules import read_smiles


def subject(smiles):
    molecule, canonical = read_smiles(smiles)
    return Subject(canonical, molecule)


def molecule(smiles):
    return Candidate("molecule", {"smiles": smiles})


# -- what each gate says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "smiles", "alert"),
    [
        ("brenk", "CC=O", "brenk: aldehyde"),
        ("brenk", "O=N(=O)c1ccccc1", "brenk: nitro_group"),
        ("pains", "O=C1C=CC(=O)C=C1", "pains: quinone_A(370)"),
        ("nih", "CC=O", "nih: aldehyde"),
        ("zinc", "COOC", "zinc: Peroxides"),
        ("chembl", "CC=O", "chembl: "),
    ],
)
def test_an_alert_is_named_with_its_collection(collection, smiles, alert):
    assert Alerts((collection,)).reason(subject(smiles)).startswith(alert)
    assert Alerts((collection,)).reason(subject("CCc1ccccc1")) is None


def test_collections_are_asked_in_their_order():
    assert Alerts(("pains", "brenk")).reason(subject("CC=O")) == "brenk: aldehyde"


@pytest.mark.parametrize(
    ("low", "high", "smiles", "reason"),
    [
        (None, 6, "c1ccccc1", None),
        (None, 5, "c1ccccc1", "more than 5"),
        (7, None, "c1ccccc1", "less than 7"),
        (6, 6, "c1ccccc1", None),
    ],
)
def test_a_bound_holds_at_the_bound_itself(low, high, smiles, reason):
    assert Within("heavy_atoms", low, high, "size").reason(subject(smiles)) == reason


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C[N+](=O)[O-]", None),
        ("CC[NH3+]", "a net charge of +1"),
        ("[O-]S(=O)(=O)[O-]", "a net charge of -2"),
        ("[CH3]", "a radical"),
        ("[Na+].[Cl-]", "several fragments"),
        ("[NH3+]CC(=O)[O-]", "a charge that no neighbour balances"),
    ],
)
def test_charges_that_a_neighbour_balances_are_none(smiles, reason):
    assert Neutral().reason(subject(smiles)) == reason


def test_a_known_molecule_is_known_however_it_is_written(tmp_path):
    file = tmp_path / "known.smi"
    file.write_text("OCC ethanol\nC/C=C/C\nno-molecule\n[CH3:1][NH2]\n")
    gate = Novel(str(file))
    assert [gate.reason(subject(smiles)) for smiles in ("CCO", "CC=CC", "C/C=C\\C")] == ["it is known"] * 3
    assert gate.reason(subject("CCCO")) is None
    file.write_text("CCCO\n")
    assert gate.reason(subject("CCCO")) == "it is known", "a file that has changed is read again"


def test_coordinates_are_found_for_what_exists_and_not_for_what_can_not():
    assert Embeds(10).reason(subject("CC1CC1C(=O)O")) is None
    assert Embeds(2).reason(subject("C1#CC1")) == "no coordinates can be found"
    cis, trans = "C1C[C@H]2CC[C@@H]1C2", "C1C[C@H]2CC[C@H]1C2"  # norbornane's bridge can't reach across
    assert [Embeds(2).reason(subject(smiles)) for smiles in (cis, trans)] == [None, "no coordinates can be found"]


def test_a_force_field_needs_parameters():
    assert RelaxesInForceField(10).reason(subject("CCO")) is None
    assert RelaxesInForceField(10).reason(subject("CB(C)C")) == "MMFF94 has no parameters for it"


def test_coordinates_depend_on_the_molecule_alone():
    first, second = (embedded(subject("CC(O)C#N"), 10).GetConformer().GetPositions() for _ in range(2))
    assert np.array_equal(first, second)


# -- relaxation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smiles", ["O", "C#N", "C1C2CC1C2"])
def test_relaxation_keeps_what_is_stable(smiles):
    assert KeepsBonds(60).reason(subject(smiles)) is None


def test_relaxation_moves_the_proton_of_a_zwitterion():
    """Glycine is no zwitterion outside water."""
    assert KeepsBonds(60).reason(subject("[NH3+]CC(=O)[O-]")) == "its bonds change when it is relaxed"


def test_relaxation_ends_when_its_time_is_out():
    assert KeepsBonds(1e-6).reason(subject("CCO")) == "GFN2-xTB takes longer than 1e-06 s"


def test_what_can_not_be_calculated_is_turned_away():
    assert KeepsBonds(60).reason(subject("[CH3]")) == "GFN2-xTB does not relax it"


# -- a function of the user's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("yes", None),
        ("nothing", None),
        ("no", "turned away"),
        ("why", "it is CCO"),
        ("numpy_yes", None),
        ("numpy_no", "turned away"),
        ("array_yes", None),
        ("array_no", "turned away"),
    ],
)
def test_an_own_gate_says_yes_no_or_why_not(own_gates, name, reason):
    assert Own(f"gates_of_mine:{name}", str(own_gates)).reason(subject("OCC")) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "the gate failed: KeyError"),
        ("leaves", "the gate failed: SystemExit"),
        ("number", "the gate failed: TypeError"),
        ("numpy_number", "the gate failed: TypeError"),
        ("arrays", "the gate failed: TypeError"),
    ],
)
def test_a_gate_that_fails_turns_away_and_is_told(own_gates, caplog, name, reason):
    keeper = Gatekeeper([Own(f"gates_of_mine:{name}", str(own_gates))])
    with caplog.at_level(logging.WARNING):
        assert not keeper(molecule("CCO"))
    assert f"gates_of_mine:{name}" in caplog.text
    assert keeper.take_counts() == {f"gates_of_mine:{name}": {reason: 1}}


def test_a_person_who_interrupts_a_gate_is_heard(own_gates):
    with pytest.raises(KeyboardInterrupt):
        Gatekeeper([Own("gates_of_mine:interrupted", str(own_gates))])(molecule("CCO"))


# -- from a campaign file ------------------------------------------------------------------------------------------


def test_gates_are_read_in_their_order(own_gates):
    (own_gates / "known.smi").write_text("CCO\n")
    data = [
        {"alerts": ["brenk", "pains", "brenk"]}, {"sa_score": 4.5}, {"size": "4..9"}, {"qed": [0.3, None]}, "charges",
        {"novelty": "known.smi"}, "embed", {"mmff": "20 s"}, {"relax": "2 min"}, "gates_of_mine:yes",
        {"gates_of_mine:no": "late"},
    ]  # fmt: skip
    folder = str(own_gates)
    assert gates_from_data(data, own_gates) == (
        Alerts(("brenk", "pains")),
        Within("sa_score", None, 4.5, "sa_score"),
        Within("heavy_atoms", 4.0, 9.0, "size"),
        Within("qed", 0.3, None, "qed"),
        Neutral(),
        Novel(str(own_gates / "known.smi")),
        Embeds(10.0),
        RelaxesInForceField(20.0),
        KeepsBonds(120.0),
        Own("gates_of_mine:yes", folder),
        Own("gates_of_mine:no", folder, late=True),
    )


COLLECTIONS = "Write for example 'alerts: brenk'; there are pains, brenk, nih, zinc, chembl."
BOUND = "Write '{0}: 4' for at most, or '{0}: 2..4' for a range."
DURATION = "is not how long it may take. Write for example '10 s', or leave it out."
MISTAKES = [
    ("allerts", (0,), "there is no gate 'allerts'. Did you mean 'alerts'?"),
    (
        {"alerts": None},
        (0, "alerts"),
        f"it must name a collection of alerts, or several in brackets. {COLLECTIONS}",
    ),
    ({"alerts": ["brenk", "pain"]}, (0, "alerts"), f"there is no collection of alerts 'pain'. {COLLECTIONS}"),
    ({"sa_score": "low"}, (0, "sa_score"), f"'low' is no bound. {BOUND.format('sa_score')}"),
    ({"size": True}, (0, "size"), f"True is no bound. {BOUND.format('size')}"),
    ("size", (0,), f"None is no bound. {BOUND.format('size')}"),
    ({"size": [1, 2, 3]}, (0, "size"), f"[1, 2, 3] is no bound. {BOUND.format('size')}"),
    ({"size": "9..4"}, (0, "size"), "nothing lies in '9..4': the first number is the larger. Turn them round."),
    ({"charges": 3}, (0, "charges"), "it has no setting, and 3 is one. Write 'charges' alone."),
    ("novelty", (0,), "it must name a file of known molecules. Write for example 'novelty: known.smi'."),
    ({"embed": "soon"}, (0, "embed"), f"'soon' {DURATION}"),
    ({"relax": -1}, (0, "relax"), f"-1 {DURATION}"),
    ("gates_of_mine:maybe", (0,), "'gates_of_mine:maybe': the module 'gates_of_mine' has no 'maybe'."),
    (
        "gates_of_mine:constant",
        (0,),
        "gates_of_mine:constant is no function. Name one that takes a SMILES and returns True, False or a text.",
    ),
    (
        {"gates_of_mine:yes": 3},
        (0, "gates_of_mine:yes"),
        "3 does not say when gates_of_mine:yes is asked. Write 'early' for every molecule that is met (the default), "
        "or 'late', if it is slow, for those about to be chosen.",
    ),
]


@pytest.mark.parametrize(("item", "field", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_mend(own_gates, item, field, message):
    with pytest.raises(SpaceError) as error:
        gates_from_data([item], own_gates)
    assert (error.value.field, error.value.message) == (field, message)


def test_a_file_of_known_molecules_has_to_be_there(tmp_path):
    with pytest.raises(SpaceError, match=r"0\]?.novelty: there is no file .*known.smi"):
        gates_from_data([{"novelty": "known.smi"}], tmp_path)


def test_relaxation_without_tblite_says_what_installs_it(monkeypatch):
    def missing():
        raise MissingDependency("install it: pip install 'theoros[xtb]'")

    monkeypatch.setattr("theoros.oracles.chemistry.tblite_backend.check_tblite", missing)
    with pytest.raises(SpaceError, match=r"install it: pip install 'theoros\[xtb\]'"):
        gates_from_data(["relax"])
