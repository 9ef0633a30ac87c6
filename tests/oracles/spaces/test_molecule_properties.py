"""Properties that need no oracle, against figures from the literature."""

from __future__ import annotations

import pint
import pytest

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Molecules, Parameters, Real
from theoros.oracles.spaces.molecule_properties import PROPERTIES, evaluate

SPACE = Molecules(heavy_atoms=(1, 30))


@pytest.mark.parametrize(
    ("name", "smiles", "value", "tolerance"),
    [
        ("heavy_atoms", "CCO", 3, 0),
        ("molecular_weight", "O", 18.015, 1e-3),
        ("molecular_weight", "c1ccccc1", 78.11, 1e-2),
        ("tpsa", "CCO", 20.23, 1e-2),  # one hydroxyl, Ertl et al. 2000, table 1
        ("tpsa", "CC(C)=O", 17.07, 1e-2),  # one carbonyl oxygen, the same table
        ("rings", "c1ccc2ccccc2c1", 2, 0),
        ("rotatable_bonds", "CCCC", 1, 0),
        ("h_bond_donors", "OCCO", 2, 0),
        ("h_bond_acceptors", "COC", 1, 0),
        ("logp", "c1ccccc1", 1.69, 0.01),  # six aromatic CH of 0.1581 and six H of 0.1230, Wildman & Crippen 1999
    ],
)
def test_known_values(name, smiles, value, tolerance):
    assert evaluate(name, SPACE.candidate(smiles)) == pytest.approx(value, abs=tolerance)


def test_aspirin_is_easier_to_make_than_a_spiro_cage():
    aspirin = evaluate("sa_score", SPACE.candidate("CC(=O)Oc1ccccc1C(=O)O"))
    assert 1 <= aspirin < 2.5
    assert evaluate("sa_score", SPACE.candidate("C1CC12CC2N1CCOC1")) > aspirin + 1


def test_drug_likeness_is_a_share():
    assert 0 < evaluate("qed", SPACE.candidate("CC(=O)Oc1ccccc1C(=O)O")) < 1


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_has_a_unit_that_pint_reads_and_a_description(name):
    pint.UnitRegistry().parse_units(PROPERTIES[name].unit)
    assert PROPERTIES[name].description
    assert isinstance(evaluate(name, SPACE.candidate("CCO")), float)


def test_errors_name_what_there_is():
    with pytest.raises(ValueError, match="Did you mean 'sa_score'"):
        evaluate("sa_scor", SPACE.candidate("C"))
    with pytest.raises(ValueError, match="property of molecules"):
        evaluate("logp", Parameters(x=Real(0, 1)).candidate({"x": 0.5}))
    with pytest.raises(InvalidCandidate):
        evaluate("logp", Candidate("molecule", {"smiles": "C("}))
