"""The deep kernel: the usual one as long as its network is quiet, better where the function has a cliff."""

import math
import pickle

import numpy as np
import pytest
import torch
from gpytorch.kernels import MaternKernel
from hypothesis import given
from hypothesis import strategies as st

from theoros.models import registry
from theoros.models.checks import check_surrogate
from theoros.models.contest import log_densities
from theoros.models.contract import ProposalRequest
from theoros.models.data import Dataset
from theoros.models.surrogates.deep_kernel import LEAST, DeepKernelProcess
from theoros.models.surrogates.deep_kernel_features import STEEPEST, DeepKernel, Inputs
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Parameters, Real

QUICK = DeepKernelProcess(steps=20)


def cliff(data):
    """Two plains and the cliff between them, which is not along an axis."""
    return math.tanh(40 * (data["x0"] + data["x1"] - data["x2"] - 0.5))


def begin(inputs, seed=0, loud=1.0):
    theta = inputs.begin(16, -4.0, seed)
    return {name: value * loud if name.startswith("w") else value for name, value in theta.items()}


def test_without_its_network_it_is_materns_kernel():
    inputs = Inputs((0, 1, 2), {})
    theta = begin(inputs, loud=0.0)
    theta["lengths"] = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    theirs = MaternKernel(2.5, ard_num_dims=3).double()
    theirs.lengthscale = theta["lengths"].exp()
    a, b = torch.rand(2, 6, 3, dtype=torch.float64)
    assert torch.allclose(DeepKernel(inputs, theta)(a, b), theirs(a, b).to_dense(), atol=1e-10)


def test_two_choices_lie_one_length_scale_apart():
    inputs = Inputs((), {0: 3})
    theta = begin(inputs, loud=0.0)
    theta["lengths"] = torch.tensor([math.log(2.0)], dtype=torch.float64)
    values = DeepKernel(inputs, theta)(torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64))
    root = math.sqrt(5) / 2
    assert values[0, 1] == pytest.approx((1 + root + root**2 / 3) * math.exp(-root))
    assert values[0, 1] == values[1, 2]


@given(st.integers(0, 1000), st.floats(0.0, 20.0))
def test_it_is_a_kernel_whatever_the_network(seed, loud):
    inputs = Inputs((0, 1), {2: 3})
    rng = np.random.default_rng(seed)
    X = torch.from_numpy(np.column_stack([rng.random((12, 2)), rng.integers(0, 3, 12)]))
    kernel = DeepKernel(inputs, begin(inputs, seed, loud))
    matrix = kernel(X)
    assert torch.allclose(matrix, matrix.T)
    assert torch.allclose(matrix.diagonal(), kernel(X, diag=True))
    assert float(torch.linalg.eigvalsh(matrix)[0]) > -1e-9
    for weights, _ in kernel.layers:
        assert float(torch.linalg.matrix_norm(weights, 2)) <= STEEPEST + 1e-9


@pytest.fixture
def rugged(make_problem, label):
    """(problem, 120 labels beside a cliff, those and 200 others)."""
    space = Parameters(**{f"x{i}": Real(0, 1) for i in range(3)})
    problem, candidates = make_problem(space), space.sample(320, np.random.default_rng(1))
    whole = label(problem, candidates, cliff)
    return problem, Dataset(whole.points[:120], whole.outputs, whole.values[:120]), whole


def test_labels_beside_a_cliff_are_predicted_better_than_by_a_process(rugged):
    problem, data, whole = rugged
    deep, usual = (s.fit(problem, data, seed=0) for s in (DeepKernelProcess(), GaussianProcess(outcome="plain")))
    mine, theirs = (log_densities(problem, model, whole, range(120, 320)) for model in (deep, usual))
    assert mine.mean() > theirs.mean() + 0.5
    off = [model.predict(whole.points[120:]).mean - whole.values[120:] for model in (deep, usual)]
    assert np.square(off[0]).mean() < 0.5 * np.square(off[1]).mean()


def test_few_labels_teach_the_network_nothing(square, make_problem, label):
    problem = make_problem(square)
    data = label(problem, square.sample(LEAST - 1, np.random.default_rng(0)), lambda x: x["x"])
    state = QUICK.fit(problem, data, seed=0).output("y").state
    assert torch.equal(state["b0"], torch.zeros_like(state["b0"]))
    assert float(state["w2"].abs().max()) < 0.1


@pytest.mark.parametrize("fidelities", [("truth",), ("cheap", "truth")])
def test_it_keeps_the_contract_on_mixed_parameters(mixed, make_problem, label, fidelities):
    problem = make_problem(mixed, fidelities=fidelities, costs=(0.1, 1.0)[-len(fidelities) :])
    data = label(problem, mixed.sample(12, np.random.default_rng(3)), lambda x: x["v"] + (x["base"] == "b"))
    assert check_surrogate(QUICK, problem, data) == []


def test_it_keeps_the_contract_on_molecules(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules)
    data = label(problem, smiles_candidates[:44], lambda x: x["smiles"].count("C"))
    assert check_surrogate(QUICK, problem, data) == []


def test_gradients_lead_to_proposals_and_the_model_travels(rugged):
    problem, data, _ = rugged
    model = pickle.loads(pickle.dumps(QUICK.fit(problem, data, seed=0)))
    acquisition = registry.acquisition("log_ei")
    score = acquisition.scorer(problem, model, data, [], seed=0)
    seen = frozenset(point.candidate.hash for point in data.points)
    request = ProposalRequest(problem, 4, 1, seen, (), (), model, acquisition, score, data)
    found = registry.proposer("acquisition_optimizer").propose(request)
    others = problem.space.sample(200, np.random.default_rng(5))
    assert len(found) == 4
    assert score(found)[0] >= score(others).max() - 1e-6


def test_more_labels_than_it_holds_are_learned_from_all_and_kept_in_part(rugged):
    problem, _, whole = rugged
    model = DeepKernelProcess(steps=20, most=50).fit(problem, whole, seed=0)
    assert len(model.output("y").posterior.X) == 50
    assert model.n_labels == 320
