"""Message passing: blind to the order of atoms, learns molecules, knows its uncertainty, and is drawn as functions."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from rdkit import Chem

from theoros.models.checks import check_surrogate
from theoros.models.molecule_graphs import graph
from theoros.models.surrogates import message_passing
from theoros.models.surrogates.bayesian_layer import BayesianLayer
from theoros.models.surrogates.graph_batch import GraphBatch
from theoros.models.surrogates.message_passing import MessagePassing
from theoros.models.surrogates.message_passing_network import DirectedMessagePassing, Training
from theoros.oracles.failures import InvalidCandidate

QUICK = MessagePassing(Training(hidden=12, features=6, steps=(20, 20)))


def heteroatoms(data):
    return float(sum(atom.GetAtomicNum() != 6 for atom in Chem.MolFromSmiles(data["smiles"]).GetAtoms()))


def heavy(data):
    return float(Chem.MolFromSmiles(data["smiles"]).GetNumAtoms())


@pytest.fixture(scope="module")
def fitted(molecules, smiles_candidates, make_problem, label):
    """(problem, dataset, model) of every second molecule."""
    problem = make_problem(molecules)
    dataset = label(problem, smiles_candidates[::2], heteroatoms)
    return problem, dataset, MessagePassing().fit(problem, dataset, seed=0)


def test_a_network_is_blind_to_the_order_in_which_atoms_are_written():
    network = DirectedMessagePassing(Training(), descriptors=0, outputs=2).eval()
    ways = [Chem.MolToSmiles(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1"), doRandom=True) for _ in range(5)]
    with torch.no_grad():
        found = network(GraphBatch.of(ways), torch.zeros(5, 0))
    assert len(set(ways)) > 1
    assert torch.allclose(found, found[:1].expand_as(found), atol=1e-5)


def test_molecules_in_a_batch_do_not_talk_to_each_other():
    network = DirectedMessagePassing(Training(), descriptors=0, outputs=1).eval()
    with torch.no_grad():
        together = network(GraphBatch.of(["CCO", "c1ccccc1", "C"]), torch.zeros(3, 0))
        alone = [network(GraphBatch.of([one]), torch.zeros(1, 0)) for one in ("CCO", "c1ccccc1", "C")]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_a_message_does_not_turn_back():
    """On ethane no bond has another one to hear from, so more rounds of messages change nothing."""
    network = DirectedMessagePassing(Training(rounds=1), descriptors=0, outputs=1).eval()
    batch, none = GraphBatch.of(["CC"]), torch.zeros(1, 0)
    with torch.no_grad():
        one = network(batch, none)
        network.rounds = 5
        assert torch.allclose(network(batch, none), one, atol=1e-6)


def test_the_two_directions_of_a_bond_are_each_others_other_way():
    batch = GraphBatch.of(["CCCCCCO", "CCCCCCN"])
    half = len(batch.source) // 2
    assert batch.size.tolist() == [7, 7]
    assert torch.equal(batch.source[:half], batch.target[half:])
    messages = torch.arange(2.0 * half).reshape(-1, 1)
    assert torch.equal(batch.other_way(messages)[:half], messages[half:])
    assert torch.equal(batch.other_way(batch.other_way(messages)), messages)


def test_a_graph_holds_what_the_molecule_is():
    found = graph("C=O")
    assert found.atoms.shape == (2, 8)
    assert found.ends.tolist() == [[0, 1]]
    assert found.bonds[0, 0] == 1  # a double bond
    with pytest.raises(InvalidCandidate, match="can't read"):
        graph("C(")


def test_it_learns_what_molecules_are_made_of(fitted, smiles_candidates, at):
    problem, _, model = fitted
    new = smiles_candidates[1::2]
    truth = np.array([heteroatoms(c.data) for c in new])
    assert np.corrcoef(model.predict(at(problem, new)).mean[:, 0], truth)[0, 1] > 0.8


def test_most_new_labels_lie_where_it_says(fitted, smiles_candidates, at):
    problem, _, model = fitted
    new = smiles_candidates[1::2]
    prediction = model.predict(at(problem, new))
    off = np.abs(prediction.mean[:, 0] - [heteroatoms(c.data) for c in new]) / prediction.label_std[:, 0]
    assert np.mean(off < 2) > 0.8
    assert np.mean(off < 0.2) < 0.5


def test_paths_have_the_moments_that_are_predicted(fitted, smiles_candidates, at):
    problem, _, model = fitted
    new = smiles_candidates[1::4]
    prediction = model.predict(at(problem, new))
    drawn = model.paths("y", "truth", 4_000, seed=1)(new)
    assert np.allclose(drawn.mean(0), prediction.mean[:, 0], atol=0.08 * prediction.std.max())
    assert np.allclose(drawn.std(0), prediction.std[:, 0], rtol=0.08)


def test_a_fit_goes_on_from_the_last_one_in_half_the_steps(fitted, smiles_candidates, make_problem, label, at):
    problem, dataset, model = fitted
    again = MessagePassing().fit(problem, dataset, seed=1, previous=model)
    assert not again.fell_back, again.message
    for one, other in zip(again.networks, model.networks, strict=True):
        assert not torch.equal(one.first.weight, other.first.weight), "it has learned more"
    new = at(problem, smiles_candidates[1::2])
    truth = np.array([heteroatoms(p.candidate.data) for p in new])
    assert np.corrcoef(again.predict(new).mean[:, 0], truth)[0, 1] > 0.8
    assert Training().count(600, 0.5) == Training().count(600) // 2


def test_where_training_fails_a_fit_repeats_all_the_same(fitted, smiles_candidates, at, monkeypatch):
    problem, dataset, _ = fitted

    def astray(*_, **__):
        raise ArithmeticError("not finite")

    monkeypatch.setattr(message_passing, "train", astray)
    models = [MessagePassing().fit(problem, dataset, seed=1) for _ in range(2)]
    assert all(model.fell_back for model in models)
    first, again = (model.predict(at(problem, smiles_candidates)).mean for model in models)
    assert np.array_equal(first, again)


def test_outputs_share_the_networks_and_each_uses_the_labels_that_have_it(
    molecules, smiles_candidates, make_problem, label, at
):
    problem = make_problem(molecules, outputs=("y", "z"))
    dataset = label(problem, smiles_candidates, heteroatoms, heavy)
    values = dataset.values.copy()
    values[::2, 1] = np.nan
    model = MessagePassing().fit(problem, replace(dataset, values=values), seed=0)
    found = model.predict(at(problem, smiles_candidates[::2])).mean[:, 1]
    assert np.corrcoef(found, [heavy(c.data) for c in smiles_candidates[::2]])[0, 1] > 0.8
    assert [own.labels for own in model.models] == [55, 27]


def test_a_fitted_model_travels_between_processes(fitted, smiles_candidates, at):
    problem, _, model = fitted
    points = at(problem, smiles_candidates)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(points).mean, model.predict(points).mean)


def test_it_keeps_the_contract(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules, outputs=("y", "z"))
    dataset = label(problem, smiles_candidates[:20], heteroatoms, heavy)
    assert check_surrogate(QUICK, problem, dataset) == []


def test_it_keeps_the_contract_over_fidelities(molecules, smiles_candidates, make_problem, label, join):
    problem = make_problem(molecules, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
    dataset = join(
        label(problem, smiles_candidates[:20], heavy, fidelity="cheap"), label(problem, smiles_candidates[:9], heavy)
    )
    assert check_surrogate(QUICK, problem, dataset) == []


def test_a_layer_has_the_moments_of_bayesian_linear_regression():
    """Against the textbook's posterior with the variances that the layer found (Bishop 2006, eq. 3.53)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.7 + 0.3 * rng.standard_normal(200)
    layer = BayesianLayer.of(X, y)
    assert layer.weights == pytest.approx([1.0, -2.0, 0.5, 0.7], abs=0.08)
    assert layer.noise == pytest.approx(0.09, rel=0.3)
    new = rng.standard_normal((5, 3))
    centred = X - X.mean(0)
    covariance = np.linalg.inv(centred.T @ centred / layer.noise)
    away = new - X.mean(0)
    expected = np.einsum("ij,jk,ik->i", away, covariance, away) + layer.noise / 200
    assert layer.variance(new) == pytest.approx(expected, rel=0.02)


def test_a_layer_without_labels_knows_the_spread_and_nothing_else():
    layer = BayesianLayer.of(np.ones((1, 3)), np.ones(1))
    assert layer.mean(np.ones((2, 3))).tolist() == [0.0, 0.0]
    assert layer.variance(np.ones((2, 3))).tolist() == [1.0, 1.0]
