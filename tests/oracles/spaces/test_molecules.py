"""The space of small molecules: one text for one molecule, and a reason for every refusal."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Molecules, SpaceError, space_from_dict
from theoros.oracles.spaces.starting_molecules import shipped_smiles

SPACE = Molecules()


@pytest.mark.parametrize(
    ("one", "other"),
    [("OCC", "CCO"), ("C1=CC=CC=C1", "c1ccccc1"), ("CN(=O)=O", "C[N+](=O)[O-]"), ("[H]C([H])([H])C", "CC")],
)
def test_all_writings_of_a_molecule_are_one_candidate(one, other):
    assert SPACE.candidate(one) == SPACE.candidate(other)


@settings(max_examples=60)
@given(st.sampled_from(shipped_smiles()), st.integers(0, 2**31 - 1))
def test_any_order_of_atoms_is_the_same_candidate(smiles, seed):
    molecule = Chem.MolFromSmiles(smiles)
    order = np.random.default_rng(seed).permutation(molecule.GetNumAtoms()).tolist()
    shuffled = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
    assert SPACE.candidate(shuffled) == SPACE.candidate(smiles)


@pytest.mark.parametrize(
    ("smiles", "rule"),
    [
        ("C(", "can't be read"),
        ("C(C)(C)(C)(C)C", "valences"),
        ("", "not a SMILES"),
        (None, "not a SMILES"),
        ("CCCl", "contains Cl"),
        ("CCCCCCCCCC", "10 heavy atoms"),
        ("CC[O]", "radical"),
        ("[NH3+]CC(=O)[O-]", "neutral form"),
        ("[OH-]", "charge"),
        ("[2H]CC", "isotope"),
        ("C.C", "fragments"),
        ("COOC", "peroxide"),
        ("C=CO", "enol"),
        ("OCO", "hydrate"),
        ("CC(O)N", "hydrate"),
        ("NCN", "aminal"),
        ("CNF", "heteroatom-halogen"),
        ("NNN", "three heteroatoms"),
        ("C=N", "imine with hydrogen"),
        ("C=C=O", "ketene"),
        ("CC=S", "thial"),
        ("NC(=O)O", "carbamic"),
        ("C1=CC=C1", "cyclobutadiene"),
        ("C1=CO1", "three-membered ring"),
        ("O=C1CC1", "exocyclic"),
        ("C1CCC#CC1", "triple bond in a small ring"),
        ("C1CC=C=CC1", "cumulated"),
        ("C1CC2CCC1=C2", "Bredt"),
        ("C1C2CC12", "fused rings"),
        ("CN=O", "nitroso"),
    ],
)
def test_a_refusal_says_which_rule_is_broken(smiles, rule):
    with pytest.raises(InvalidCandidate, match=rule):
        SPACE.candidate(smiles)


@pytest.mark.parametrize(
    "smiles",
    [
        "C",
        "O",
        "N",
        "C=O",
        "CC(=O)O",
        "CC(N)=O",
        "c1ccccc1",
        "c1ccoc1",
        "c1ccsc1",
        "c1cc[nH]c1",
        "c1ccncc1",
        "C1CO1",
        "C1CC1",
        "CC#N",
        "C#C",
        "S=C=S",
        "CS(C)=O",
        "CS(C)(=O)=O",
        "C[N+](=O)[O-]",
        "Nc1ccccc1",
        "Oc1ccccc1",
        "NC(N)=O",
        "NC(N)=S",
        "CSSC",
        "C1CCCCC1",
        "C1CC2CCC1C2",
        "C=CC=C",
        "CC(C)=O",
        "FC(F)F",
        "CN=C=O",
        "N#CC#N",
        "CNN",
        "CON",
        "COC",
        "CC=NO",
        "Cc1ccccc1",
        "CN=C=S",
        "c1cnoc1",
        "NCC(=O)O",
        "CC(C)=NN",
        "O=Cc1ccco1",
        "C1=CCC=C1",
        "C1=CCCC1",
    ],
)
def test_molecules_from_the_shelf_are_accepted(smiles):
    assert SPACE.candidate(smiles).data["smiles"] == Chem.CanonSmiles(smiles)


MAIN_GROUP = Molecules(elements=("B", "C", "N", "O", "F", "P", "S", "Cl", "Se", "I"))


@pytest.mark.parametrize(
    "smiles",
    [
        "[SH4]", "[SH6]", "C[SH3]", "C[SH2]C", "O=[SH2]", "C[SH]=O", "C[SH](=O)=O", "C=[SH2]", "CN=[SH]C", "C[SH+][O-]",
        "[SeH4]", "[PH5]", "C[PH4]", "C=[PH3]", "N=[PH3]", "O=[PH3]", "C[PH2+][CH2-]", "C[IH2]",
    ],
)  # fmt: skip
def test_no_hydrogen_is_left_on_a_hypervalent_atom(smiles):
    with pytest.raises(InvalidCandidate, match="hydrogen on a hypervalent atom"):
        MAIN_GROUP.candidate(smiles)
    assert Molecules(elements=MAIN_GROUP.elements, alerts=False).candidate(smiles)


@pytest.mark.parametrize(
    "smiles",
    [
        "S", "CS", "C[Se]C", "CS(C)=O", "CS(C)(=O)=O", "CS(N)(=O)=O", "CS(=O)(=O)O", "CS(F)(=O)=O", "OS(=O)(=O)O",
        "FS(F)(F)(F)(F)F", "CN=S(C)(C)=O", "CS(C)(=N)=O", "P", "CP", "CP(C)C", "CP(C)(C)=O", "CP(=O)(O)O",
        "COP(=O)(OC)OC", "CO[PH](=O)OC", "C[PH](C)=O", "C[PH](=O)O", "O=[PH2]O", "C=P(C)(C)C", "C[PH+](C)[BH3-]",
        "O=P(Cl)(Cl)Cl", "CI",
    ],
)  # fmt: skip
def test_sulfur_and_phosphorus_keep_their_chemistry(smiles):
    assert MAIN_GROUP.candidate(smiles)


def test_alerts_can_be_left_out():
    assert Molecules(alerts=False).candidate("COOC").text == "COOC"


def test_stereo_marks_are_removed_unless_they_are_asked_for():
    assert SPACE.candidate("C/C=C/F") == SPACE.candidate("C/C=C\\F")
    stereo = Molecules(stereo=True)
    assert stereo.candidate("C/C=C/F") != stereo.candidate("C/C=C\\F")


def test_rings_and_forbidden_patterns_are_refused_where_the_space_says_so():
    space = Molecules(max_ring_size=5, forbid=["[N+](=O)[O-]"])
    space.candidate("C1CCCC1")
    with pytest.raises(InvalidCandidate, match="ring of 6"):
        space.candidate("C1CCCCC1")
    with pytest.raises(InvalidCandidate, match="forbidden"):
        space.candidate("C[N+](=O)[O-]")


@pytest.mark.parametrize(
    ("declare", "field"),
    [
        (lambda: Molecules(elements=["C", "Xy"]), ("elements", 1)),
        (lambda: Molecules(elements=["H"]), ("elements",)),
        (lambda: Molecules(heavy_atoms=(5, 2)), ("heavy_atoms",)),
        (lambda: Molecules(heavy_atoms=3), ("heavy_atoms",)),
        (lambda: Molecules(max_ring_size=2), ("max_ring_size",)),
        (lambda: Molecules(forbid=["C", "("]), ("forbid", 1)),
    ],
)
def test_an_impossible_declaration_names_its_field(declare, field):
    with pytest.raises(SpaceError) as caught:
        declare()
    assert caught.value.field == field


def test_hydrogen_may_be_named_and_changes_nothing():
    assert Molecules(elements=["H", "C"]) == Molecules(elements=["C"])


def test_check_refuses_a_text_that_is_not_canonical():
    SPACE.check(SPACE.candidate("CCO"))
    with pytest.raises(InvalidCandidate, match="canonical"):
        SPACE.check(Candidate("molecule", {"smiles": "OCC"}))
    with pytest.raises(InvalidCandidate, match="kind"):
        SPACE.check(Candidate("parameters", {"smiles": "CCO"}))


def test_seeds_lie_in_the_space_they_are_asked_for():
    space = Molecules(elements=["C", "O"], heavy_atoms=(2, 5), max_ring_size=4, forbid=["C=C"])
    seeds = space.seeds()
    assert {"CCO", "C1CO1", "CC(C)=O"} <= {seed.text for seed in seeds}
    for seed in seeds:
        space.check(seed)


def test_the_random_control_draws_distinct_members_and_says_when_there_are_too_few():
    drawn = SPACE.sample(200, np.random.default_rng(0))
    assert len(set(drawn)) == 200
    assert drawn == SPACE.sample(200, np.random.default_rng(0))
    few = Molecules(elements=["C"], heavy_atoms=(1, 2))
    assert {c.text for c in few.sample(10, np.random.default_rng(0))} == {"C", "CC", "C=C", "C#C"}


def test_every_molecule_has_the_same_chance():
    space = Molecules(elements=["C", "O"], heavy_atoms=(1, 3))
    pool = space.seeds()
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(pool, 0)
    for _ in range(400):
        for candidate in space.sample(3, rng):
            counts[candidate] += 1
    expected = 1200 / len(pool)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < len(pool) + 5 * np.sqrt(2 * len(pool))


def test_a_space_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE


def test_a_file_of_the_users_own_is_where_search_begins(tmp_path):
    """Lines that are no molecules of the space are passed over; what is left is canonical and distinct."""
    (tmp_path / "mine.smi").write_text("OCC first\nCCO again\nnonsense\nc1ccccc1 ring\n[Na+].[Cl-] salt\n")
    space = Molecules(file=str(tmp_path / "mine.smi"), elements=["C", "O"])
    assert {c.text for c in space.seeds()} == {"CCO", "c1ccccc1"}
    assert {c.text for c in space.sample(9, np.random.default_rng(0))} == {"CCO", "c1ccccc1"}
    assert len(space.sample(1, np.random.default_rng(0))) == 1
    assert space_from_dict(space.to_dict()) == space


def test_a_file_with_other_bytes_than_were_declared_is_refused(tmp_path):
    path = tmp_path / "mine.smi"
    path.write_text("CCO\n")
    declared = Molecules(file=str(path)).to_dict()
    path.write_text("CCN\n")
    with pytest.raises(SpaceError, match="not the file that was declared"):
        space_from_dict(declared)


def test_a_missing_file_is_named_with_its_field(tmp_path):
    with pytest.raises(SpaceError, match="there is no file") as caught:
        space_from_dict({"molecules": {"file": "absent.smi"}}, tmp_path)
    assert caught.value.field == ("molecules", "file")


def test_zinc_is_a_file_by_name():
    space = Molecules(
        file="zinc250k", elements=["C", "N", "O", "F", "S", "Cl", "Br"], heavy_atoms=(10, 40), alerts=False
    )
    drawn = space.sample(20, np.random.default_rng(1))
    assert len(drawn) == 20
    assert all(10 <= Chem.MolFromSmiles(c.text).GetNumHeavyAtoms() <= 40 for c in drawn)
    assert space.to_dict()["molecules"]["file"] == "zinc250k"
    assert space_from_dict(space.to_dict()) == space
