"""Excited states and spin gaps against PySCF called directly, textbook orders, and symmetry."""

import numpy as np
import pytest

from theoros.oracles.chemistry.exchange import with_transition_exchange
from theoros.oracles.chemistry.geometry import System, from_smiles
from theoros.oracles.chemistry.properties import values
from theoros.oracles.chemistry.scf import Machine, mean_field, solve
from theoros.oracles.chemistry.units import BOHR, HARTREE
from theoros.oracles.failures import BadAnswer

EXCITED = ["excitation_energy", "oscillator_strength", "triplet_excitation_energy", "s1_t1_gap", "singlet_triplet_gap"]
H2 = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.4 * BOHR)))


def computed(outputs, system, level, calculate):
    return values(outputs, system, calculate(system, level), lambda other: calculate(other, level))


def test_minimal_hydrogen_has_the_excitations_of_its_two_by_two_problem(calculate, level):
    # sigma_g -> sigma_u: e_u - e_g - J_gu + 2 K_gu (singlet), without the exchange K for the triplet; Szabo and Ostlund
    # give e_g = -0.578, e_u = 0.670, J_gu = 0.6636 and K_gu = 0.1813 hartree.
    found = computed(EXCITED, H2, level("hf", "sto-3g"), calculate)
    gap = 0.6703 + 0.5782 - 0.6636
    assert found["excitation_energy"] / HARTREE == pytest.approx(gap + 2 * 0.1813, abs=1e-3)
    assert found["triplet_excitation_energy"] / HARTREE == pytest.approx(gap, abs=1e-3)
    assert found["s1_t1_gap"] / HARTREE == pytest.approx(2 * 0.1813, abs=1e-3)


@pytest.mark.parametrize(("method", "fit"), [("hf", False), ("pbe0", True)])
def test_ethene_has_the_energies_of_pyscf_called_directly(calculate, level, method, fit):
    from pyscf import dft, gto, scf

    ethene = from_smiles("C=C", 1, True, 7)
    mol = gto.M(atom=list(zip(ethene.symbols, ethene.positions, strict=True)), basis="sto-3g", verbose=0)
    mf = scf.RHF(mol) if method == "hf" else dft.RKS(mol, xc=method)
    mf = mf.density_fit() if fit else mf
    if method != "hf":
        mf.grids.level = 1
    mf.run(conv_tol=1e-11)
    found = computed(EXCITED, ethene, level(method, "sto-3g", density_fit=fit), calculate)
    for name, singlet in (("excitation_energy", True), ("triplet_excitation_energy", False)):
        direct = mf.TDA().run(singlet=singlet, nstates=8)
        assert found[name] == pytest.approx(direct.e[0] * HARTREE, abs=1e-4)
        if singlet:
            assert found["oscillator_strength"] == pytest.approx(direct.oscillator_strength()[0], abs=1e-4)


@pytest.mark.parametrize("smiles", ["c1ccccc1", "N#N", "OC=S"])
def test_the_first_state_is_that_of_the_whole_matrix(calculate, level, smiles):
    from pyscf.tdscf.rhf import get_ab

    calculation = calculate(from_smiles(smiles, 1, True, 7), level("hf", "sto-3g"))
    whole, _ = get_ab(calculation.solved)
    states = np.prod(whole.shape[:2])
    known = np.linalg.eigvalsh(whole.reshape(states, states)) * HARTREE
    assert calculation.singlet.energy == pytest.approx(known[0], abs=1e-5)


def test_exchange_of_transition_densities_from_their_factors_is_pyscfs(level):
    water = from_smiles("O", 1, True, 7)
    mf = solve(mean_field(water, level("hf", "6-31g", density_fit=True), Machine()), Machine())
    first_order = np.random.default_rng(0).normal(size=(3, mf.mol.nao, 5))
    densities = first_order @ mf.mo_coeff[:, :5].T
    for found, known in zip(
        with_transition_exchange(mf).get_jk(mf.mol, densities, 0), mf.get_jk(mf.mol, densities, 0), strict=True
    ):
        assert found == pytest.approx(known, abs=1e-9)


def test_triplets_lie_below_singlets_and_the_dark_state_of_formaldehyde_is_dark(calculate, level):
    found = computed(EXCITED, from_smiles("C=O", 1, True, 7), level("hf", "6-31g"), calculate)
    assert found["triplet_excitation_energy"] < found["excitation_energy"]
    assert found["s1_t1_gap"] > 0
    assert found["oscillator_strength"] == pytest.approx(0.0, abs=1e-4)  # n -> pi*, forbidden by symmetry
    assert 3.5 < found["excitation_energy"] < 5.0  # experiment 4.0 eV


def test_the_strength_of_degenerate_states_does_not_depend_on_the_frame(calculate, level):
    # The first singlet of BH is a pair of Pi states, which no frame but the molecule's tells apart.
    level = level("hf", "6-31g")
    along, askew = (
        System(("B", "H"), ((0.0, 0.0, 0.0), tuple(1.23 * np.array(direction))))
        for direction in ([0, 0, 1], [0.6, 0, 0.8])
    )
    first, second = (
        computed(["oscillator_strength"], s, level, calculate)["oscillator_strength"] for s in (along, askew)
    )
    assert first > 0.01
    assert second == pytest.approx(first, rel=1e-3)


def test_oxygen_is_a_triplet_and_water_a_singlet(calculate, level, water):
    oxygen = System(("O", "O"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.21)))
    for theory in (level("hf", "sto-3g"), level("pbe", "sto-3g")):
        assert computed(["singlet_triplet_gap"], oxygen, theory, calculate)["singlet_triplet_gap"] < -0.5
        assert computed(["singlet_triplet_gap"], water, theory, calculate)["singlet_triplet_gap"] > 5.0


def test_the_gap_is_the_same_whichever_spin_is_asked_for(calculate, level):
    singlet, triplet = (System(("O", "O"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.21)), spin=spin) for spin in (0, 2))
    theory = level("hf", "sto-3g")
    gaps = [computed(["singlet_triplet_gap"], s, theory, calculate)["singlet_triplet_gap"] for s in (singlet, triplet)]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-6)


def test_a_triplet_below_the_closed_shell_has_a_negative_excitation_energy(calculate, level):
    oxygen = System(("O", "O"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.21)))
    assert calculate(oxygen, level("hf", "sto-3g")).triplet.energy < 0


def test_the_triplet_by_two_energies_is_near_that_by_linear_response(calculate, level):
    # The two-energies triplet relaxes its orbitals, so it lies below.
    found = computed(EXCITED, from_smiles("C=C", 1, True, 7), level("hf", "sto-3g"), calculate)
    assert found["singlet_triplet_gap"] < found["triplet_excitation_energy"]
    assert found["singlet_triplet_gap"] == pytest.approx(found["triplet_excitation_energy"], abs=0.5)


def test_a_solvent_shifts_the_n_to_pi_star_excitation_of_a_carbonyl_to_the_blue(calculate, level):
    formaldehyde = from_smiles("C=O", 1, True, 7)
    gas, solvated = (
        calculate(formaldehyde, level("hf", "sto-3g", solvent=solvent)).singlet.energy for solvent in (None, "water")
    )
    assert 0.05 < solvated - gas < 0.5


def test_helium_in_a_minimal_basis_has_nothing_to_excite_to(calculate, level):
    helium = calculate(System(("He",), ((0.0, 0.0, 0.0),)), level("hf", "sto-3g"))
    with pytest.raises(BadAnswer, match="no empty orbital to excite to; use a larger basis"):
        assert helium.singlet.energy > 0
