"""Fragments, the environment that grows molecules from them, and a flow network held against exact answers."""

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from theoros.models.generators import gflownet_training
from theoros.models.generators.fragments import (
    Assembly,
    Bond,
    fragment,
    put_together,
    symmetry_order,
    take_apart,
    vocabulary_of,
)
from theoros.models.generators.gflownet_environment import LEAVE, Environment, Growth
from theoros.models.generators.gflownet_policy import Policy, sample, steps_of
from theoros.models.generators.gflownet_training import (
    Balance,
    Corpus,
    FlowNetwork,
    balance,
    flow_network,
    trajectory_balance,
)
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.spaces.starting_molecules import shipped_smiles

ALCOHOLS = ("CCO", "CC", "CNC", "OCC")
ENVIRONMENTS = {
    "chains": (ALCOHOLS, 4),
    "alkanes": (("CCC", "CC"), 6),
    "aromatic rings": (("c1ccccc1C", "c1ccccc1O", "OC"), 8),
    "small rings": (("CC1CN1", "CN1CC1", "C1CC1C", "CC", "C1CC1C1CC1"), 6),
    "charges and nitrogen with hydrogen": (("CS(=O)C", "C=CC=C", "C[N+](=O)[O-]", "Cn1cccc1", "Cc1cc[nH]c1"), 6),
}


@cache
def environment(name):
    molecules, most = ENVIRONMENTS[name]
    return Environment(vocabulary_of(molecules, 20), most)


@cache
def every_growth(name):
    """All complete growths."""
    env, ended, begun = environment(name), [], [()]
    while begun:
        growth = env.grown(begun.pop())
        if growth.complete:
            ended.append(growth)
            continue
        begun += [(*growth.actions, int(action)) for action in np.flatnonzero(env.masks([growth])[0])]
    return ended


def heteroatoms(smiles):
    """Logarithms of rewards with a known sum: e for each atom that is no carbon."""
    return [float(sum(letter in "NO" for letter in text)) for text in smiles]


def network(name, seed=0, width=32):
    torch.manual_seed(seed)
    return FlowNetwork(environment(name), Policy(environment(name), width))


class TestFragments:
    @pytest.mark.parametrize(
        ("smiles", "fragments"),
        [
            ("C", ["C"]),
            ("CCO", ["C", "C", "O"]),
            ("Cc1ccccc1O", ["C", "O", "c1ccccc1"]),
            ("C[N+](=O)[O-]", ["C", "O=[NH+][O-]"]),
            ("c1ccccc1-c1ccccc1", ["c1ccccc1", "c1ccccc1"]),
            ("Cn1cccc1", ["C", "c1cc[nH]c1"]),
            ("CS(=O)(=O)C", ["C", "C", "O=[SH2]=O"]),
            ("CC(=O)N", ["C", "C=O", "N"]),
        ],
    )
    def test_single_bonds_outside_rings_are_cut(self, smiles, fragments):
        assembly = take_apart(smiles)
        assert sorted(assembly.fragments) == fragments
        assert len(assembly.bonds) == len(fragments) - 1

    def test_what_was_taken_apart_is_put_together_again(self):
        for smiles in shipped_smiles()[::17]:
            assert put_together(take_apart(smiles)) == smiles

    def test_atoms_that_cannot_be_told_apart_are_one_site(self):
        assert fragment("c1ccccc1").sites == (0,)
        assert fragment("C=O").sites == (0,)
        assert len(fragment("c1ccncc1").sites) == 3
        # Without regard to hydrogens the two nitrogens would be one.
        assert len(fragment("c1c[nH]cn1").sites) == 4

    @pytest.mark.parametrize(
        ("smiles", "order"),
        [
            ("C", 1),
            ("CC", 2),
            ("C1CC1", 6),
            ("c1ccccc1", 12),
            ("CC(C)(C)C", 24),
            ("c1c[nH]cn1", 1),
            ("FC(F)(F)CO", 6),
            ("CC(F)(F)C(F)(F)C", 8),
            ("C1CC2CCC1CC2", 12),
        ],
    )
    def test_orders_of_known_symmetry_groups(self, smiles, order):
        assert symmetry_order(smiles) == order
        assert len(fragment(Chem.CanonSmiles(smiles)).symmetries) == order

    def test_the_commonest_fragments_are_kept_and_bonds_that_were_seen(self):
        vocabulary = vocabulary_of(["CCO", "CO", "CN"], 2)
        assert [each.smiles for each in vocabulary.fragments] == ["C", "O"]
        carbon, oxygen = (each.kinds[0] for each in vocabulary.fragments)
        seen = vocabulary.may_bond([carbon, oxygen], [carbon, oxygen])
        assert seen.tolist() == [[True, True], [True, False]]

    def test_nonsense_is_refused(self):
        with pytest.raises(ValueError, match="'C1' is not a SMILES"):
            take_apart("C1")
        with pytest.raises(ValueError, match="more bonds than it had hydrogens"):
            put_together(Assembly(("F", "C", "C"), (Bond(0, 0, 1, 0), Bond(0, 0, 2, 0))))


class TestEnvironment:
    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_ways_are_counted_as_they_are_met(self, name):
        env = environment(name)
        met = Counter(env.smiles(growth) for growth in every_growth(name))
        assert len(met) > 4
        for growth in every_growth(name)[:1000]:
            assert math.exp(env.log_ways(growth)) == pytest.approx(met[env.smiles(growth)], rel=1e-9)

    def test_ways_to_build_known_molecules(self):
        env = environment("chains")
        ways = {env.smiles(growth): round(math.exp(env.log_ways(growth))) for growth in every_growth("chains")}
        assert ways["C"] == 1
        assert ways["CO"] == 2  # from either end
        assert ways["CCC"] == 2  # from an end or from the middle
        assert ways["CCO"] == 4  # from either end, and from the middle in two orders

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=40)
    def test_every_state_is_a_valid_molecule_within_the_limit(self, seed):
        env = shipped_environment()
        rng, growth = np.random.default_rng(seed), Growth()
        while not growth.complete:
            env.extend(growth, int(rng.choice(np.flatnonzero(env.masks([growth])[0]))))
            molecule = Chem.MolFromSmiles(env.smiles(growth))
            assert molecule.GetNumHeavyAtoms() == growth.size <= env.most
            assert not sum(atom.GetNumRadicalElectrons() + atom.GetFormalCharge() for atom in molecule.GetAtoms())
            assert "." not in env.smiles(growth)
        assert sorted(take_apart(env.smiles(growth)).fragments) == sorted(env.assembly(growth).fragments)

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=40)
    def test_a_molecule_is_built_in_ways_that_lead_to_it(self, seed):
        env, rng = shipped_environment(), np.random.default_rng(seed)
        smiles = str(rng.choice(shipped_smiles()))
        actions = env.actions(take_apart(smiles), rng)
        known = {each.smiles for each in env.vocabulary.fragments}
        buildable = known.issuperset(take_apart(smiles).fragments)
        if not buildable:
            assert actions is None
        if buildable and smiles in FIFTH:  # of others a bond may join kinds of atoms that were never seen bonded
            assert actions is not None
        if actions is not None:
            growth = Growth()
            for action in actions:
                assert env.masks([growth])[0, action]
                env.extend(growth, action)
            assert growth.complete
            assert env.smiles(growth) == smiles

    def test_random_ways_reach_all_ways(self):
        env, rng = environment("aromatic rings"), np.random.default_rng(0)
        target = "Cc1ccccc1"
        all_ways = {tuple(growth.actions) for growth in every_growth("aromatic rings") if env.smiles(growth) == target}
        assert {tuple(env.actions(take_apart(target), rng)) for _ in range(200)} == all_ways
        assert len(all_ways) == 7  # from the methyl group, or from any of the ring's atoms

    def test_bonds_that_were_never_seen_and_too_large_fragments_are_forbidden(self):
        env = environment("chains")
        names = [each.smiles for each in env.vocabulary.fragments]
        oxygen, first = names.index("O"), 1 + len(names)
        growth = env.grown([1 + oxygen])
        permitted = np.flatnonzero(env.masks([growth])[0])
        assert {names[env.attachments[a - first][0]] for a in permitted if a != LEAVE} == {"C"}
        small = Environment(vocabulary_of(["Cc1ccccc1"], 5), 3)
        begun = np.flatnonzero(small.masks([Growth()])[0])
        assert [small.vocabulary.fragments[action - 1].smiles for action in begun] == ["C"]

    def test_a_full_valence_takes_no_more(self):
        env = environment("chains")
        names = [each.smiles for each in env.vocabulary.fragments]
        carbon, oxygen = names.index("C"), names.index("O")
        attach = 1 + len(names) + env.attachments.index((carbon, 0))
        growth = env.grown([1 + oxygen, attach, LEAVE, attach])
        assert not growth.complete
        env.extend(growth, LEAVE)  # of the second carbon: oxygen is passed over, though there is room for more
        assert growth.complete
        assert env.smiles(growth) == "COC"

    def test_what_is_too_large_or_unknown_has_no_way(self):
        env, rng = environment("chains"), np.random.default_rng(0)
        assert env.actions(take_apart("CCCCC"), rng) is None
        assert env.actions(take_apart("CS"), rng) is None
        assert env.actions(take_apart("COO"), rng) is None
        with pytest.raises(ValueError, match="Nothing has been built yet"):
            env.smiles(Growth())


class TestFlow:
    def exact(self, name):
        """Logarithms of rewards of all growths, each molecule's divided among its ways, and of all molecules' sum."""
        env, growths = environment(name), every_growth(name)
        smiles = [env.smiles(growth) for growth in growths]
        shares = np.array(heteroatoms(smiles)) - np.array([env.log_ways(growth) for growth in growths])
        return torch.tensor(shares), float(np.log(np.exp(heteroatoms(sorted(set(smiles)))).sum()))

    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_shares_of_all_ways_sum_to_the_rewards_of_all_molecules(self, name):
        shares, log_total = self.exact(name)
        assert float(shares.logsumexp(0)) == pytest.approx(log_total, abs=1e-9)

    def test_the_exact_sampler_is_in_balance_and_no_other(self):
        shares, log_total = self.exact("chains")
        exact = shares - log_total
        assert float(trajectory_balance(torch.tensor(log_total), exact, shares)) < 1e-12
        assert float(trajectory_balance(torch.tensor(log_total + 0.5), exact, shares)) == pytest.approx(0.25)
        other = torch.log_softmax(exact + torch.linspace(0, 1, len(exact)), 0)
        assert float(trajectory_balance(torch.tensor(log_total), other, shares)) > 0.01

    def test_probabilities_of_all_ways_sum_to_one(self):
        growths = every_growth("small rings")
        steps = steps_of(environment("small rings"), [growth.actions for growth in growths])
        assert network("small rings").policy.log_likelihood(steps).exp().sum().item() == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(("name", "steps"), [("chains", 200), ("small rings", 300)])
    def test_a_trained_network_samples_molecules_in_proportion_to_their_reward(self, name, steps):
        env, growths = environment(name), every_growth(name)
        net, (_, log_total) = network(name), self.exact(name)
        balance(net, heteroatoms, Balance(steps, 32, 8, uniform=0.1, rate=1e-2), seed=1)
        with torch.no_grad():
            ways = net.policy.log_likelihood(steps_of(env, [growth.actions for growth in growths])).exp().tolist()
        probability = Counter()
        for growth, p in zip(growths, ways, strict=True):
            probability[env.smiles(growth)] += p
        exact = {smiles: math.exp(heteroatoms([smiles])[0] - log_total) for smiles in probability}
        assert sum(abs(probability[smiles] - exact[smiles]) for smiles in exact) / 2 < 0.05
        assert net.log_flow.item() == pytest.approx(log_total, abs=0.05)

    def test_a_few_batches_raise_what_is_sampled_without_fixing_on_one_molecule(self):
        env = shipped_environment()
        torch.manual_seed(0)
        net = FlowNetwork(env, Policy(env, 48))

        def sampled():
            grown = sample(net.policy, env, 200, torch.Generator().manual_seed(2))
            return [env.smiles(growth) for growth in grown]

        before = np.mean(heteroatoms(sampled()))
        balance(
            net, lambda smiles: [2 * value for value in heteroatoms(smiles)], Balance(30, 32, 16, rate=1e-2), seed=1
        )
        assert np.mean(heteroatoms(sampled())) > before + 1
        assert len(set(sampled())) > 120

    def test_samples_follow_the_policy(self):
        env, net = environment("alkanes"), network("alkanes")
        grown = sample(net.policy, env, 4_000, torch.Generator().manual_seed(1))
        met = Counter(tuple(growth.actions) for growth in grown)
        growths = every_growth("alkanes")
        exact = net.policy.log_likelihood(steps_of(env, [growth.actions for growth in growths])).exp().tolist()
        for growth, p in zip(growths, exact, strict=True):
            assert met[tuple(growth.actions)] / 4_000 == pytest.approx(p, abs=0.04)

    def test_the_same_seed_trains_the_same_network(self):
        nets = [network("chains") for _ in range(3)]
        met = [balance(net, heteroatoms, Balance(5, 8, 4), seed) for net, seed in zip(nets, (1, 1, 2), strict=True)]
        assert met[0] == met[1]
        flows = [net.log_flow.item() for net in nets]
        assert flows[0] == flows[1] != flows[2]

    def test_no_batch_begins_after_the_deadline(self):
        assert balance(network("chains"), heteroatoms, Balance(), 1, known=["CCO"], deadline=0.0) == {"CCO": 1.0}


class TestCorpus:
    @pytest.fixture(autouse=True)
    def own_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv(CACHE, str(tmp_path))

    def test_a_network_is_trained_once_for_a_corpus(self, monkeypatch):
        trainings, imitate = [], gflownet_training.imitate
        monkeypatch.setattr(gflownet_training, "imitate", lambda *a: trainings.append(1) or imitate(*a))
        first, again = (flow_network(ALCOHOLS, 4, Corpus(epochs=1, width=8), 0) for _ in range(2))
        assert len(trainings) == 1
        state, other = first.policy.state_dict(), again.policy.state_dict()
        assert all(torch.equal(state[name], other[name]) for name in state)
        flow_network(ALCOHOLS, 5, Corpus(epochs=1, width=8), 0)
        assert len(trainings) == 2

    def test_it_builds_what_it_has_seen(self):
        net = flow_network(["CCO"] * 100, 4, Corpus(epochs=20, batch=10, rate=1e-2, width=16), 0)
        grown = sample(net.policy, net.environment, 100, torch.Generator().manual_seed(0))
        assert sum(net.environment.smiles(growth) == "CCO" for growth in grown) > 90

    def test_nothing_to_learn_from_is_refused(self):
        with pytest.raises(ValueError, match="no molecules to learn fragments from"):
            flow_network([], 4, Corpus(), 0)


FIFTH = frozenset(shipped_smiles()[::5])


@cache
def shipped_environment():
    return Environment(vocabulary_of(shipped_smiles()[::5], 60), 9)
