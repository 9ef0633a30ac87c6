"""The chain of fidelities in closed form, held against densities, numerical gradients and its slower twin."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from theoros.models.encoders import ParameterEncoder
from theoros.models.kernels import AutoregressiveKernel
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.chain_blocks import BlockChainPosterior
from theoros.models.surrogates.chain_marginal import ChainPosterior
from theoros.models.surrogates.fidelity_chain import ChainKernel, chain_with_labels, fit_chain
from theoros.models.surrogates.gaussian_process import GaussianProcess, TanimotoGaussianProcess
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.marginal import MEAN_VARIANCE, MarginalPosterior
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.structure import Structure


def posterior(seed, family="matern", levels=2, warp=None, n=12):
    rng = np.random.default_rng(seed)
    return ChainPosterior(
        family,
        rng.uniform(size=(n, 2)),
        rng.integers(0, 3, size=(n, 1)).astype(float),
        rng.normal(size=n),
        warp or Warp(),
        (-6.0, 1.0),
        1e-6,
        1.0,
        level=np.arange(n) % levels,
        levels=levels,
    )


def somewhere(chain, seed):
    return chain.start() + 0.3 * np.random.default_rng(seed).normal(size=len(chain.start()))


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(["rbf", "matern"]), st.integers(1, 3), st.sampled_from([-1, 0, 1]))
def test_the_gradient_is_the_numerical_one(seed, family, levels, sign):
    chain = posterior(seed, family, levels, Warp(sign))
    theta = somewhere(chain, seed)
    numerical = approx_fprime(theta, lambda t: chain.value(t)[0], 1e-6)
    assert chain.value(theta)[1] == pytest.approx(numerical, abs=2e-3, rel=1e-3)
    assert len(chain.bounds()) == len(theta)


@settings(max_examples=6)
@given(st.integers(0, 10**6), st.integers(2, 3))
def test_so_is_that_over_the_blocks_of_a_fingerprint(seed, levels):
    rng, n = np.random.default_rng(seed), 10
    none, roots = np.zeros((n, 0)), rng.uniform(size=(3, n, 4))
    chain = BlockChainPosterior(
        "tanimoto",
        none,
        none,
        rng.normal(size=n),
        Warp(),
        (-6.0, 1.0),
        1e-6,
        level=np.arange(n) % levels,
        levels=levels,
        grams=roots @ roots.transpose(0, 2, 1),
    )
    theta = somewhere(chain, seed)
    numerical = approx_fprime(theta, lambda t: chain.value(t)[0], 1e-6)
    assert chain.value(theta)[1] == pytest.approx(numerical, abs=2e-3, rel=1e-3)
    assert len(chain.bounds()) == len(theta)


def test_molecules_at_two_levels_teach_each_other(molecules, smiles_candidates, make_problem, label, join, at):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.01, 1.0))
    size = lambda d: d["smiles"].count("C") + d["smiles"].count("c")  # noqa: E731
    known, new = smiles_candidates[:40:2], smiles_candidates[1:40:4]
    cheap = label(problem, smiles_candidates, lambda d: 2 * size(d) - 5, fidelity="cheap")
    dataset = join(cheap, label(problem, known[:8], size))
    model = TanimotoGaussianProcess().fit(problem, dataset, seed=0)
    assert isinstance(model.models[0].posterior.kernel, ChainKernel)
    found = model.hyperparameters()["y"]
    assert found["fidelity_correlation"][0][1] > 0.9
    assert all(len(level["output_scales"]) > 1 for level in found["levels"].values())
    error = model.predict(at(problem, new)).mean[:, 0] - [size(c.data) for c in new]
    assert np.sqrt(np.mean(error**2)) < 0.5


def kernel_of(chain, theta):
    found = chain.read(theta)
    levels = [
        ArdKernel(chain.family, (0, 1), torch.from_numpy(lengths), (2,), torch.from_numpy(categories), 1.0)
        for lengths, categories in zip(found.length_scales, found.category_scales, strict=True)
    ]
    return ChainKernel(levels, torch.from_numpy(found.loadings), MEAN_VARIANCE)


def inputs_of(chain):
    return torch.from_numpy(np.column_stack([chain.X, chain.C, chain.level]))


@pytest.mark.parametrize("levels", [2, 3])
def test_the_value_is_the_density_of_the_labels_under_the_kernel(levels):
    chain = posterior(1, levels=levels)
    theta = somewhere(chain, 2)
    covariance = kernel_of(chain, theta)(inputs_of(chain)).numpy() + chain.read(theta).noise * np.eye(len(chain.y))
    density = multivariate_normal(np.zeros(len(chain.y)), covariance).logpdf(chain.y)
    assert chain.value(theta)[0] - chain._prior(theta)[0] == pytest.approx(-density, rel=1e-6)


def test_a_chain_of_one_level_is_the_process_of_one_level():
    chain = posterior(3, levels=1)
    one = MarginalPosterior(
        chain.family, chain.X, chain.C, chain.y, chain.warp, chain.noise_prior, chain.floor, chain.most
    )
    theta = somewhere(chain, 4)
    (value, gradient), (expected, slopes) = chain.value(theta), one.value(theta)
    assert value == pytest.approx(expected, rel=1e-9)
    assert gradient == pytest.approx(slopes, rel=1e-6, abs=1e-9)


def test_the_kernel_is_the_autoregressive_one_and_a_constant_for_each_level():
    structure = Structure("matern", 2, tasks=3)
    slow = structure.kernel(priors=False)
    assert isinstance(slow, AutoregressiveKernel)
    lengths = [level.lengthscale.detach().flatten() for level in slow.levels]
    none = torch.zeros(0, dtype=torch.float64)
    fast = ChainKernel(
        [ArdKernel("matern", (0, 1), own, (), none, 1.0) for own in lengths], slow.loadings().detach(), 0.5
    )
    rng = np.random.default_rng(0)
    X, Z = (torch.from_numpy(np.column_stack([rng.uniform(size=(n, 2)), np.arange(n) % 3])) for n in (9, 6))
    same = (X[:, -1:] == Z[:, -1]).double()
    assert torch.allclose(fast(X, Z), slow(X, Z).to_dense().detach() + 0.5 * same, atol=1e-9)
    assert torch.allclose(fast(X, diag=True), fast(X).diagonal())
    assert torch.allclose(fast.correlation(), slow.correlation().detach())


def bowl(data):
    return 1.0 + 50 * ((data["x"] - 0.3) ** 2 + (data["y"] - 0.6) ** 2) ** 2


def cheap_bowl(data):
    return 3.0 * bowl(data) - 70.0 + 4.0 * math.sin(3 * data["x"])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def ladder(square, make_problem):
    return make_problem(square, maximize=False, fidelities=("cheap", "truth"), costs=(0.1, 1.0))


def labelled(ladder, square, label, join, rng, n=14):
    candidates = square.sample(n, rng)
    return join(label(ladder, candidates, cheap_bowl, fidelity="cheap"), label(ladder, candidates[: n - 4], bowl))


def test_a_shifted_and_scaled_cheap_level_is_found_to_be_the_truth(ladder, square, label, join, at, rng):
    dataset = labelled(ladder, square, label, join, rng, 20)
    model = GaussianProcess().fit(ladder, dataset, seed=0)
    found = model.hyperparameters()["y"]
    assert found["fidelity_correlation"][0][1] > 0.95
    assert set(found["levels"]) == {"cheap", "truth"}
    new = square.sample(50, rng)
    truth = np.array([bowl(c.data) for c in new])
    error = model.predict(at(ladder, new)).mean[:, 0] - truth
    assert np.sqrt(np.mean(error**2)) < 0.25 * np.std(truth)


def test_labels_of_every_level_are_predicted_as_they_came_even_through_a_logarithm(
    ladder, square, label, join, at, rng
):
    dataset = labelled(ladder, square, label, join, rng)
    structure = Structure("rbf", 2, tasks=2)
    encoder = ParameterEncoder.of(square)
    features = encoder.encode([point.candidate for point in dataset.points])
    fidelity = np.array([ladder.fidelities.index(point.fidelity) for point in dataset.points])
    labels = Labels.of(ladder, dataset, "y", features, fidelity)
    for ends in ((), (1,)):
        model, _ = fit_chain(structure, encoder, labels, ("rbf",), ends, None)
        means, _ = model.posterior.moments(labels.inputs(structure))
        back = model.natural(means[:, 0].numpy(), fidelity)
        assert back == pytest.approx(dataset.values[:, 0], abs=0.05 * np.ptp(dataset.values[:, 0]))
    again = chain_with_labels(model, labels)
    assert again.hyperparameters == model.hyperparameters


def test_with_a_transform_each_level_counts_from_its_own_best():
    chain = posterior(5, warp=Warp(1))
    assert chain.best == pytest.approx([chain.y[chain.level == q].min() for q in (0, 1)])
    assert posterior(5).best == pytest.approx([0.0, 0.0])


def test_a_second_fit_begins_where_the_first_one_ended(ladder, square, label, join, at, rng):
    dataset = labelled(ladder, square, label, join, rng)
    first = GaussianProcess().fit(ladder, dataset, seed=0)
    second = GaussianProcess().fit(ladder, dataset, seed=1, previous=first)
    assert set(second.models[0].state) >= set(first.models[0].state) != set()
    new = at(ladder, square.sample(20, rng))
    assert second.predict(new).mean == pytest.approx(first.predict(new).mean, abs=0.05 * np.ptp(dataset.values))
