"""A cavity that is kept gives PySCF's own numbers, to the last digits, for all that is computed in a solvent."""

import dataclasses

import numpy as np
import pytest

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.cavity import ORDERS, StoredPCM, cavity_of
from theoros.oracles.chemistry.excitations import first_excitation
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import ChemistryOptions, Level
from theoros.oracles.chemistry.scf import Machine, MeanFieldCalculation, mean_field, molecule, solve
from theoros.oracles.chemistry.solvents import Solvent
from theoros.oracles.chemistry.units import HARTREE

SOLVENT = {"name": "water", "dielectric": 78.355, "refractive_index": 1.3328}
FORMALDEHYDE = System(
    ("C", "O", "H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.21), (0.0, 0.94, -0.58), (0.0, -0.94, -0.58))
)  # fmt: skip


def pyscfs_own(system, method="hf"):
    """PySCF's mean field in water without anything of ours."""
    mf = mean_field(system, Level(method=method, basis="sto-3g", grid_level=0, conv_tol=1e-11), Machine()).PCM()
    mf.with_solvent.method, mf.with_solvent.eps, mf.with_solvent.equilibrium_solvation = "C-PCM", 78.355, True
    mf.with_solvent.lebedev_order = ORDERS[50]
    return solve(mf, Machine())


def ours(system, method="hf", memory_mb=4000.0):
    level = Level(method=method, basis="sto-3g", grid_level=0, conv_tol=1e-11, solvent="water", cavity_points=50)
    return solve(mean_field(system, level, Machine(memory_mb)), Machine())


@pytest.mark.parametrize(("charge", "spin", "method"), [(0, 0, "hf"), (0, 0, "pbe"), (-1, 1, "hf"), (1, 1, "pbe")])
def test_energies_orbitals_and_dipoles_are_pyscfs(charge, spin, method):
    system = dataclasses.replace(FORMALDEHYDE, charge=charge, spin=spin)
    theirs, mine = pyscfs_own(system, method), ours(system, method)
    assert isinstance(mine.with_solvent, StoredPCM)
    assert mine.e_tot == pytest.approx(theirs.e_tot, abs=1e-9)
    assert np.ravel(mine.mo_energy) == pytest.approx(np.ravel(theirs.mo_energy), abs=1e-5)
    assert mine.dip_moment(verbose=0) == pytest.approx(theirs.dip_moment(verbose=0), abs=1e-4)


def test_responses_forces_and_excitations_are_pyscfs():
    theirs, mine = pyscfs_own(FORMALDEHYDE), ours(FORMALDEHYDE)
    assert response.polarizability(mine, 1e-9) == pytest.approx(response.polarizability(theirs, 1e-9), abs=1e-4)
    forces = [mf.nuc_grad_method().set(verbose=0).kernel() for mf in (mine, theirs)]
    assert forces[0] == pytest.approx(forces[1], abs=1e-6)
    water = Solvent(**SOLVENT)
    for singlet in (True, False):
        first, second = (first_excitation(mf, singlet=singlet, solvent=water) for mf in (mine, theirs))
        assert first.energy == pytest.approx(second.energy, abs=1e-5)
        assert first.oscillator_strength == pytest.approx(second.oscillator_strength, abs=1e-5)


def test_without_the_memory_integrals_are_computed_again_and_the_numbers_stay():
    plenty, little = ours(FORMALDEHYDE), ours(FORMALDEHYDE, memory_mb=0.01)
    assert plenty.with_solvent.cavity.pairs is not None
    assert little.with_solvent.cavity.pairs is None
    assert little.e_tot == pytest.approx(plenty.e_tot, abs=1e-10)


def test_an_ion_takes_over_what_the_electrons_number_does_not_change():
    level = Level(method="pbe", basis="sto-3g", grid_level=0, density_fit=True, conv_tol=1e-10, solvent="water")
    start = MeanFieldCalculation(FORMALDEHYDE, level, Machine())
    anion = dataclasses.replace(FORMALDEHYDE, charge=-1, spin=1)
    shared = start.of(anion)
    alone = MeanFieldCalculation(anion, level, Machine(), slow=shared._slow)
    assert shared.solved.with_solvent.cavity is start.solved.with_solvent.cavity
    assert shared.solved.with_df is start.solved.with_df
    assert shared.energy() == pytest.approx(alone.energy(), abs=1e-6)
    assert alone.solved.with_solvent.cavity is not start.solved.with_solvent.cavity


@pytest.mark.parametrize(("charge", "spin"), [(1, 1), (-1, 1), (0, 2)])
def test_a_vertical_change_leaves_the_slow_part_of_the_solvent_to_the_molecule(charge, spin):
    # PySCF's own C-PCM of the solvent's electrons, in the field of charges that are held: its sum is ours.
    level = Level(method="hf", basis="sto-3g", conv_tol=1e-11, solvent="water", cavity_points=50)
    other = dataclasses.replace(FORMALDEHYDE, charge=charge, spin=spin)
    start = MeanFieldCalculation(FORMALDEHYDE, level, Machine())
    found = start.of(other).energy() / HARTREE

    before, optical = pyscfs_own(FORMALDEHYDE).with_solvent, SOLVENT["refractive_index"] ** 2
    held = before._intermediates["q_sym"] * (1 / optical - 1 / before.eps) / (1 - 1 / before.eps)
    after = mean_field(other, Level(method="hf", basis="sto-3g", conv_tol=1e-11), Machine()).PCM()
    after.with_solvent.method, after.with_solvent.eps, after.with_solvent.lebedev_order = "C-PCM", optical, ORDERS[50]
    core = after.get_hcore() + before._get_vmat(held)
    after.get_hcore = lambda *_: core
    by_hand = solve(after, Machine()).e_tot + held @ before.v_grids_n - held @ before._intermediates["v_grids"] / 2
    assert found == pytest.approx(by_hand, abs=1e-7)


def test_the_solvent_follows_fully_where_nothing_changes_and_pays_marcus_price_where_something_does():
    level = Level(method="hf", basis="sto-3g", conv_tol=1e-11, solvent="water", cavity_points=50)
    start = MeanFieldCalculation(FORMALDEHYDE, level, Machine())
    assert start.of(FORMALDEHYDE).energy() == pytest.approx(start.energy(), abs=1e-6)
    cation = dataclasses.replace(FORMALDEHYDE, charge=1, spin=1)
    equilibrium = MeanFieldCalculation(cation, level, Machine()).energy()
    # A sphere of 2.5 angstrom would pay (1 / 1.3328**2 - 1 / 78.4) 14.4 eV angstrom / (2 * 2.5) = 1.6 eV.
    assert start.of(cation).energy() - equilibrium == pytest.approx(1.6, abs=0.4)


def test_more_points_come_closer_to_the_energy_of_the_densest_surface():
    anion = dataclasses.replace(FORMALDEHYDE, charge=-1, spin=1)
    levels = [Level(method="hf", basis="sto-3g", solvent="water", cavity_points=points) for points in ORDERS]
    energies = np.array([MeanFieldCalculation(anion, level, Machine()).energy() for level in levels])
    errors = np.abs(energies - energies[-1])
    assert (np.diff(errors) < 0).all()
    assert (errors < [0.05, 0.02, 0.01, 0.005, 1e-12]).all()


def test_points_inside_other_atoms_are_left_out():
    mol = molecule(FORMALDEHYDE, "sto-3g", Machine())
    cavity = cavity_of(mol, 110, 100.0)
    outside = cavity.surface["grid_coords"]
    assert len(cavity.coulomb) == len(outside) < 4 * 110
    radii = 1.2 * np.array([1.7, 1.52, 1.1, 1.1]) / 0.529177  # Bondi's, of hydrogen the newer one; bohr
    distances = np.linalg.norm(outside[:, None] - mol.atom_coords(unit="B"), axis=-1)
    assert (distances > 0.8 * radii).all()


def test_the_number_of_points_is_part_of_what_an_answer_is_filed_under():
    def settings(points, **solvent):
        level = {"name": "l", "method": "hf", "basis": "sto-3g", "cavity_points": points, **solvent}
        options = ChemistryOptions(fidelities=[level])
        return options.settings(options.fidelities[0])

    assert settings(110, solvent="water") != settings(302, solvent="water")
    assert settings(110) == settings(302)
