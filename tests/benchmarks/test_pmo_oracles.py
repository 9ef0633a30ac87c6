"""The scoring functions of PMO: values that others have published, the targets' own scores, and a stored table."""

import csv
import math
from pathlib import Path

import pytest
import rdkit
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from benchmarks.pmo_components import at_least, at_most, clipped, geometric, near
from benchmarks.pmo_oracles import DRUGS, TASKS, score

#: What PyTDC 0.4 answers for the molecule of its manual, as the tests of poli (MachineLearningLifeScience/poli) and
#: the issue mims-harvard/TDC#244 state it.
MANUAL = "CC(C)(C)[C@H]1CCc2c(sc(NC(=O)COc3ccc(Cl)cc3)c2C(N)=O)C1"
PUBLISHED = {
    "albuterol_similarity": 0.2772277227722772,
    "amlodipine_mpo": 0.461083967620704,
    "celecoxib_rediscovery": 0.14728682170542637,
    "deco_hop": 0.5338365434669443,
    "fexofenadine_mpo": 0.4336446174984538,
    "isomers_c7h8n2o2": 2.1987591132394053e-34,
    "isomers_c9h10n2o2pf2cl": 1.713908431542013e-15,
    "median1": 0.09722243533981723,
    "median2": 0.12259690287307903,
    "mestranol_similarity": 0.19460880999342536,
    "osimertinib_mpo": 0.09011742702110873,
    "perindopril_mpo": 0.36023741111440966,
    "ranolazine_mpo": 0.29285467466584664,
    "scaffold_hop": 0.38446411012782694,
    "sitagliptin_mpo": 3.34970667598234e-12,
    "thiothixene_rediscovery": 0.17391304347826086,
    "troglitazone_rediscovery": 0.24427480916030533,
    "valsartan_smarts": 0.0,
    "zaleplon_mpo": 0.0019017991803329235,
}

#: Scores of PyTDC in the data sets liuganghuggingface/demodiff_downstream and MolGen/ZINC_250K_prop_train_val_split.
ELSEWHERE = [
    ("albuterol_similarity", "CCNC[C@@H](O)C1=CC(CO)=C(O)C=C1", 1.0),
    ("albuterol_similarity", "CCC(C)(O)CNCc1cc(C)ccc1O", 0.7619047619047619),
    ("albuterol_similarity", "CCCCCNCC(O)c1ccc(O)c(CO)c1", 0.9696969696969696),
    ("perindopril_mpo", "CCOC(=O)[C@H](Cc1c[nH]c2ccccc12)NC(C)C(=O)N1C2CCCCC2C[C@H]1C(=O)O", 0.7897862851668316),
    ("scaffold_hop", "CCCOc1ccc(C(=O)Nc2ccc3nc(NC(=O)c4ccc(OCCC)cc4)sc3c2)cc1", 0.7863450639251351),
    ("scaffold_hop", "COc1ncc(Nc2ncc([C@@H](C)O)cc2-c2nc(C)nc(N)n2)cc1F", 0.5007215007215007),
    ("zaleplon_mpo", "Cc1ccc(NC(=O)c2cccc(Oc3ncccn3)c2)c(C)c1", 0.5023310149673528),
    ("zaleplon_mpo", "Nc1nc(N)c2c(n1)CCC(c1ccccc1)C2", 0.0441147402612192),
    ("deco_hop", "CC[C@@H]1CCCC[C@H]1c1noc(-c2cn3c(n2)COCC3)n1", 0.524572),
    ("qed", "C", 0.35978494),
]
#: The scores of a hundred molecules with RDKit 2026.9.1; another release that changes one changes the benchmark.
STORED = Path(__file__).parent / "pmo_scores.csv"


@pytest.mark.parametrize(("task", "value"), PUBLISHED.items())
def test_the_scores_of_the_manuals_molecule_are_those_published(task, value):
    assert score(task, MANUAL) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("task", "smiles", "value"), ELSEWHERE)
def test_scores_are_those_of_published_data_sets(task, smiles, value):
    assert score(task, smiles) == pytest.approx(value, abs=1e-6)


def test_there_are_twenty_tasks_in_order_of_the_alphabet():
    assert len(TASKS) == 20
    assert list(TASKS) == sorted(TASKS)
    assert {*PUBLISHED, "qed"} == set(TASKS)


@pytest.mark.parametrize("task", [task for task in TASKS if task.endswith(("rediscovery", "similarity"))])
def test_a_target_is_like_itself(task):
    assert score(task, DRUGS[task.split("_")[0]]) == 1


@pytest.mark.parametrize(
    ("task", "smiles"),
    [
        ("isomers_c7h8n2o2", "NC(=O)c1ccc(O)cc1N"),
        ("isomers_c7h8n2o2", "COc1ccc(N=N)cc1O"),
        ("isomers_c9h10n2o2pf2cl", "O=P(F)(F)NC(C)(C)c1ccc(N=O)cc1Cl"),
    ],
)
def test_every_isomer_has_the_whole_score(task, smiles):
    assert score(task, smiles) == 1


def test_a_wrong_number_of_atoms_costs_a_gaussian_each():
    one_more_carbon = score("isomers_c7h8n2o2", "NC(=O)c1ccc(O)c(C)c1N")  # C8H10N2O2: +1 C, +2 H, +3 atoms
    assert one_more_carbon == pytest.approx(math.exp(-0.5 * (1**2 + 2**2 + (3 / 2) ** 2) / 5))


def test_sitagliptin_is_wanted_in_all_but_its_shape():
    likeness = math.exp(-0.5 * (1 / 0.1) ** 2)
    assert score("sitagliptin_mpo", DRUGS["sitagliptin"]) == pytest.approx(likeness ** (1 / 4))


def test_the_hops_change_one_half_of_a_molecule_and_keep_the_other():
    original = DRUGS["pharmacophore"]
    assert score("deco_hop", original) == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert score("scaffold_hop", original) == pytest.approx((1 + 1 + 0) / 3)
    assert score("deco_hop", original) == pytest.approx((1 + 0 + 0 + 1) / 4)  # in any order


def test_valsartan_needs_its_pattern():
    assert score("valsartan_smarts", DRUGS["sitagliptin"]) == 0
    assert 0 < score("valsartan_smarts", "CN(C=O)Cc1ccc(cc1)-c1ccc(C(N)=O)c(F)c1NC(C)=O") < 1


def test_modifiers():
    assert clipped(0.5)(0.25) == 0.5
    assert clipped(0.5)(0.75) == 1
    assert near(3, 2)(5) == near(3, 2)(1) == pytest.approx(math.exp(-0.5))
    assert at_least(90, 10)(95) == at_most(4, 1)(-3) == 1
    assert at_least(90, 10)(80) == at_most(4, 1)(5) == pytest.approx(math.exp(-0.5))
    assert geometric([0.25, 1.0]) == pytest.approx(0.5)
    assert geometric([0.0, 1.0]) == 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("smiles", ["", "not a molecule", "C(C)(C)(C)(C)C", "c1cccc1"])
def test_what_is_no_molecule_scores_nothing(task, smiles):
    assert score(task, smiles) == 0


def test_an_unknown_task_is_refused():
    with pytest.raises(
        ValueError, match=r"^no task is called 'drd2'; there are albuterol_similarity, amlodipine_mpo, "
    ):
        score("drd2", "C")


@settings(max_examples=60)
@given(st.text("CNOScnFP()=#123[]+-H*.", max_size=14))
def test_every_score_of_whatever_text_lies_between_nothing_and_one(text):
    for task in TASKS:
        assert 0 <= score(task, text) <= 1
        assert score(task, text) == score(task, text)


def test_another_writing_of_a_molecule_scores_the_same():
    for smiles in DRUGS.values():
        other = Chem.MolToSmiles(Chem.MolFromSmiles(smiles), rootedAtAtom=3, canonical=False)
        for task in set(TASKS) - {"deco_hop", "scaffold_hop"}:  # these take longest
            assert score(task, other) == pytest.approx(score(task, smiles), abs=1e-9)


def test_the_scores_are_those_that_were_stored():
    with STORED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    found = {(row["smiles"], task): score(task, row["smiles"]) for row in rows for task in TASKS}
    wanted = {(row["smiles"], task): float(row[task]) for row in rows for task in TASKS}
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9), f"RDKit {rdkit.__version__} scores otherwise"
