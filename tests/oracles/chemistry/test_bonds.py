"""Whether a relaxed molecule is still the candidate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.oracles.chemistry.bonds import Rearranged, bonds_of, check_bonds
from theoros.oracles.chemistry.geometry import System, from_smiles
from theoros.oracles.chemistry.oracle import XTBOracle
from theoros.oracles.failures import InvalidCandidate

# Crowded, strained, stretched, charged, and with heavy atoms: none may be taken for another molecule.
UNUSUAL = [
    "C1C2CC12", "C12CC1C2", "C1C2CC1C2", "C12C3C4C1C5C2C3C45", "[H][H]", "FF", "O=[N+]([O-])[N+](=O)[O-]", "S1SSSSSSS1",
    "C[N+](=O)[O-]", "CC(C)(C)C(C)(C)C(C)(C)C", "O=C(O)CC(=O)O", "BrC(Br)(Br)Br", "CI", "C#N", "NN", "OO",
    "FS(F)(F)(F)(F)F", "C[Si](C)(C)C", "OP(O)(O)=O", "C1CC2CCC1C2", "C=C=C=C", "N#N", "[C-]#[O+]", "C1=CC=C1",
]  # fmt: skip


@pytest.mark.parametrize("smiles", UNUSUAL)
def test_an_embedded_molecule_has_the_bonds_of_its_smiles(smiles):
    check_bonds(from_smiles(smiles, 1, True, 7), bonds_of(smiles), "MMFF94")


def test_bonds_count_hydrogens_and_are_pairs_of_embedded_atoms():
    assert bonds_of("O") == {(0, 1), (0, 2)}
    assert len(bonds_of("c1ccccc1")) == 12


def test_a_broken_and_a_made_bond_are_named():
    acid = from_smiles("OC=O", 1, True, 7)
    hydrogen, oxygen = 3 + acid.symbols[3:].index("H"), 2
    positions = acid.coordinates
    bonded = next(j for i, j in bonds_of("OC=O") if i == 0 and j > 2)
    positions[bonded] = positions[oxygen] + np.array([0.0, 0.0, 0.97])
    assert hydrogen in {3, 4}
    with pytest.raises(
        Rearranged, match=rf"relaxation at PBE broke O1-H{bonded + 1} and made O3-H{bonded + 1}: the mol"
    ):
        check_bonds(acid.moved(positions), bonds_of("OC=O"), "PBE")


@settings(max_examples=50)
@given(stretch=st.floats(0.8, 2.5))
def test_a_bond_breaks_once_stretched_beyond_two_fifths_over_its_radii(stretch):
    length = 2 * 0.66 * stretch  # oxygen's covalent radius is 0.66
    molecule = System(("O", "O"), ((0.0, 0.0, 0.0), (0.0, 0.0, length)))
    if stretch < 1.39:
        check_bonds(molecule, frozenset({(0, 1)}), "HF")
    elif stretch > 1.41:
        with pytest.raises(Rearranged, match="broke O1-O2"):
            check_bonds(molecule, frozenset({(0, 1)}), "HF")


def test_it_is_an_invalid_candidate_with_a_class_of_its_own():
    assert issubclass(Rearranged, InvalidCandidate)
    assert Rearranged.failure_class == "rearranged"


def test_a_molecule_that_falls_apart_when_it_is_relaxed_fails(molecule):
    # Neither zwitterion exists without water: a proton comes back.
    zwitterion = molecule("[NH3+]CC(=O)[O-]")
    with pytest.raises(Rearranged, match=r"relaxation at GFN2-xTB broke N1-H\d+ and made O5-H\d+"):
        XTBOracle(geometry={"optimize": "oracle"}).evaluate(zwitterion, "gfn2")
    lax = XTBOracle(geometry={"optimize": "oracle", "keep_bonds": False}).evaluate(zwitterion, "gfn2")
    assert np.isfinite(lax.values["energy"])


def test_an_anion_that_loses_its_halide_has_no_adiabatic_affinity(molecule):
    oracle = XTBOracle(outputs=["adiabatic_electron_affinity"], geometry={"optimize": "oracle"})
    with pytest.raises(Rearranged, match="with charge -1 broke C1-Br2"):
        oracle.evaluate(molecule("CBr"), "gfn2")
