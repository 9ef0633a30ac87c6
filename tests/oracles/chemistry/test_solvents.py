"""Implicit solvents: what may be written, and laws that a molecule in a dielectric obeys."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.correlated import CorrelatedCalculation
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.chemistry.scf import Machine, mean_field, solve
from theoros.oracles.chemistry.solvents import SOLVENTS
from theoros.oracles.chemistry.units import BOHR, HARTREE

LEVELS = [("hf", "sto-3g"), ("gfn2", None)]


def test_a_name_is_a_dielectric_constant_and_a_refractive_index():
    water = Level(method="gfn2", solvent=" Water ").solvent
    assert (water.name, water.dielectric, water.refractive_index) == ("water", 78.355, 1.3328)
    assert Level(method="gfn2", solvent={"dielectric": 5}).label == "GFN2-xTB in dielectric 5"
    assert Level(method="pbe", basis="sto-3g", solvent="thf").label == "PBE/sto-3g in thf"


def test_the_constants_are_those_of_the_minnesota_database():
    from pyscf.solvent.smd import solvent_db

    longer = {
        "dmf": "N,N-dimethylformamide",
        "dmso": "dimethylsulfoxide",
        "hexane": "n-hexane",
        "thf": "tetrahydrofuran",
    }
    for name, (dielectric, refractive_index) in SOLVENTS.items():
        index, _, _, _, _, constant, *_ = solvent_db[longer.get(name, name)]
        assert (constant, index) == (dielectric, refractive_index)


@pytest.mark.parametrize("method", ["gfn1", "gfn2"])
@pytest.mark.parametrize("name", SOLVENTS)
def test_xtb_has_parameters_for_every_name(calculate, level, water, method, name):
    assert np.isfinite(calculate(water, level(method, solvent=name)).energy())


@pytest.mark.parametrize(
    ("solvent", "message"),
    [
        ("watter", "no solvent is called 'watter'. Did you mean 'water'"),
        ("xyz", "There are acetone, acetonitrile"),
        ({"dielectric": 0.5}, "greater than 1"),
        ({"dielectric": 2.0, "refractive_index": 1.6}, "of which it is a part"),
    ],
)
def test_a_wrong_solvent_is_refused(solvent, message):
    with pytest.raises(ValidationError, match=message):
        Level(method="gfn2", solvent=solvent)


@pytest.mark.parametrize(("method", "basis"), LEVELS)
def test_a_dielectric_of_one_is_a_vacuum_and_a_larger_one_binds_more(calculate, level, water, method, basis):
    vacuum = calculate(water, level(method, basis)).energy()
    nearly, small, large = (
        calculate(water, level(method, basis, solvent={"dielectric": constant})).energy()
        for constant in (1.0001, 4, 80)
    )
    assert nearly == pytest.approx(vacuum, abs=1e-3)
    assert large < small < vacuum


@pytest.mark.parametrize(("method", "basis"), LEVELS)
def test_an_ion_is_stabilised_by_about_borns_energy_and_far_more_than_the_molecule(
    calculate, level, water, method, basis
):
    hydroxide = dataclasses.replace(water, symbols=water.symbols[:2], positions=water.positions[:2], charge=-1)

    def stabilisation(system):
        solvated = calculate(system, level(method, basis, solvent={"dielectric": 80})).energy()
        return calculate(system, level(method, basis)).energy() - solvated

    born = [(1 - 1 / 80) / 2 * HARTREE * BOHR / radius for radius in (1.4, 2.6)]  # an ion of that radius in angstrom
    assert born[1] < stabilisation(hydroxide) < born[0]
    assert stabilisation(hydroxide) > 5 * stabilisation(water) > 0


@pytest.mark.parametrize(("method", "basis", "tolerance"), [("hf", "sto-3g", 1e-3), ("gfn2", None, 2e-3)])
def test_forces_in_a_solvent_are_minus_the_gradient_of_the_energy(calculate, level, water, method, basis, tolerance):
    theory, step = level(method, basis, solvent="water"), 5e-4
    direction = np.array([[0.2, -0.5, 0.7], [0.1, 0.4, -0.3], [-0.6, 0.3, 0.2]])
    plus, minus = (calculate(water.moved(water.coordinates + s * step * direction), theory).energy() for s in (1, -1))
    work = float(np.sum(calculate(water, theory).forces() * direction))
    assert work == pytest.approx(-(plus - minus) / (2 * step), abs=tolerance)


@pytest.mark.parametrize("fit", [False, True])
def test_the_polarizability_in_a_solvent_is_the_dipoles_derivative_in_a_field(level, fit):
    system = System(("F", "H"), ((0.0, 0.0, 0.0), (0.55, 0.0, 0.74)))
    theory = level("hf", "6-31g", solvent="water", density_fit=fit)

    def dipole(field):
        return solve(mean_field(system, theory, Machine(), field), Machine()).dip_moment(unit="AU", verbose=0)

    analytic = response.polarizability(solve(mean_field(system, theory, Machine()), Machine()), 1e-9)
    assert response.from_dipoles(dipole) == pytest.approx(analytic, abs=2e-3)


def test_a_solvent_raises_the_dipole_and_the_polarizability(calculate, level, water):
    gas, solvated = (calculate(water, level("hf", "6-31g", solvent=solvent)) for solvent in (None, "water"))
    assert np.linalg.norm(solvated.dipole()) > np.linalg.norm(gas.dipole()) + 0.1
    assert np.trace(solvated.polarizability()) > np.trace(gas.polarizability())


def test_correlation_feels_the_solvent_through_the_orbitals(level, water):
    gas, solvated = (
        CorrelatedCalculation(water, level("ccsd", "sto-3g", solvent=solvent), Machine()) for solvent in (None, "water")
    )
    change = (solvated.energy() - gas.energy()) - HARTREE * float(solvated.solved.e_tot - gas.solved.e_tot)
    assert solvated.energy() < gas.energy()
    assert 0 < abs(change) < 0.05
