"""An SCF that symmetry holds on a saddle point, or that begins with another state's orbitals, goes on down."""

import dataclasses

import numpy as np
import pytest

from theoros.oracles.chemistry import scf
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.scf import Machine, MeanFieldCalculation, mean_field, solve
from theoros.oracles.chemistry.stability import downhill
from theoros.oracles.chemistry.units import HARTREE


def linear(*atoms, charge=0, spin=0):
    """Atoms on a line: symbol, place (angstrom), and so on."""
    return System(atoms[::2], tuple((0.0, 0.0, z) for z in atoms[1::2]), charge, spin)


# What second-order steps from many starts and PySCF's own check came to, def2-svp; the plain SCF is so many eV above.
@pytest.mark.parametrize(
    ("system", "above"),
    [
        (linear("O", 0.0, "O", 1.12, charge=1, spin=1), 0.28),
        (linear("C", 0.0, "C", 1.2425), 0.93),
        (linear("C", 0.0, "H", 1.12, spin=1), 0.10),
    ],
)
def test_hartree_fock_is_not_left_on_a_saddle_point(level, system, above):
    theory = level("hf", "def2-svp")
    plain = mean_field(system, theory, Machine())
    plain.kernel()
    found = solve(mean_field(system, theory, Machine()), Machine())
    assert plain.converged
    assert (plain.e_tot - found.e_tot) * HARTREE > above - 0.02
    assert found.stability(return_status=True)[2]


@pytest.mark.parametrize(
    ("neutral", "charge", "above"),
    [
        (linear("O", -1.16, "C", 0.0, "O", 1.16), -1, 0.50),
        (linear("H", -1.065, "C", 0.0, "N", 1.156), -1, 0.09),
    ],
)
def test_an_ion_is_not_held_in_the_order_of_the_neutrals_orbitals(level, monkeypatch, neutral, charge, above):
    calculation = MeanFieldCalculation(neutral, level("hf", "def2-svp"), Machine())
    ion = dataclasses.replace(neutral, charge=charge, spin=1)
    energy = calculation.of(ion).energy()
    monkeypatch.setattr(scf, "downhill", lambda mf: None)
    held = calculation.of(ion)._begun(own_guess=False)
    assert float(held.e_tot) * HARTREE - energy > above - 0.02


def test_what_turns_downhill_keeps_the_orbitals_orthonormal_and_lowers_the_energy(level):
    plain = mean_field(linear("C", 0.0, "C", 1.2425), level("hf", "def2-svp"), Machine())
    plain.kernel()
    turned = downhill(plain)
    overlap = plain.get_ovlp()
    assert turned.T @ overlap @ turned == pytest.approx(np.eye(len(overlap)), abs=1e-10)
    solved = plain.newton().set(verbose=0)
    solved.kernel(turned, plain.mo_occ)
    assert solved.e_tot < plain.e_tot - 1e-3


# A hole may point anywhere in an atom's open shell: turning it costs nothing, and leads nowhere.
@pytest.mark.parametrize("method", ["hf", "pbe"])
@pytest.mark.parametrize(("symbol", "spin"), [("B", 1), ("O", 2), ("He", 0)])
def test_a_minimum_has_no_way_down(level, method, symbol, spin):
    atom = linear(symbol, 0.0, spin=spin)
    assert downhill(solve(mean_field(atom, level(method, "def2-svp"), Machine()), Machine())) is None


def test_closed_shells_of_functionals_do_not_pay_for_the_search(level, water, monkeypatch):
    searched = []
    monkeypatch.setattr(scf, "downhill", lambda mf: searched.append(mf))
    for method, spin, charge in (("pbe", 0, 0), ("pbe", 1, 1), ("hf", 0, 0)):
        system = dataclasses.replace(water, spin=spin, charge=charge)
        MeanFieldCalculation(system, level(method, "sto-3g"), Machine()).energy()
        assert len(searched) == {("pbe", 0): 0, ("pbe", 1): 1, ("hf", 0): 2}[method, spin]


def test_unrestricted_solutions_report_their_spin(level, water):
    theory = level("hf", "sto-3g")
    cation = MeanFieldCalculation(dataclasses.replace(water, charge=1, spin=1), theory, Machine())
    assert 0.75 <= cation.report()["spin_square"] < 0.78
    assert "spin_square" not in MeanFieldCalculation(water, theory, Machine()).report()
