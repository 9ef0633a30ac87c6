"""Double hybrids: the sum that defines them, and its limits."""

import numpy as np
import pytest

from theoros.oracles.chemistry import double_hybrids
from theoros.oracles.chemistry.correlated import CorrelatedCalculation
from theoros.oracles.chemistry.double_hybrids import DOUBLE_HYBRIDS, DoubleHybrid, double_hybrid
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.chemistry.scf import Machine
from theoros.oracles.chemistry.units import HARTREE


def total(system, level):
    calculation = CorrelatedCalculation(system, level, Machine())
    return calculation.energy() / HARTREE, calculation.solved


def second_order(solved):
    """Opposite-spin and same-spin MP2 energies of closed-shell orbitals, written out."""
    from pyscf import ao2mo

    c, occupied = solved.mo_coeff, solved.mo_occ > 0
    o, v = c[:, occupied], c[:, ~occupied]
    shape = (o.shape[1], v.shape[1], o.shape[1], v.shape[1])
    iajb = ao2mo.general(solved.mol, (o, v, o, v), compact=False).reshape(shape)
    gaps = solved.mo_energy[occupied][:, None] - solved.mo_energy[~occupied]
    amplitudes = iajb / (gaps[:, :, None, None] + gaps[None, None])
    same = np.einsum("iajb,iajb->", amplitudes, iajb - iajb.transpose(0, 3, 2, 1))
    return np.einsum("iajb,iajb->", amplitudes, iajb), same


@pytest.mark.parametrize("name", ["b2plyp", "PBE-QIDH"])
def test_the_energy_is_the_hybrids_and_scaled_second_order_correlation(level, water, name):
    energy, solved = total(water, level(name.lower(), "6-31g"))
    mix = double_hybrid(name)
    opposite, same = second_order(solved)
    assert energy == pytest.approx(solved.e_tot + mix.opposite_spin * opposite + mix.same_spin * same, abs=1e-8)
    assert solved.xc == mix.functional


def test_all_hartree_fock_exchange_and_all_of_mp2_is_mp2(level, water, monkeypatch):
    monkeypatch.setitem(double_hybrids.DOUBLE_HYBRIDS, "limit", DoubleHybrid("1.0*HF", 1.0, 1.0))
    assert total(water, level("limit", "sto-3g"))[0] == pytest.approx(total(water, level("mp2", "sto-3g"))[0], abs=1e-8)


def test_open_shells_reduce_to_the_closed_one_for_a_stretched_pair_of_hydrogens(level):
    # Far apart, a triplet pair is two atoms, and one electron has no correlation with itself.
    atom = System(("H",), ((0.0, 0.0, 0.0),), spin=1)
    pair = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 12.0)), spin=2)
    theory = level("b2plyp", "6-31g")
    assert total(pair, theory)[0] == pytest.approx(2 * total(atom, theory)[0], abs=1e-5)


def test_density_fitting_changes_a_double_hybrid_by_less_than_a_millihartree(level, water):
    exact, fitted = (total(water, level("b2plyp", "def2-svp", density_fit=fit))[0] for fit in (False, True))
    assert 0 < abs(exact - fitted) < 1e-3


def test_the_dipole_points_from_oxygen_to_hydrogen(level, water):
    vector = CorrelatedCalculation(water, level("b2plyp", "sto-3g"), Machine()).dipole()
    assert vector[:2] == pytest.approx([0, 0], abs=1e-3)
    assert -2.0 < vector[2] < -1.4


def test_exchange_and_correlation_of_every_one_add_up():
    from pyscf.dft import libxc

    for name, mix in DOUBLE_HYBRIDS.items():
        (exact, *_), terms = libxc.parse_xc(mix.functional)
        exchange, correlation = (factor for _, factor in terms)
        assert exact + exchange == pytest.approx(1.0, abs=1e-8), name
        assert correlation + mix.opposite_spin == pytest.approx(1.0, abs=1e-8), name


def test_dispersion_is_refused_for_them():
    with pytest.raises(ValueError, match="no dispersion for the double hybrid b2plyp"):
        Level(method="b2plyp", basis="def2-svp", dispersion="d4")
