"""Energies against textbook values, and the laws that forces and energies obey."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.oracles.chemistry.correlated import CorrelatedCalculation
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.scf import Machine
from theoros.oracles.chemistry.tblite_backend import XTBCalculation
from theoros.oracles.chemistry.units import BOHR, HARTREE

# Szabo and Ostlund, Modern Quantum Chemistry: H2 at 1.4 bohr, minimal basis (sections 3.5.2); PySCF's STO-3G is theirs.
H2 = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.4 * BOHR)))
HE = System(("He",), ((0.0, 0.0, 0.0),))


def test_hydrogen_molecule_has_szabo_and_ostlunds_energy(calculate, level):
    assert calculate(H2, level("hf", "sto-3g")).energy() / HARTREE == pytest.approx(-1.1167, abs=1e-4)


def test_helium_approaches_the_hartree_fock_limit_from_above(calculate, level):
    limit = -2.861680
    small, large = (calculate(HE, level("hf", basis)).energy() / HARTREE for basis in ("cc-pvdz", "cc-pvqz"))
    assert limit < large < small
    assert large == pytest.approx(limit, abs=2e-4)


def test_hydrogen_atom_is_half_a_hartree_bound(calculate, level):
    atom = System(("H",), ((0.0, 0.0, 0.0),), spin=1)
    assert calculate(atom, level("hf", "cc-pvqz")).energy() / HARTREE == pytest.approx(-0.5, abs=1e-4)


def test_water_has_its_sto3g_textbook_energies(level):
    # The geometry and energies of Crawford's programming projects (O-H 1.1 angstrom, 104 degrees; hartree).
    bohr = np.array(
        [[0, -0.143225816552, 0], [1.638036840407, 1.136548822547, 0], [-1.638036840407, 1.136548822547, 0]]
    )
    system = System(("O", "H", "H"), ()).moved(bohr * BOHR)
    ccsd_t = CorrelatedCalculation(system, level("ccsd(t)", "sto-3g"), Machine())
    mp2 = CorrelatedCalculation(system, level("mp2", "sto-3g"), Machine())
    scf = float(mp2.solved.e_tot)
    assert scf == pytest.approx(-74.942079928, abs=1e-7)
    assert mp2.energy() / HARTREE - scf == pytest.approx(-0.049149636, abs=1e-7)
    assert ccsd_t.energy() / HARTREE - scf == pytest.approx(-0.070680088 - 0.000099877, abs=1e-6)


def test_ccsd_is_exact_for_two_electrons(level):
    from pyscf import fci

    ccsd = CorrelatedCalculation(H2, level("ccsd", "cc-pvdz"), Machine())
    exact = fci.FCI(ccsd.solved).kernel()[0]
    assert ccsd.energy() / HARTREE == pytest.approx(exact, abs=1e-8)


def test_density_fitting_changes_a_water_energy_by_less_than_a_millihartree(calculate, level, water):
    exact, fitted = (
        calculate(water, level("hf", "def2-svp", density_fit=fit)).energy() / HARTREE for fit in (False, True)
    )
    assert 0 < abs(exact - fitted) < 1e-3


@pytest.mark.parametrize("method", ["mp2", "b2plyp"])
def test_density_fitting_changes_correlation_by_less_than_a_tenth_of_a_millielectronvolt_per_atom(level, method):
    # With the mean field's fitting set alone, MP2 is wrong by 1.7 meV per atom in this basis.
    chloride = System(("H", "Cl"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.275)))
    exact, fitted = (
        CorrelatedCalculation(chloride, level(method, "def2-tzvp", density_fit=fit), Machine()) for fit in (False, True)
    )
    correlation = [c.report()["correlation_energy_hartree"] for c in (exact, fitted)]
    assert correlation[0] * HARTREE == pytest.approx(correlation[1] * HARTREE, abs=2e-4)


@pytest.mark.parametrize("method", ["mp2", "ccsd", "ccsd(t)"])
def test_one_electron_has_no_correlation_with_density_fitting_either(level, method):
    atom = System(("H",), ((0.0, 0.0, 0.0),), spin=1)
    calculation = CorrelatedCalculation(atom, level(method, "def2-svp", density_fit=True), Machine())
    assert calculation.energy() == pytest.approx(float(calculation.solved.e_tot) * HARTREE, abs=1e-8)


@pytest.mark.parametrize(("method", "basis"), [("gfn1", None), ("gfn2", None), ("hf", "sto-3g"), ("pbe", "sto-3g")])
def test_energy_is_invariant_to_translation(calculate, level, water, method, basis):
    moved = water.moved(water.coordinates + np.array([3.0, -2.0, 5.0]))
    here, there = (calculate(system, level(method, basis)).energy() for system in (water, moved))
    assert there == pytest.approx(here, abs=1e-6)


@pytest.mark.parametrize(
    ("method", "basis", "tolerance"),
    [("gfn2", None, 2e-3), ("hf", "sto-3g", 1e-4), ("b3lyp", "sto-3g", 1e-2), ("hf-fit", "def2-svp", 1e-4)],
)
def test_forces_are_minus_the_gradient_of_the_energy(calculate, level, water, method, basis, tolerance):
    method, _, fit = method.partition("-")
    theory = level(method, basis, **({} if method == "gfn2" else {"density_fit": bool(fit), "grid_level": 5}))
    check_forces(lambda system: calculate(system, theory), water, tolerance)


@pytest.mark.parametrize(("method", "spin"), [("mp2", 0), ("ccsd", 0), ("ccsd(t)", 0), ("mp2", 1), ("ccsd", 1)])
def test_correlated_forces_are_minus_the_gradient_of_the_energy(level, water, method, spin):
    system = dataclasses.replace(water, charge=spin, spin=spin)
    check_forces(lambda s: CorrelatedCalculation(s, level(method, "sto-3g"), Machine()), system, 1e-3)


def check_forces(calculation, system, tolerance, step=2e-4):
    direction = np.array([[0.2, -0.5, 0.7], [0.1, 0.4, -0.3], [-0.6, 0.3, 0.2]])
    plus, minus = (calculation(system.moved(system.coordinates + s * step * direction)).energy() for s in (1, -1))
    work = float(np.sum(calculation(system).forces() * direction))
    assert work == pytest.approx(-(plus - minus) / (2 * step), abs=tolerance)


def test_gfn2_water_has_the_energy_of_the_xtb_program(level, water):
    # xtb 6 gives -5.0703 to -5.0706 hartree for water near its minimum.
    assert XTBCalculation(water, level("gfn2")).energy() / HARTREE == pytest.approx(-5.0704, abs=5e-4)


@settings(max_examples=10)
@given(stretch=st.floats(0.9, 1.6))
def test_correlation_lowers_the_energy_of_hydrogen_at_every_distance(stretch):
    from theoros.oracles.chemistry.levels import Level

    system = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74 * stretch)))
    calculation = CorrelatedCalculation(system, Level(name="mp2", method="mp2", basis="sto-3g"), Machine())
    assert calculation.energy() < float(calculation.solved.e_tot) * HARTREE
