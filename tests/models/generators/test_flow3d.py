"""Flow matching of molecules in space: symmetry of the network, straight paths, bonds from distances, and learning."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from scipy.spatial.transform import Rotation

from theoros.models.generators import flow3d_training
from theoros.models.generators.flow3d import Flow3DSettings, conformers, flow3d
from theoros.models.generators.flow3d_bonds import BondLengths, bond_orders, smiles_of
from theoros.models.generators.flow3d_matching import aligned, between, followed, loss, noise, velocity
from theoros.models.generators.flow3d_molecules import UnitedAtom, graph_of, structures, types_of, vocabulary
from theoros.models.generators.flow3d_network import UNKNOWN, Endpoint, EndpointNetwork, NetworkSettings, State
from theoros.models.generators.flow3d_training import TrainingSettings, by_size
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.failures import InvalidCandidate

SMILES = ("CCO", "CC=O", "CC#N", "c1ccncc1C", "CS(C)(=O)=O", "C[N+](=O)[O-]", "OC1CC1F", "Cc1ccoc1", "N#CCC(N)=O")
FEW = ("CCO", "CC#N", "CC=O")
TINY = NetworkSettings(scalars=16, vectors=8, layers=2, hidden=32)


@pytest.fixture(autouse=True, scope="module")
def own_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="module")
def atoms():
    return vocabulary(SMILES)


@pytest.fixture(scope="module")
def molecules(atoms):
    return structures(SMILES, atoms, seed=0)


@pytest.fixture(scope="module")
def lengths(molecules, atoms):
    return BondLengths.of(molecules, atoms)


@pytest.fixture(scope="module", params=[1, 2], ids=["vectors", "second degree"])
def network(request, atoms):
    torch.manual_seed(0)
    return EndpointNetwork(replace(TINY, degree=request.param), len(atoms)).eval()


def some_state(n=5, kinds=None, batch=3, time=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    bonds = torch.randint(0, 5, (batch, n, n), generator=generator)
    positions, types = noise(batch, n, kinds, generator)
    times = torch.full((batch,), time)
    return State(positions, types, torch.maximum(bonds, bonds.transpose(1, 2)), times, times)


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


# --- molecules as united atoms -------------------------------------------------------------------


def test_hydrogens_and_bonds_make_the_types_of_atoms():
    assert graph_of("CC#N").atoms == (UnitedAtom("C", 0, 3, 1), UnitedAtom("C", 0, 0, 4), UnitedAtom("N", 0, 0, 3))
    assert graph_of("CC#N").orders.tolist() == [[0, 1, 0], [1, 0, 3], [0, 3, 0]]
    assert graph_of("C[N+](=O)[O-]").atoms[1] == UnitedAtom("N", 1, 0, 4)
    assert {atom.valence for atom in vocabulary(["CSC", "CS(C)=O", "CS(C)(=O)=O"]) if atom.symbol == "S"} == {2, 4, 6}
    assert sorted(graph_of("c1ccccc1").orders.sum(axis=1)) == [3] * 6


def test_structures_are_centred_and_the_same_for_the_same_seed(molecules, atoms):
    again = structures(SMILES, atoms, seed=0)
    for molecule, other in zip(molecules, again, strict=True):
        assert np.allclose(molecule.positions.mean(axis=0), 0, atol=1e-9)
        assert np.array_equal(molecule.positions, other.positions)


def test_an_atom_that_was_never_seen_is_named():
    with pytest.raises(InvalidCandidate) as error:
        types_of("CCS", vocabulary(FEW))
    assert str(error.value) == "CCS has a kind of atom that the model was not trained on: SH1 with 1 bonds"
    with pytest.raises(InvalidCandidate, match="is not a valid SMILES"):
        graph_of("C(C")


# --- bonds from distances ------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0.0, 0.1])
def test_bonds_are_found_again_from_coordinates_that_are_a_little_off(molecules, atoms, lengths, blur):
    rng = np.random.default_rng(0)
    for smiles, molecule in zip(SMILES, molecules, strict=True):
        kinds = [atoms[i] for i in molecule.types]
        positions = molecule.positions + blur / np.sqrt(3) * rng.standard_normal(molecule.positions.shape)
        assert smiles_of(kinds, bond_orders(kinds, positions, lengths)) == Chem.CanonSmiles(smiles)


def test_lengths_are_what_chemistry_knows(lengths):
    carbon, nitrogen = lengths.symbols.index("C"), lengths.symbols.index("N")
    assert lengths.mean[carbon, carbon, 0] == pytest.approx(1.50, abs=0.05)
    assert lengths.mean[carbon, nitrogen, 2] == pytest.approx(1.16, abs=0.02)
    assert np.array_equal(lengths.mean, lengths.mean.swapaxes(0, 1), equal_nan=True)
    assert np.isnan(lengths.mean[lengths.symbols.index("F"), lengths.symbols.index("O")]).all()


def test_atoms_far_apart_have_no_bond_and_the_largest_part_is_the_molecule(lengths):
    methyl, hydroxyl = UnitedAtom("C", 0, 3, 1), UnitedAtom("O", 0, 1, 1)
    kinds = [methyl, methyl, hydroxyl]
    positions = np.array([[0, 0, 0], [1.5, 0, 0], [9.0, 0, 0]])
    orders = bond_orders(kinds, positions, lengths)
    assert orders.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert smiles_of(kinds, orders) == "CC"
    assert smiles_of([], np.zeros((0, 0), dtype=int)) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.2, 3.0))
@settings(max_examples=25)
def test_whatever_the_coordinates_no_atom_exceeds_its_valence(atoms, lengths, seed, n, spread):
    rng = np.random.default_rng(seed)
    kinds = [atoms[i] for i in rng.integers(len(atoms), size=n)]
    orders = bond_orders(kinds, spread * rng.standard_normal((n, 3)), lengths)
    assert np.array_equal(orders, orders.T)
    assert ((orders >= 0) & (orders <= 3)).all()
    assert (orders.sum(axis=1) <= [kind.valence for kind in kinds]).all()
    smiles = smiles_of(kinds, orders)
    assert smiles is None or Chem.MolFromSmiles(smiles) is not None


# --- symmetry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True], ids=["turned", "turned and mirrored"])
def test_the_velocity_turns_with_the_molecule(network, atoms, mirrored):
    state = some_state(kinds=len(atoms))
    matrix = torch.from_numpy(Rotation.random(rng=np.random.default_rng(1)).as_matrix()).float()
    matrix = -matrix if mirrored else matrix
    with torch.no_grad():
        positions, types = velocity(network, state)
        turned = velocity(network, state._replace(positions=state.positions @ matrix.T))
    assert relative(turned[0], positions @ matrix.T) < 1e-4
    assert relative(turned[1], types) < 1e-4


def test_where_the_molecule_lies_does_not_matter(network, atoms):
    state = some_state(kinds=len(atoms))
    far = state._replace(positions=state.positions + torch.tensor([3.0, -2.0, 5.0]))
    with torch.no_grad():
        here, there = network(state), network(far)
    assert relative(there.positions, here.positions) < 1e-4
    assert relative(there.types, here.types) < 1e-4


def test_the_velocity_follows_the_order_of_the_atoms(network, atoms):
    state = some_state(kinds=len(atoms))
    order = torch.tensor([3, 0, 4, 1, 2])
    other = State(
        state.positions[:, order],
        state.types[:, order],
        state.bonds[:, order][:, :, order],
        state.time,
        state.type_time,
    )
    with torch.no_grad():
        positions, types = velocity(network, state)
        found = velocity(network, other)
    assert relative(found[0], positions[:, order]) < 1e-4
    assert relative(found[1], types[:, order]) < 1e-4


def test_molecules_of_a_batch_do_not_hear_each_other_and_one_atom_is_enough(network, atoms):
    state = some_state(kinds=len(atoms))
    with torch.no_grad():
        together = network(state).positions
        alone = network(State(*(part[1:2] for part in state))).positions
        single = network(some_state(n=1, kinds=len(atoms)))
    assert relative(alone[0], together[1]) < 1e-4
    assert torch.equal(single.positions, torch.zeros(3, 1, 3))


def test_the_centre_of_mass_stays_where_it_is(network, atoms):
    end = followed(network, some_state(kinds=len(atoms), time=0.0), 6)
    assert end.positions.mean(dim=1).abs().max() < 1e-5
    assert torch.allclose(end.time, torch.ones(3))


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7])
def test_the_flow_ends_where_a_network_that_knows_the_end_says(steps):
    end = some_state(kinds=4, seed=1)
    sure = 50.0 * torch.nn.functional.one_hot(end.types.argmax(-1), 4).float()
    arrived = followed(lambda _: Endpoint(end.positions, sure), some_state(kinds=4, time=0.0, seed=2), steps)
    assert torch.allclose(arrived.positions, end.positions, atol=1e-4)
    assert torch.allclose(arrived.types, sure / 50, atol=1e-4)


def test_the_velocity_is_constant_on_a_straight_path():
    end, start = some_state(kinds=4, seed=1), noise(3, 5, 4, torch.Generator().manual_seed(2))
    for time in (0.0, 0.3, 0.9):
        at = torch.full((3,), time)
        state = between(start, end, at, at)
        rate, _ = velocity(lambda _: Endpoint(end.positions, end.types), state)
        assert torch.allclose(rate, end.positions - start[0], atol=1e-4)


def test_types_that_are_known_stay():
    state = some_state(kinds=4)._replace(type_time=torch.ones(3))
    assert torch.equal(velocity(lambda s: Endpoint(s.positions, torch.randn(3, 5, 4)), state)[1], torch.zeros(3, 5, 4))


def test_alignment_shortens_paths_and_leaves_noise_noise():
    generator = torch.Generator().manual_seed(0)
    start, end = (noise(40, 6, 1, generator)[0] for _ in range(2))
    both, turned = (aligned(start, end, torch.full((40,), permute)) for permute in (True, False))
    paths = [(one - end).square().sum((1, 2)) for one in (start, turned, both)]
    assert (paths[1] <= paths[0] + 1e-4).all()
    assert paths[2].mean() < paths[1].mean() < paths[0].mean()
    for found in (both, turned):
        assert torch.allclose(found.norm(dim=-1).sort()[0], start.norm(dim=-1).sort()[0], atol=1e-4)
    assert torch.allclose(torch.cdist(turned, turned), torch.cdist(start, start), atol=1e-3)


def test_noise_that_is_the_turned_molecule_is_aligned_with_it():
    end, _ = noise(1, 6, 1, torch.Generator().manual_seed(0))
    matrix = torch.from_numpy(Rotation.from_rotvec([0.1, 0.2, -0.1]).as_matrix()).float()
    start = (end @ matrix)[:, torch.tensor([2, 0, 1, 5, 4, 3])]
    assert torch.allclose(aligned(start, end, torch.tensor([True])), end, atol=1e-4)


def test_bonds_are_hidden_from_the_network_unless_they_are_given(molecules, atoms):
    group = by_size(molecules, len(atoms), 1.0, torch.device("cpu"))[0]
    known = torch.arange(len(group.time)) % 2 == 0
    seen = []

    def predict(state):
        seen.append(state)
        return Endpoint(state.positions, state.types)

    loss(predict, group, known, torch.Generator().manual_seed(0))
    (state,) = seen
    assert torch.equal(state.bonds[known], group.bonds[known])
    assert torch.equal(state.types[known], group.types[known])
    assert (state.bonds[~known] == UNKNOWN).all()
    assert (state.type_time[~known] == state.time[~known]).all()


# --- learning ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def overfitted():
    """A tiny model of three molecules, and the losses of its training."""
    losses, original = [], flow3d_training.train

    def watched(*args):
        losses.extend(original(*args))
        return losses

    training = TrainingSettings(steps=300, batch=24, rate=1e-2, known=0.3, average=0.95)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("theoros.models.generators.flow3d.train", watched)
        return flow3d(FEW, Flow3DSettings(network=TINY, training=training, steps=20)), losses


def test_the_loss_falls_and_the_molecules_come_back(overfitted):
    model, losses = overfitted
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:20])
    found = model.sample(20, seed=1)
    smiles = [model.smiles(molecule) for molecule in found]
    assert sum(one in FEW for one in smiles) >= 15
    assert len(set(smiles) & set(FEW)) >= 2


def test_conformers_have_the_bond_lengths_that_were_learned(overfitted):
    model, _ = overfitted
    for smiles in FEW:
        graph = graph_of(smiles)
        i, j = np.nonzero(np.triu(graph.orders))
        (wanted,) = structures([smiles], model.atoms, 0)
        found = conformers(model, smiles, 4, seed=0)
        apart = np.linalg.norm(found[:, i] - found[:, j], axis=-1)
        assert np.abs(apart - np.linalg.norm(wanted.positions[i] - wanted.positions[j], axis=1)).max() < 0.15


def test_conformers_have_all_atoms_and_repeat(overfitted):
    model, _ = overfitted
    found = conformers(model, "CCO", 2, seed=3)
    assert found.shape == (2, 9, 3)
    assert np.array_equal(found, conformers(model, "CCO", 2, seed=3))
    assert not np.allclose(found[0], found[1])
    hydrogens = np.linalg.norm(found[:, 3:, None] - found[:, None, :3], axis=-1).min(axis=-1)
    assert ((hydrogens > 0.9) & (hydrogens < 1.2)).all()
    with pytest.raises(InvalidCandidate, match="was not trained on"):
        conformers(model, "CCS", 1, seed=0)


def test_samples_repeat_with_the_seed_and_differ_without(overfitted):
    model, _ = overfitted
    first, again, other = (model.sample(4, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].positions, other[0].positions)


def test_little_noise_leaves_a_molecule_what_it_was(overfitted):
    model, _ = overfitted
    parents = structures(FEW, model.atoms, 0)
    assert [model.smiles(one) for one in model.variations(parents, [0.95] * 3, seed=0)] == list(FEW)
    assert model.variations([], [], seed=0) == []


def test_weights_are_kept_and_give_the_same_model(overfitted, monkeypatch):
    model, _ = overfitted
    settings = Flow3DSettings(
        network=TINY, training=TrainingSettings(steps=300, batch=24, rate=1e-2, known=0.3, average=0.95), steps=20
    )
    flow3d.cache_clear()
    monkeypatch.setattr("theoros.models.generators.flow3d.train", lambda *_: pytest.fail("trained again"))
    again = flow3d(FEW, settings)
    assert again is not model
    assert flow3d(FEW, replace(settings, steps=7)).steps == 7
    first, second = (one.sample(3, seed=5) for one in (model, again))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(first, second, strict=True))


def test_without_e3nn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "e3nn", None)
    with pytest.raises(ValueError) as error:
        EndpointNetwork(TINY, 3)
    assert str(error.value) == (
        "Three-dimensional flow matching needs the module 'e3nn', which is not installed. "
        "Install it with: pip install 'theoros[flow]'"
    )


def test_a_corpus_without_structures_is_refused(monkeypatch):
    monkeypatch.setattr("theoros.models.generators.flow3d.structures", lambda *_: [])
    with pytest.raises(ValueError) as error:
        flow3d(("CCCC",), Flow3DSettings(network=TINY))
    assert str(error.value) == (
        "Flow matching learns from structures of molecules, and no molecule of the corpus has one."
    )
