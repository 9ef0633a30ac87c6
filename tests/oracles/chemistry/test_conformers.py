"""Ensembles of conformers and their Boltzmann means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from theoros.oracles.chemistry.conformers import NEGLIGIBLE, boltzmann, distinct, ensemble, populated
from theoros.oracles.chemistry.levels import OracleGeometry
from theoros.oracles.chemistry.oracle import PySCFOracle, XTBOracle
from theoros.oracles.chemistry.units import KELVIN
from theoros.oracles.failures import InvalidCandidate

ENERGIES = st.lists(st.floats(-2, 2), min_size=1, max_size=8)


def torsion(system):
    p = system.coordinates[:4]
    first, second = np.cross(p[0] - p[1], p[2] - p[1]), np.cross(p[1] - p[2], p[3] - p[2])
    sign = np.sign(np.dot(np.cross(first, second), p[2] - p[1]))
    return sign * np.degrees(np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second)))


@settings(max_examples=100)
@given(energies=ENERGIES, temperature=st.floats(50, 2000), shift=st.floats(-1e4, 1e4))
def test_boltzmann_weights_sum_to_one_rank_by_energy_and_know_no_zero(energies, temperature, shift):
    weights = boltzmann(energies, temperature)
    assert weights.sum() == pytest.approx(1.0)
    assert np.argmax(weights) in np.flatnonzero(np.isclose(energies, min(energies), atol=1e-6))
    assert boltzmann([e + shift for e in energies], temperature) == pytest.approx(weights, abs=1e-6)


def test_two_states_have_their_textbook_ratio():
    excited = KELVIN * 300 * np.log(2)
    assert boltzmann([0.0, excited], 300) == pytest.approx([2 / 3, 1 / 3])


@settings(max_examples=100)
@given(energies=ENERGIES)
def test_the_states_that_are_left_out_hold_no_more_than_is_negligible(energies):
    weights = boltzmann(energies, 300)
    kept = populated(weights)
    assert weights[kept].sum() >= 1 - NEGLIGIBLE - 1e-12
    assert list(weights[kept]) == sorted(weights[kept], reverse=True)


def test_butane_has_its_anti_and_its_two_mirrored_gauche_conformers():
    found = ensemble("CCCC", 20, 7)
    angles = [torsion(system) for system in found]
    assert len(found) == 3
    assert abs(angles[0]) == pytest.approx(180, abs=2)
    assert sorted(angles[1:]) == pytest.approx([-65, 65], abs=5)


@pytest.mark.parametrize("smiles", ["CC=CC", "CC(O)C(C)N", "C1CCC2CCCCC2C1"])
def test_an_ensemble_is_of_one_stereoisomer(smiles):
    from rdkit import Chem

    isomers = set()
    for system in ensemble(smiles, 12, 7):
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(system.coordinates))
        molecule.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(molecule)
        isomers.add(Chem.MolToSmiles(Chem.RemoveHs(molecule)))
    assert len(isomers) == 1
    assert smiles != "CC=CC" or isomers == {"C/C=C/C"}  # the stable one


@pytest.mark.parametrize("smiles", ["C", "CC", "c1ccccc1", "CC(C)(C)C"])
def test_a_molecule_with_one_shape_has_one_conformer(smiles):
    assert len(ensemble(smiles, 10, 7)) == 1


def test_a_turned_moved_and_relabelled_structure_is_the_same():
    first = ensemble("CC", 2, 7)[0]
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    order = [1, 0, 5, 6, 7, 2, 3, 4]  # the methyl groups exchanged
    moved = first.moved(first.coordinates[order] @ turn.T + 3.0)
    assert distinct("CC", [first, moved], [0.0, 0.0]) == [0]
    assert distinct("CC", [first, moved], [0.0, 1.0]) == [0, 1]


def test_an_ensemble_repeats_from_its_seed():
    first = ensemble("OCCO", 8, 7)
    ensemble.cache_clear()
    assert ensemble("OCCO", 8, 7) == first


def test_unreadable_smiles_are_invalid_candidates():
    with pytest.raises(InvalidCandidate, match="can't read"):
        ensemble("nonsense", 5, 7)


@pytest.mark.parametrize("optimize", ["mmff", "oracle"])
def test_a_mean_is_the_weighted_sum_over_the_conformers(molecule, optimize):
    geometry = {"optimize": optimize, "ensemble": {"conformers": 12, "temperature": 500}}
    answer = XTBOracle(outputs=["energy"], geometry=geometry).evaluate(molecule("CCCO"), "gfn2")
    found = answer.details["conformers"]
    assert sum(found["weights"]) == pytest.approx(1.0)
    assert len(found["weights"]) > 2
    assert answer.values["energy"] == pytest.approx(np.dot(found["weights"], found["energies"]))
    assert found["weights"] == pytest.approx(boltzmann(found["energies"], 500))


def test_a_cold_ensemble_is_its_lowest_conformer_and_a_hot_one_lies_above(molecule):
    def energy(temperature):
        geometry = {"optimize": "oracle", "ensemble": {"conformers": 8, "temperature": temperature}}
        return XTBOracle(geometry=geometry).evaluate(molecule("CCCC"), "gfn2").values["energy"]

    single = XTBOracle(geometry={"optimize": "oracle", "conformers": 8}).evaluate(molecule("CCCC"), "gfn2")
    assert energy(1.0) == pytest.approx(single.values["energy"], abs=2e-3)
    assert energy(1.0) < energy(300.0) < energy(3000.0)


def test_the_conformer_energy_is_the_mean_above_the_lowest_and_grows_with_temperature(molecule):
    def answer(temperature, smiles="CCCC"):
        geometry = {"optimize": "oracle", "ensemble": {"conformers": 8, "temperature": temperature}}
        return XTBOracle(outputs=["conformer_energy"], geometry=geometry).evaluate(molecule(smiles), "gfn2")

    warm, hot, stiff = answer(300.0), answer(1000.0), answer(300.0, "CC")
    found = warm.details["conformers"]
    assert warm.values["conformer_energy"] == pytest.approx(
        np.dot(found["weights"], found["energies"]) - min(found["energies"])
    )
    assert 0 < warm.values["conformer_energy"] < hot.values["conformer_energy"] < 0.1
    assert stiff.values["conformer_energy"] == pytest.approx(0.0, abs=1e-3)


def test_the_cheap_level_weighs_what_the_dear_one_answers(molecule):
    levels = [
        {"name": "xtb", "method": "gfn2"},
        {"name": "hf", "method": "hf", "basis": "sto-3g", "optimize_geometry": "xtb"},
    ]
    ensemble_of_8 = {"ensemble": {"conformers": 8}}
    dear = PySCFOracle(outputs=["energy", "dipole"], fidelities=levels, geometry=ensemble_of_8)
    cheap = XTBOracle(geometry=ensemble_of_8 | {"optimize": "oracle"}).evaluate(molecule("OCC=O"), "gfn2")
    answer = dear.evaluate(molecule("OCC=O"), "hf")
    assert answer.details["conformers"] == cheap.details["conformers"]
    assert 0 < answer.values["dipole"] < 6


def test_an_ensemble_is_of_molecules_on_a_force_field():
    for wrong in ({"template": "H\nH 1 {r}"}, {"optimize": "none"}):
        with pytest.raises(ValidationError, match="an ensemble is of molecules minimised by a force field"):
            OracleGeometry(ensemble={"conformers": 5}, **wrong)
