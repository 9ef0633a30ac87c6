"""The genetic algorithm: what its operators make, and what it may not do."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tests.timing import processor_seconds
from theoros.models.contract import ProposalRequest
from theoros.models.proposers import evolution
from theoros.models.proposers.genetic import mutations
from theoros.models.proposers.genetic.algorithm import GeneticAlgorithm, offspring
from theoros.models.proposers.genetic.crossover import crossover
from theoros.models.proposers.genetic.editing import Parent, editable, finished
from theoros.oracles.spaces import Molecules

SPACE = Molecules(heavy_atoms=(1, 9))
PARENTS = tuple(
    SPACE.candidate(smiles)
    for smiles in (
        "CC(C)C(=O)OC",
        "c1ccncc1C",
        "OCC1CCCO1",
        "C[N+](=O)[O-]",
        "CS(=O)(=O)C",
        "N#CCC#N",
        "c1cc[nH]c1",
        "CSC",
    )
)


def graph(smiles):
    return Chem.MolFromSmiles(smiles)


def parent(smiles):
    return Parent.of(graph(smiles))


def chemistry(most=9):
    return mutations.Chemistry(("C", "N", "O", "F", "S"), most, (1.0,) * 5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_children_are_valid_canonical_new_and_within_the_size_cap(seed):
    children = offspring(PARENTS, 15, SPACE, np.random.default_rng(seed))
    hashes = [child.hash for child in children]
    assert len(children) > 4
    assert len(set(hashes)) == len(hashes)
    assert not {parent.hash for parent in PARENTS} & set(hashes)
    for child in children:
        SPACE.check(child)
        molecule = graph(child.data["smiles"])
        assert molecule.GetNumHeavyAtoms() <= 9
        assert {atom.GetSymbol() for atom in molecule.GetAtoms()} <= set(SPACE.elements)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_operators_leave_their_parents_alone(seed):
    rng = np.random.default_rng(seed)
    first, second = graph("OCC1CCCO1"), graph("c1ccncc1C")
    before = (first.ToBinary(), second.ToBinary())
    mutations.mutate(Parent.of(first), chemistry(), rng)
    crossover(Parent.of(first), Parent.of(second), 9, rng)
    assert (first.ToBinary(), second.ToBinary()) == before


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_a_parent_breeds_the_same_children_however_often_it_was_bred_from(seed):
    fresh, used = (parent("OCC1CCCO1"), parent("c1ccncc1C")), (parent("OCC1CCCO1"), parent("c1ccncc1C"))
    rng = np.random.default_rng(1)
    for _ in range(30):
        mutations.mutate(used[0], chemistry(), rng)
        crossover(*used, 9, rng)
    made = [
        (mutations.mutate(pair[0], chemistry(), rng), crossover(*pair, 9, rng))
        for pair, rng in ((fresh, np.random.default_rng(seed)), (used, np.random.default_rng(seed)))
    ]
    assert made[0] == made[1]


def test_charged_atoms_are_never_cut_from_their_neighbours():
    nitro = parent("C[N+](=O)[O-]")
    assert nitro.single == ()
    assert parent("CCC").single != ()
    assert [len(ring) for ring in parent("C1CCCCC1").rings] == [6]


@pytest.mark.parametrize("operator", mutations.OPERATORS, ids=lambda operator: operator.__name__)
def test_every_operator_changes_some_molecule_and_makes_only_sound_ones(operator):
    made = set()
    for seed in range(120):
        rng = np.random.default_rng(seed)
        parent = PARENTS[seed % len(PARENTS)].data["smiles"]
        copy = editable(graph(parent))
        if operator(copy, chemistry(), rng) and (smiles := finished(copy)) and smiles != parent:
            assert graph(smiles) is not None
            assert graph(smiles).GetNumHeavyAtoms() <= 9
            made.add(smiles)
    assert len(made) >= 5


def operated(operator, smiles, seeds=60, most=9):
    made = set()
    for seed in range(seeds):
        copy = editable(graph(smiles))
        if operator(copy, chemistry(most), np.random.default_rng(seed)):
            made.add(finished(copy))
    return made - {None}


def test_what_the_operators_do_to_small_molecules():
    assert operated(mutations.delete_atom, "CCO") == {"CC", "CO"}
    assert {"CCC", "CNC", "COC", "CSC"} == operated(mutations.insert_atom, "CC")
    assert {"C=C", "CC"} >= operated(mutations.change_order, "CC") == {"C=C"}
    assert operated(mutations.open_ring, "C1CC1") == {"CCC"}
    assert operated(mutations.close_ring, "CCC") == {"C1CC1"}
    assert {"CN", "CO", "CF", "CS", "CC", "C=C", "C=N", "C=O", "C=S", "C#C", "C#N"} == operated(
        mutations.append_atom, "C"
    )
    assert {"N", "O", "F", "S"} == operated(mutations.substitute_atom, "C")


def test_a_bond_slides_to_neighbouring_places():
    assert operated(mutations.slide_bond, "Cc1ccccc1Cl") >= {"Cc1cccc(Cl)c1", "Cc1ccc(Cl)cc1"}
    assert "CC1CC1" in operated(mutations.slide_bond, "C1CCC1")  # one end of a ring's bond is inside the ring now


@given(st.sampled_from(["CC(C)C(=O)OC", "OCC1CCCO1", "c1ccncc1C", "C1CC2CC1CC2"]), st.integers(0, 2**32 - 1))
def test_sliding_keeps_atoms_and_their_bonds(smiles, seed):
    copy = editable(graph(smiles))
    if mutations.slide_bond(copy, chemistry(), np.random.default_rng(seed)) and (made := finished(copy)):
        before, after = graph(smiles), graph(made)
        assert CalcMolFormula(after) == CalcMolFormula(before)
        assert after.GetNumBonds() == before.GetNumBonds()


def test_elements_are_drawn_as_the_molecules_of_the_space_have_them():
    every = ("C", "N", "O", "F", "B", "Si")
    like = mutations.Chemistry.like(every, 9, ["CCCCCCCCC(=O)N", "CCCCCCCO"])
    rng = np.random.default_rng(0)
    drawn = Counter(like.element(1, rng) for _ in range(3000))
    assert set(drawn) == set(every)
    assert drawn["C"] > drawn["O"] > drawn["N"] > drawn["Si"]
    assert drawn["F"] + drawn["B"] + drawn["Si"] < 0.06 * 3000  # three with a weight of 0.02 beside 1, 0.35 and 0.25
    assert {like.element(3, rng) for _ in range(300)} == {"C", "N", "B", "Si"}
    assert {like.element(4, rng, other_than="C") for _ in range(50)} == {"Si"}
    assert like.element(5, rng) is None
    assert set(mutations.Chemistry.like(every, 9, []).weights) == {0.02}  # nothing is known: all alike


def test_some_mutations_are_several_changes_at_once():
    def made(seed):
        return mutations.mutate(parent("CCCC"), chemistry(20), np.random.default_rng(seed))

    single = set().union(*(operated(operator, "CCCC", seeds=200, most=20) for operator in mutations.OPERATORS))
    children = [smiles for smiles in map(made, range(1000)) if smiles]
    assert 0.15 < np.mean([smiles not in single for smiles in children]) < 0.35


def test_nothing_grows_beyond_the_cap():
    for operator in (mutations.append_atom, mutations.append_group, mutations.insert_atom):
        assert operated(operator, "CCO", most=3) == set()


def test_crossover_gives_a_part_of_each_parent():
    made = {crossover(parent("FCC"), parent("NCC"), 9, np.random.default_rng(seed)) for seed in range(80)}
    assert {"NCF", "NF"} & made
    assert all(smiles is None or "." not in smiles for smiles in made)


def test_crossover_through_rings_joins_rings():
    made = {crossover(parent("C1CCOC1"), parent("C1CCNC1"), 9, np.random.default_rng(seed)) for seed in range(200)}
    assert any(smiles and {"O", "N"} <= set(smiles) and "1" in smiles for smiles in made)


def test_hydrogen_on_hypervalent_sulfur_is_refused():
    copy = editable(graph("CS(C)=O"))
    bond = next(bond for bond in copy.GetBonds() if bond.GetBondType() == Chem.BondType.DOUBLE)
    bond.SetBondType(Chem.BondType.SINGLE)
    assert finished(copy) is None


def test_making_a_child_costs_a_few_readings_of_one():
    rng = np.random.default_rng(0)
    parents = list(PARENTS)
    for _ in range(3):
        parents += offspring(parents, 40, SPACE, rng)
    children = offspring(parents, 300, SPACE, rng)
    making = processor_seconds(lambda: offspring(parents, 300, SPACE, np.random.default_rng(1)))
    reading = processor_seconds(lambda: [SPACE.candidate(child.text) for child in children])
    assert making < 6 * reading  # 1.4 on an idle core


class TestProposer:
    @pytest.fixture
    def request_(self, make_problem):
        def score(candidates):
            return np.array([c.data["smiles"].count("F") - 0.1 * len(c.data["smiles"]) for c in candidates])

        problem = make_problem(SPACE)
        return ProposalRequest(problem, 10, 3, frozenset(c.hash for c in PARENTS), labelled=PARENTS, score=score)

    def test_it_climbs_the_score(self, request_):
        best = request_.score(GeneticAlgorithm().propose(request_)).max()
        assert best > request_.score(PARENTS).max() + 1
        assert best >= 2

    def test_where_many_are_asked_for_many_are_born(self, request_):
        scored = []

        def score(candidates):
            scored.append(len(candidates))
            return np.arange(len(candidates), dtype=float)

        GeneticAlgorithm(generations=2, offspring=10).propose(replace(request_, n=50, score=score))
        assert len(scored) == 1 + evolution.CHILDREN * 50 // 10  # the founders, then one call for every generation

    def test_its_proposals_are_not_all_alike(self, request_):
        proposals = GeneticAlgorithm().propose(request_)
        assert len(proposals) == 10
        assert len({Chem.MolToSmiles(graph(c.data["smiles"]), isomericSmiles=False) for c in proposals}) == 10

    def test_every_search_screens_the_same_bank_of_molecules(self, request_):
        met = []
        for seed in (1, 2):

            def score(candidates, seen=met, seed=seed):
                seen.append({(seed, candidate.hash) for candidate in candidates})
                return np.zeros(len(candidates))

            GeneticAlgorithm(generations=1, offspring=1).propose(replace(request_, seed=seed, score=score))
        first, second = ({hash for found in met for of, hash in found if of == seed} for seed in (1, 2))
        assert len(first & second) >= evolution.BANK
