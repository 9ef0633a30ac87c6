"""Coordinates from SMILES and from templates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry.geometry import System, checked, from_smiles, from_template, relaxed, system_of
from theoros.oracles.chemistry.levels import GeometryOptions
from theoros.oracles.failures import InvalidCandidate, NotConverged

ZMATRIX = "O\nH 1 {r}\nH 1 {r} 2 {angle}"


def bond_and_angle(system):
    oxygen, *hydrogens = system.coordinates
    a, b = (hydrogen - oxygen for hydrogen in hydrogens)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    return *lengths, np.degrees(np.arccos(a @ b / np.prod(lengths)))


@settings(max_examples=50)
@given(r=st.floats(0.5, 3.0), angle=st.floats(20.0, 179.0))
def test_a_zmatrix_has_the_bonds_and_angle_that_it_says(r, angle):
    system = from_template(ZMATRIX, {"r": r, "angle": angle})
    assert system.symbols == ("O", "H", "H")
    assert bond_and_angle(system) == pytest.approx((r, r, angle), abs=1e-6)


def test_a_zmatrix_dihedral_is_the_angle_between_planes():
    template = "H\nO 1 0.96\nO 2 1.45 1 100\nH 3 0.96 2 100 1 {dihedral}"
    p = from_template(template, {"dihedral": 115.0}).coordinates
    first, second = np.cross(p[0] - p[1], p[2] - p[1]), np.cross(p[1] - p[2], p[3] - p[2])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert abs(np.degrees(np.arccos(abs(cosine))) - 65.0) < 1e-4


def test_an_xyz_template_is_filled_in_place_with_or_without_its_count():
    for head in ("", "2\n"):
        system = from_template(head + "H 0 0 0\nH 0 0 {r}", {"r": 0.74})
        assert system.coordinates == pytest.approx(np.array([[0, 0, 0], [0, 0, 0.74]]))


def test_dummy_atoms_shape_a_zmatrix_and_are_left_out():
    system = from_template("C\nX 1 1.0\nO 1 {r} 2 90\nO 1 {r} 2 90 3 180", {"r": 1.16})
    assert system.symbols == ("C", "O", "O")
    assert np.linalg.norm(system.coordinates[1] - system.coordinates[2]) == pytest.approx(2.32)


def test_an_element_can_be_a_parameter():
    assert from_template("{metal} 0 0 0\nH 0 0 1.6", {"metal": "Li"}).symbols == ("Li", "H")


@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        (ZMATRIX, {"r": 1.0}, "needs the parameters"),
        (ZMATRIX, {"r": 1.0, "angle": 104.0, "z": 1.0}, "needs the parameters"),
        (ZMATRIX, {"r": 1.0, "angle": "__import__('os')"}, "takes numbers and element symbols"),
        (ZMATRIX, {"r": 1.0, "angle": -3.0}, "can't build"),
        ("O\nH 1 __import__('os').getpid()", {}, "could not convert"),
        ("O\nH 2 1.0", {}, "isn't above it"),
        ("O\nH 1", {}, "has 2 entries, not 3"),
        ("Qq 0 0 0\nH 0 0 1", {}, "no element"),
        ("", {}, "holds no atom"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_an_invalid_candidate_and_never_evaluated(template, parameters, message):
    with pytest.raises(InvalidCandidate, match=message):
        from_template(template, parameters)


def test_overlapping_atoms_are_refused_and_named():
    options = GeometryOptions(template=ZMATRIX)
    with pytest.raises(InvalidCandidate, match=r"atoms 1 \(O\) and [23] \(H\) are 0.200 angstrom apart"):
        system_of(Candidate("parameters", {"r": 0.2, "angle": 104.0}), options)


def test_ethanol_is_embedded_with_its_bonds_and_repeats_exactly():
    first = from_smiles("CCO", 3, True, 7)
    from_smiles.cache_clear()
    again = from_smiles("CCO", 3, True, 7)
    assert first == again
    assert sorted(first.symbols) == ["C", "C", *["H"] * 6, "O"]
    carbon, carbon2, oxygen = first.coordinates[:3]
    assert np.linalg.norm(carbon - carbon2) == pytest.approx(1.52, abs=0.03)
    assert np.linalg.norm(carbon2 - oxygen) == pytest.approx(1.42, abs=0.03)


def test_more_conformers_never_raise_the_force_field_energy():
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers
    from rdkit.Geometry import Point3D

    def energy(conformers):
        molecule = Chem.AddHs(Chem.MolFromSmiles("OCCCO"))
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        for i, position in enumerate(from_smiles("OCCCO", conformers, True, 7).coordinates):
            conformer.SetAtomPosition(i, Point3D(*map(float, position)))
        molecule.AddConformer(conformer)
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties).CalcEnergy()

    assert energy(8) <= energy(1) + 1e-6


def test_molecules_without_mmff_parameters_fall_back_on_uff():
    system = from_smiles("C[B](C)C", 2, True, 7)
    boron = system.coordinates[system.symbols.index("B")]
    carbons = [p for p, s in zip(system.coordinates, system.symbols, strict=True) if s == "C"]
    assert [np.linalg.norm(boron - c) for c in carbons] == pytest.approx([1.6] * 3, abs=0.1)


def test_a_charged_smiles_brings_its_charge():
    assert from_smiles("C[NH3+]", 1, True, 7).charge == 1
    assert from_smiles("C[N+](=O)[O-]", 1, True, 7).charge == 0


@pytest.mark.parametrize(
    ("smiles", "message"), [("not a molecule", "can't read"), ("", "can't read"), ("C*", "wildcard")]
)
def test_unreadable_smiles_are_invalid_candidates(smiles, message):
    with pytest.raises(InvalidCandidate, match=message):
        from_smiles(smiles, 1, True, 7)


def test_a_molecule_that_cannot_be_embedded_is_an_invalid_candidate():
    # Fused so tightly that no three-dimensional structure satisfies its stereo marks.
    with pytest.raises(InvalidCandidate, match="no three-dimensional structure"):
        from_smiles("C1C[C@@H]2C[C@H]1C2C#C[C@@]12C[C@H]1C2", 1, True, 7)


@pytest.mark.parametrize(("spin", "charge"), [(1, 0), (0, 1), (20, 0), (0, 10)])
def test_electrons_that_do_not_fit_the_spin_are_an_invalid_candidate(water, spin, charge):
    system = System(water.symbols, water.positions, charge, spin)
    with pytest.raises(InvalidCandidate, match="can't have"):
        checked(system)


def test_relaxation_finds_the_minimum_of_a_harmonic_bond():
    def spring(system):
        bond = system.coordinates[1] - system.coordinates[0]
        length = np.linalg.norm(bond)
        pull = 10.0 * (length - 0.8) * bond / length
        return 5.0 * (length - 0.8) ** 2, np.array([pull, -pull])

    start = System(("H", "H"), ((0.0, 0.0, 0.0), (0.3, 0.4, 0.9)))
    a, b = relaxed(start, spring).coordinates
    assert np.linalg.norm(a - b) == pytest.approx(0.8, abs=2e-3)


def test_a_surface_without_a_minimum_is_not_converged():
    def repulsion(system):
        bond = system.coordinates[1] - system.coordinates[0]
        distance = np.linalg.norm(bond)
        push = 50.0 * bond / distance**2
        return -50.0 * np.log(distance), np.array([-push, push])

    start = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.7)))
    with pytest.raises(NotConverged, match="not relaxed"):
        relaxed(start, repulsion)


@pytest.mark.parametrize("smiles", ["C=C=C", "C=C=C(F)ON", "C=C=C(F)C=O", "FC=C=CF", "CC=C=C(C)C#N"])
def test_the_ends_of_an_allene_stand_at_right_angles(smiles):
    """Force fields alone turn most of these flat."""
    from rdkit import Chem
    from rdkit.Chem import rdMolTransforms

    from theoros.oracles.chemistry.geometry import embedded, force_field_energies

    molecule, (conformer,), _ = embedded(smiles, 1, 7)
    force_field_energies(molecule, [conformer], minimise=True)
    first, second, _, third, last = molecule.GetSubstructMatch(Chem.MolFromSmarts("*~[#6]=[#6X2]=[#6]~*"))
    angle = abs(rdMolTransforms.GetDihedralDeg(molecule.GetConformer(conformer), first, second, third, last))
    assert 60 < angle < 120
