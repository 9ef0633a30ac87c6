"""Reaction energies: what a molecule becomes, that atoms and charge are kept, and known energies."""

import pytest
from pydantic import ValidationError

from theoros.oracles.chemistry.oracle import PySCFOracle, XTBOracle
from theoros.oracles.chemistry.properties import MissingOutput
from theoros.oracles.chemistry.reactions import MOST_PRODUCTS, Reaction, outcomes, reaction_energy, spin_of
from theoros.oracles.failures import InvalidCandidate

HYDROGENATION, PROTONATION = (Reaction.model_validate(name) for name in ("hydrogenation", "protonation"))


@pytest.mark.parametrize(
    ("reaction", "smiles", "expected"),
    [
        (HYDROGENATION, "C=C", ["CC"]),
        (HYDROGENATION, "C#N", ["C=N"]),
        (HYDROGENATION, "C=CC=O", ["C=CCO", "CCC=O"]),
        (HYDROGENATION, "c1ccccc1", ["C1=CCCC=C1"]),
        (PROTONATION, "O", ["[OH3+]"]),
        (PROTONATION, "c1ccncc1", ["c1cc[nH+]cc1"]),
        (PROTONATION, "CC(N)=O", ["CC(N)=[OH+]", "CC([NH3+])=O"]),
        (PROTONATION, "[NH2]C", ["C[NH3+]"]),
        (PROTONATION, "c1cc[nH]c1", ["C1=C[NH2+]C=C1"]),
        (HYDROGENATION, "[CH2]=[CH2]", ["CC"]),
    ],
)
def test_a_named_reaction_gives_the_products_of_the_textbook(reaction, smiles, expected):
    assert outcomes(reaction, smiles) == [(product,) for product in expected]


def test_hydrogens_follow_at_a_stereocentre_too():
    assert outcomes(PROTONATION, "C[S@](=O)CC") == [("CC[S@H+](C)=O",), ("CC[S@](C)=[OH+]",)]


def test_an_outcome_that_does_not_keep_the_atoms_is_left_out_beside_one_that_does():
    smarts = ["[C:1]=[C:2]>>[C:1][C:2]", "[C:1]#[C:2]>>[C:1][C:2]"]
    reaction = Reaction.model_validate({"smarts": smarts, "reactants": {"[H][H]": 1}})
    assert outcomes(reaction, "C#CC=C") == [("C#CCC",)]


def test_radicals_stay_radicals_in_a_reaction():
    assert outcomes(HYDROGENATION, "C=C[CH2]") == [("[CH2]CC",)]


def test_a_reaction_may_split_the_candidate():
    hydrogenolysis = Reaction.model_validate({"smarts": "[CX4:1][OX2:2]>>[C:1].[O:2]", "reactants": {"[H][H]": 1}})
    assert outcomes(hydrogenolysis, "COCC") == [("C", "CCO"), ("CC", "CO")]


@pytest.mark.parametrize(
    ("reaction", "smiles", "message"),
    [
        (HYDROGENATION, "CC", "does not apply to 'CC'"),
        ("protonation", "C", "does not apply"),
        ({"smarts": "[C:1]=[C:2]>>[C:1][C:2]"}, "C=C", r"doesn't keep H: \[4\] before, \[6\] after; add reactants"),
        ({"smarts": "[N:1]>>[N+:1]", "reactants": {"[H]": 1}}, "N", r"doesn't keep charge: \[0\] before, \[1\] after"),
        (HYDROGENATION, "nonsense", "can't read the SMILES 'nonsense'"),
        (HYDROGENATION, "C=C" * 30, f"more than {MOST_PRODUCTS}"),
    ],
)
def test_a_reaction_that_a_candidate_cannot_undergo_is_a_failure_of_the_candidate(reaction, smiles, message):
    with pytest.raises(InvalidCandidate, match=message):
        outcomes(Reaction.model_validate(reaction), smiles)


@pytest.mark.parametrize(
    ("reaction", "message"),
    [
        ("hydration", "no reaction is called 'hydration'; there are hydrogenation, protonation"),
        ({"smarts": "C="}, "RDKit can't read the reaction 'C='"),
        ({"smarts": "[C:1].[O:2]>>[C:1][O:2]"}, "must have one reactant, the candidate"),
        ({"smarts": "[N:1]>>[N+:1]", "reactants": {"[H+]": 1}}, r"no electrons to compute; let '\[OH3\+\]' give"),
        ({"smarts": "[N:1]>>[N+:1]", "products": {"xyz": 1}}, "can't read the SMILES 'xyz'"),
        ({"smarts": "[N:1]>>[N+:1]", "reactants": {"O": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_reaction_is_refused_before_anything_is_computed(reaction, message):
    with pytest.raises(ValidationError, match=message):
        XTBOracle(outputs=["reaction_energy"], reaction=reaction)


def test_the_energy_is_products_minus_reactants_and_the_lowest_product_counts():
    energies = {"[H][H]": -1.0, "C=CCO": -12.0, "CCC=O": -13.0}
    energy, details = reaction_energy(HYDROGENATION, "C=CC=O", -10.0, energies.__getitem__)
    assert energy == pytest.approx(-2.0)
    assert details == {"products": ["CCC=O"], "outcomes": 2}


def test_ethylene_binds_hydrogen_with_about_its_heat_of_hydrogenation(molecule):
    # -1.42 eV at 298 K (-137 kJ/mol); without vibrations some 0.3 eV more is set free.
    levels = [{"name": "pbe", "method": "pbe", "basis": "def2-svp", "density_fit": True, "grid_level": 0}]
    oracle = PySCFOracle(outputs=["reaction_energy"], fidelities=levels, reaction="hydrogenation")
    answer = oracle.evaluate(molecule("C=C"), "pbe")
    assert answer.values["reaction_energy"] == pytest.approx(-1.75, abs=0.35)
    assert answer.details["reaction"]["products"] == ["CC"]


def test_proton_affinities_are_in_the_order_of_experiment(molecule):
    # Water 691, methanol 754, ammonia 854, pyridine 930 kJ/mol: the more is set free, the more basic.
    oracle = XTBOracle(outputs=["reaction_energy"], reaction="protonation", geometry={"optimize": "oracle"})
    found = [
        oracle.evaluate(molecule(smiles), "gfn2").values["reaction_energy"] for smiles in ("O", "CO", "N", "c1ccncc1")
    ]
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found == sorted(found, reverse=True)


def test_a_partner_is_computed_once_and_so_is_a_product_that_comes_again(molecule, monkeypatch):
    oracle = XTBOracle(outputs=["reaction_energy"], reaction="hydrogenation")
    seen, real = [], oracle._calculate
    monkeypatch.setattr(oracle, "_calculate", lambda level: lambda s: seen.append(s.symbols) or real(level)(s))
    for smiles in ("C=C", "C=C", "C=CC"):
        oracle.evaluate(molecule(smiles), "gfn2")
    assert seen.count(("H", "H")) == 1
    assert sum(symbols.count("C") == 2 and symbols.count("H") == 6 for symbols in seen) == 1


def test_radicals_have_the_spin_that_their_smiles_says(molecule):
    # The C-H bond of methane: 4.5 eV.
    oracle = XTBOracle(
        outputs=["reaction_energy"], reaction={"smarts": "[CH4:1]>>[CH3:1]", "products": {"[H]": 1}}
    )  # fmt: skip
    assert 3.5 < oracle.evaluate(molecule("C"), "gfn2").values["reaction_energy"] < 6.0


@pytest.mark.parametrize(
    ("spin", "molecules"),
    [
        (0, ["C=O", "[C-]#[O+]", "F[C]F", "[SiH2]", "CN1C=CN(C)[C]1", "C=[C]", "[C]#[C]", "O=C1C=CC(=O)C=C1"]),
        (1, ["[CH3]", "[H]", "[N]=O", "[B]", "C[O]", "[C+]", "[OH]"]),
        (2, ["O=O", "[O][O]", "S=O", "S=S", "[CH2]", "C[CH]", "[NH]", "[O]", "[C]", "[Si]", "[N+]"]),
        (3, ["[N]", "[O+]", "[C-]"]),
    ],
)
def test_the_ground_states_of_the_textbook_have_so_many_unpaired_electrons(spin, molecules):
    assert {smiles: spin_of(smiles) for smiles in molecules} == dict.fromkeys(molecules, spin)


def test_oxygen_is_the_triplet_however_it_is_written(molecule):
    # The closed shell lies 2.2 eV above the triplet in Hartree-Fock.
    levels = [{"name": "hf", "method": "hf", "basis": "sto-3g", "optimize_geometry": True}]
    change = {"smarts": "[O:1]>>[O:1]", "reactants": {"[O][O]": 1}, "products": {"O=O": 1}}
    oracle = PySCFOracle(outputs=["reaction_energy"], fidelities=levels, reaction=change)
    assert oracle.evaluate(molecule("O"), "hf").values["reaction_energy"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("smiles", ["[CH2]", "[CH3]", "O=O"])
def test_a_candidate_that_reacts_has_the_energy_and_spin_of_the_same_molecule_as_a_partner(molecule, smiles):
    levels = [{"name": "hf", "method": "hf", "basis": "sto-3g"}]
    itself = {"smarts": "[*:1]>>[*:1]"}
    oracle = PySCFOracle(outputs=["reaction_energy", "energy"], fidelities=levels, reaction=itself)
    answer = oracle.evaluate(molecule(smiles), "hf")
    assert answer.details["spin"] == spin_of(smiles)
    assert answer.values["energy"] == pytest.approx(oracle._energy_of(smiles, oracle.options.fidelities[0]), abs=1e-6)


def test_without_a_reaction_the_option_decides_and_what_the_smiles_says_is_reported(molecule):
    details = XTBOracle().evaluate(molecule("[CH2]"), "gfn2").details
    assert (details["spin"], details["spin_of_smiles"]) == (0, 2)
    assert "spin_of_smiles" not in XTBOracle(spin=2).evaluate(molecule("[CH2]"), "gfn2").details
    assert "spin_of_smiles" not in XTBOracle().evaluate(molecule("C"), "gfn2").details


def test_a_radical_that_reacts_has_no_excitations_of_a_closed_shell(molecule):
    levels = [{"name": "hf", "method": "hf", "basis": "sto-3g"}]
    oracle = PySCFOracle(
        outputs=["reaction_energy", "excitation_energy"], fidelities=levels, reaction={"smarts": "[*:1]>>[*:1]"}
    )
    with pytest.raises(InvalidCandidate, match="unpaired electrons"):
        oracle.evaluate(molecule("[CH3]"), "hf")


def test_a_radical_is_not_relaxed_where_its_gradients_would_be_wrong(molecule):
    levels = [{"name": "best", "method": "ccsd(t)", "basis": "sto-3g", "optimize_geometry": True}]
    oracle = PySCFOracle(outputs=["reaction_energy"], fidelities=levels, reaction={"smarts": "[*:1]>>[*:1]"})
    with pytest.raises(InvalidCandidate, match="gradients for unpaired electrons aren't those of its energy"):
        oracle.evaluate(molecule("[CH3]"), "best")


def test_a_reaction_is_part_of_what_an_answer_is_filed_under():
    first, second = (
        XTBOracle(outputs=["reaction_energy"], reaction=name).fidelities[0].settings
        for name in ("hydrogenation", "protonation")
    )
    assert first != second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "set for example reaction: hydrogenation"),
        ({"reaction": "hydrogenation", "charge": 1}, "remove charge and spin"),
        ({"reaction": "hydrogenation", "geometry": {"ensemble": {"conformers": 3}}}, r"remove geometry\.ensemble"),
    ],
)
def test_what_a_reaction_needs_is_said_at_construction(options, message):
    with pytest.raises(MissingOutput, match=message):
        XTBOracle(outputs=["reaction_energy"], **options)
