"""Kernels against RDKit and against the definitions."""

import pickle

import numpy as np
import pytest
import torch
from gpytorch.kernels import RBFKernel
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.kernels import AutoregressiveKernel, TanimotoKernel
from theoros.models.surrogates.chain_blocks import BlockKernel
from theoros.oracles.candidate import Candidate


def environments(encoder: FingerprintEncoder, candidates: list[Candidate]) -> torch.Tensor:
    """The block of features that holds Morgan environments."""
    first, end = encoder.blocks[1]
    return encoder.encode(candidates)[:, first:end]


def test_tanimoto_on_thermometer_bits_is_rdkits_tanimoto_on_morgan_counts(smiles_candidates):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=3)
    counts = [generator.GetSparseCountFingerprint(Chem.MolFromSmiles(c.data["smiles"])) for c in smiles_candidates]
    expected = np.array([DataStructs.BulkTanimotoSimilarity(fp, counts) for fp in counts])
    wide = FingerprintEncoder(columns=2**18)  # wide enough that no two environments share a bit
    gram = TanimotoKernel()(environments(wide, smiles_candidates)).to_dense().numpy()
    assert np.allclose(gram, expected, atol=1e-12)


def test_tanimoto_on_the_block_of_pairs_is_rdkits_tanimoto_on_counts_of_atom_pairs(smiles_candidates):
    generator = rdFingerprintGenerator.GetAtomPairGenerator()
    paired = [c for c in smiles_candidates if c.data["smiles"] != "C"]  # two molecules without pairs are alike to us
    counts = [generator.GetSparseCountFingerprint(Chem.MolFromSmiles(c.data["smiles"])) for c in paired]
    expected = np.array([DataStructs.BulkTanimotoSimilarity(fp, counts) for fp in counts])
    wide = FingerprintEncoder(composition=0, columns=0, pairs=2**18, levels=0)
    gram = TanimotoKernel()(wide.encode(paired)).to_dense().numpy()
    assert np.allclose(gram, expected, atol=1e-12)


def test_hashing_to_4096_columns_changes_few_similarities(smiles_candidates):
    kernel = TanimotoKernel()
    narrow = kernel(environments(FingerprintEncoder(), smiles_candidates)).to_dense()
    wide = kernel(environments(FingerprintEncoder(columns=2**18), smiles_candidates)).to_dense()
    assert ((narrow - wide).abs() > 0.01).double().mean() < 0.02
    assert (narrow - wide).abs().mean() < 2e-3


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=1, max_size=12))
@settings(max_examples=60)
def test_tanimoto_matrix_is_positive_semidefinite_with_unit_diagonal(rows):
    X = torch.tensor(rows, dtype=torch.float64)
    gram = TanimotoKernel()(X).to_dense()
    assert torch.linalg.eigvalsh(gram).min() > -1e-10
    assert torch.allclose(gram.diagonal(), torch.ones(len(X), dtype=torch.float64))
    assert torch.allclose(TanimotoKernel()(X, diag=True), gram.diagonal())


def test_tanimoto_diag_of_two_lists_is_the_diagonal_of_the_matrix():
    X, Y = torch.randint(0, 2, (5, 9)).double(), torch.randint(0, 2, (5, 9)).double()
    assert torch.allclose(TanimotoKernel()(X, Y, diag=True), TanimotoKernel()(X, Y).to_dense().diagonal())


def test_tanimoto_takes_batches():
    X, Y = torch.rand(3, 4, 7, dtype=torch.float64), torch.rand(3, 5, 7, dtype=torch.float64)
    batched = TanimotoKernel()(X, Y).to_dense()
    single = torch.stack([TanimotoKernel()(x, y).to_dense() for x, y in zip(X, Y, strict=True)])
    assert batched.shape == (3, 4, 5)
    assert torch.allclose(batched, single)


def test_the_kernel_of_blocks_is_their_sum_whatever_it_was_asked_before(smiles_candidates):
    encoder = FingerprintEncoder()
    features = encoder.encode(smiles_candidates)
    scales = torch.linspace(0.5, 2.0, len(encoder.blocks), dtype=torch.float64)
    kernel = BlockKernel(encoder.blocks, scales, constant=0.25)

    def summed(one, other):
        blocks = [TanimotoKernel().forward(one[:, a:b], other[:, a:b]) for a, b in encoder.blocks]
        return 0.25 + (scales[:, None, None] * torch.stack(blocks)).sum(0)

    one, other = features[:-2].clone(), features[-2:]
    for _ in range(2):  # the second time with what is kept of the first argument, seen through another view
        assert torch.allclose(kernel(one[:], other), summed(one, other), atol=1e-14)
    assert torch.allclose(kernel(other, one), summed(other, one), atol=1e-14)
    kernel(one, other)
    one[0] = features[-1]
    assert torch.allclose(kernel(one, other), summed(one, other), atol=1e-14)
    assert len(pickle.dumps(kernel)) < 5_000, "what is kept does not travel"


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.3])
def test_autoregressive_covariances_follow_from_the_recursion(slope):
    """cov(f0, f1) = rho k0 and cov(f1, f1) = rho^2 k0 + share k1."""
    cheap, own = RBFKernel(active_dims=(0,)).double(), RBFKernel(active_dims=(0,)).double()
    cheap.lengthscale, own.lengthscale = 0.7, 0.2
    kernel = AutoregressiveKernel([cheap, own], priors=False)
    kernel.initialize(raw_slope=torch.tensor([slope]).double(), raw_share=torch.tensor([0.3]).double())
    x = torch.linspace(0, 1, 4, dtype=torch.float64).unsqueeze(-1)
    at = [torch.cat([x, torch.full_like(x, level)], dim=1) for level in (0.0, 1.0)]
    k0, k1 = cheap(x).to_dense(), own(x).to_dense()
    assert torch.allclose(kernel(at[0], at[0]).to_dense(), k0)
    assert torch.allclose(kernel(at[0], at[1]).to_dense(), slope * k0)
    assert torch.allclose(kernel(at[1], at[1]).to_dense(), slope**2 * k0 + 0.3 * k1)
    assert torch.allclose(kernel(at[1], diag=True), torch.full((4,), slope**2 + 0.3, dtype=torch.float64))
    expected = slope / np.sqrt(slope**2 + 0.3)
    assert kernel.correlation()[0, 1].item() == pytest.approx(expected)


def test_three_autoregressive_levels_make_a_positive_definite_matrix():
    kernel = AutoregressiveKernel([RBFKernel(active_dims=(0,)).double() for _ in range(3)], priors=False)
    X = torch.cat([torch.rand(30, 1), torch.randint(0, 3, (30, 1))], dim=1).double()
    assert torch.linalg.eigvalsh(kernel(X).to_dense()).min() > -1e-10
