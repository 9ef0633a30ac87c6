"""What graph and string kernels count in molecules, and the processes that are built on them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from theoros.models.checks import check_surrogate
from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.kernels import TanimotoKernel
from theoros.models.mixing import mix, mixed
from theoros.models.subtrees import ROUNDS, subtrees
from theoros.models.surrogates.gaussian_process import GraphGaussianProcess, StringGaussianProcess
from theoros.models.words import SYMBOL, words
from theoros.oracles.candidate import Candidate


def molecule(smiles: str) -> Chem.Mol:
    return Chem.MolFromSmiles(smiles)


def shuffled(mol: Chem.Mol, seed: int) -> Chem.Mol:
    return Chem.RenumberAtoms(mol, np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist())


@pytest.mark.parametrize("count", [subtrees, words])
def test_the_order_of_atoms_is_nothing(count):
    caffeine = molecule("CN1C=NC2=C1C(=O)N(C(=O)N2C)C")
    assert all(count(shuffled(caffeine, seed)) == count(caffeine) for seed in range(5))


def test_every_atom_has_one_label_in_every_round():
    assert sum(subtrees(molecule("CC(=O)Oc1ccccc1C(=O)O")).values()) == 13 * (ROUNDS + 1)


def test_a_ring_of_like_atoms_has_one_label_in_every_round():
    assert sorted(subtrees(molecule("C1CCCCC1")).values()) == [6] * (ROUNDS + 1)


def test_what_weisfeiler_and_lehman_can_not_tell_apart():
    """Cubane and cuneane: eight CH with three like neighbours each, however far one looks; pairs tell them apart."""
    cubane, cuneane = molecule("C12C3C4C1C5C4C3C25"), molecule("C12C3C1C4C5C4C2C35")
    assert subtrees(cubane) == subtrees(cuneane)
    pairs = FingerprintEncoder(composition=0, columns=0, levels=0)
    one, other = pairs.encode([Candidate("molecule", {"smiles": Chem.MolToSmiles(m)}) for m in (cubane, cuneane)])
    assert not torch.equal(one, other)


def test_isomers_differ_from_the_round_in_which_their_neighbourhoods_do():
    propanol, isopropanol = subtrees(molecule("CCCO")), subtrees(molecule("CC(C)O"))
    assert propanol != isopropanol
    assert propanol.keys() & isopropanol.keys()


def test_words_of_ethanol():
    """CCO: C twice and O once; CC and CO; CCO."""
    assert sorted(words(molecule("CCO")).values()) == [1, 1, 1, 1, 2]


def test_symbols_of_two_letters_are_one_and_the_names_of_rings_are_nothing():
    assert sorted(words(molecule("ClBr")).values()) == [1, 1, 1]
    assert SYMBOL.findall("C[C@H](Cl)Br%12") == ["C", "[C@H]", "(", "Cl", ")", "Br", "%12"]
    biphenyl = words(molecule("c1ccccc1-c1ccccc1"))
    assert max(biphenyl.values()) == 12


@pytest.mark.parametrize("block", ["subtrees", "words"])
def test_similarities_are_a_kernel_with_a_unit_diagonal(block, smiles_candidates):
    encoder = FingerprintEncoder(composition=0, columns=0, pairs=0, levels=0, **{block: 4096})
    gram = TanimotoKernel()(encoder.encode(smiles_candidates)).to_dense()
    assert torch.allclose(gram.diagonal(), torch.ones(len(gram), dtype=gram.dtype))
    assert torch.linalg.eigvalsh(gram).min() > -1e-10
    assert 0 < gram.mean() < 1


@pytest.mark.parametrize("surrogate", [GraphGaussianProcess(), StringGaussianProcess()], ids=lambda s: s.name)
def test_they_keep_the_contract(surrogate, molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    dataset = label(problem, smiles_candidates[:12], lambda data: data["smiles"].count("C"))
    assert check_surrogate(surrogate, problem, dataset) == []


@pytest.mark.parametrize("surrogate", [GraphGaussianProcess(), StringGaussianProcess()], ids=lambda s: s.name)
def test_they_learn_what_molecules_are_made_of(surrogate, molecules, smiles_candidates, make_problem, label, at):
    """Number of heavy atoms, from half of the molecules to the other half."""
    problem = make_problem(molecules)
    heavy = lambda data: molecule(data["smiles"]).GetNumHeavyAtoms()  # noqa: E731
    known, asked = smiles_candidates[::2], smiles_candidates[1::2]
    truth = np.array([heavy(c.data) for c in asked])
    found = surrogate.fit(problem, label(problem, known, heavy), seed=0).predict(at(problem, asked)).mean[:, 0]
    assert np.corrcoef(found, truth)[0, 1] > 0.6


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 500)), min_size=1, max_size=30))
def test_many_numbers_are_mixed_as_one_is(pairs):
    keys, times = (np.array(column, dtype=np.uint64) for column in zip(*pairs, strict=True))
    assert mixed(keys, times).tolist() == [mix(key, k) for key, k in pairs]
