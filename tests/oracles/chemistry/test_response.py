"""Polarizabilities: known values, two independent ways to each, and their behaviour under rotation."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.correlated import CorrelatedCalculation
from theoros.oracles.chemistry.scf import Machine, mean_field, solve
from theoros.oracles.chemistry.units import CUBIC_BOHR, DEBYE
from theoros.oracles.failures import NotConverged


def isotropic(tensor):
    return float(np.trace(tensor)) / 3


def in_fields(system, level):
    """The polarizability by finite differences of PySCF's dipole, in angstrom^3."""

    def dipole(field):
        return solve(mean_field(system, level, Machine(), field), Machine()).dip_moment(unit="AU", verbose=0)

    return response.from_dipoles(dipole) * CUBIC_BOHR


def test_water_has_its_hartree_fock_polarizability(calculate, level, water):
    # HF/aug-cc-pVDZ: 8.0 a.u. to within the geometry; the HF limit is 8.5, experiment 9.8 (with vibrations).
    found = isotropic(calculate(water, level("hf", "aug-cc-pvdz")).polarizability()) / CUBIC_BOHR
    assert 7.9 < found < 8.3


def test_helium_has_its_exact_uncorrelated_polarizability(calculate, level):
    from theoros.oracles.chemistry.geometry import System

    helium = System(("He",), ((0.0, 0.0, 0.0),))
    tensor = calculate(helium, level("hf", "aug-cc-pvtz")).polarizability() / CUBIC_BOHR
    assert isotropic(tensor) == pytest.approx(1.322, rel=0.03)  # coupled Hartree-Fock limit, a.u.
    assert tensor == pytest.approx(isotropic(tensor) * np.eye(3), abs=1e-6)


@pytest.mark.parametrize("density_fit", [False, True])
@pytest.mark.parametrize(("method", "charge"), [("hf", 0), ("pbe", 0), ("b3lyp", 0), ("hf", 1), ("b3lyp", 1)])
def test_coupled_perturbed_equations_agree_with_finite_fields(calculate, level, water, method, charge, density_fit):
    system = dataclasses.replace(water, charge=charge, spin=charge)
    theory = level(method, "def2-svp", density_fit=density_fit)
    assert calculate(system, theory).polarizability() == pytest.approx(in_fields(system, theory), abs=2e-4)


@pytest.mark.parametrize("method", ["wb97x", "tpss"])
def test_range_separated_and_meta_functionals_agree_with_finite_fields(calculate, level, water, method):
    theory = level(method, "sto-3g", density_fit=True)
    assert calculate(water, theory).polarizability() == pytest.approx(in_fields(water, theory), abs=2e-4)


@pytest.mark.parametrize(("method", "basis"), [("hf", "sto-3g"), ("gfn2", None)])
def test_polarizability_turns_with_the_molecule(calculate, level, water, method, basis):
    rotation = Rotation.from_euler("zyx", [40, -70, 15], degrees=True).as_matrix()
    turned = water.moved(water.coordinates @ rotation.T)
    tensor, rotated = (calculate(system, level(method, basis)).polarizability() for system in (water, turned))
    assert rotated == pytest.approx(rotation @ tensor @ rotation.T, abs=2e-4)


def test_energy_derivatives_in_a_field_reproduce_the_analytic_dipole_and_polarizability(calculate, level, water):
    from theoros.oracles.chemistry.scf import nuclear_field_energy

    theory = level("hf", "sto-3g")
    calculation = calculate(water, theory)

    def energy(field):
        solved = solve(mean_field(water, theory, Machine(), field), Machine())
        return float(solved.e_tot) + nuclear_field_energy(solved.mol, field)

    dipole, tensor = response.from_energies(energy)
    assert dipole * DEBYE == pytest.approx(calculation.dipole(), abs=1e-4)
    assert tensor * CUBIC_BOHR == pytest.approx(calculation.polarizability(), abs=1e-4)


def test_correlation_lowers_the_dipole_and_raises_the_polarizability_of_water(calculate, level, water):
    uncorrelated = calculate(water, level("hf", "6-31g*"))
    correlated = CorrelatedCalculation(water, level("mp2", "6-31g*"), Machine())
    assert np.linalg.norm(correlated.dipole()) < np.linalg.norm(uncorrelated.dipole())
    assert isotropic(correlated.polarizability()) > isotropic(uncorrelated.polarizability())


def test_an_unstable_solution_has_no_static_response():
    with pytest.raises(NotConverged, match="unstable"):
        response.quadratic_forms(lambda x: -x, np.ones(3), np.eye(3), 1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), tolerance=st.sampled_from([1e-2, 1e-4, 1e-8]))
def test_quadratic_forms_hold_their_tolerance(seed, n, tolerance):
    rng = np.random.default_rng(seed)
    coupling = rng.normal(size=(n, n)) * 0.1
    diagonal = rng.uniform(0.5, 5.0, size=n)
    matrix = np.diag(diagonal) + coupling @ coupling.T
    rhs = rng.normal(size=(3, n))
    exact = rhs @ np.linalg.solve(matrix, rhs.T)
    found = response.quadratic_forms(lambda x: x @ matrix, diagonal, rhs, tolerance)
    assert np.trace(exact) * (1 - tolerance) <= np.trace(found) <= np.trace(exact) * (1 + 1e-9)
