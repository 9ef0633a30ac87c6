"""Edits of SELFIES strings: what they make, and that they climb."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from theoros.models.contract import ProposalRequest
from theoros.models.generators.selfies_strings import smiles_of, tokens_of
from theoros.models.proposers import selfies_edits
from theoros.models.proposers.evolution import children
from theoros.models.proposers.selfies_edits import SelfiesEdits
from theoros.oracles.spaces import Molecules

SPACE = Molecules(heavy_atoms=(1, 9))
PARENTS = tuple(
    SPACE.candidate(smiles)
    for smiles in ("CC(C)C(=O)OC", "c1ccncc1C", "OCC1CCCO1", "C[N+](=O)[O-]", "CS(=O)(=O)C", "c1cc[nH]c1", "CSC")
)
KNOWN = selfies_edits.alphabet(SPACE)


def canonical(smiles):
    return Chem.CanonSmiles(smiles)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_children_are_distinct_new_and_of_the_space(seed):
    breed = selfies_edits.breeder(SPACE, 0.6)
    made = children(PARENTS, 15, SPACE, breed, np.random.default_rng(seed), {parent.hash for parent in PARENTS})
    born = [child for child, _ in made]
    assert {smiles for _, of in made for smiles in of} <= {str(parent.data["smiles"]) for parent in PARENTS}
    hashes = [child.hash for child in born]
    assert len(born) > 4, "one that was met before is not tried again, so that now and then there are few"
    assert len(set(hashes)) == len(hashes)
    assert not {parent.hash for parent in PARENTS} & set(hashes)
    for child in born:
        SPACE.check(child)


@given(st.lists(st.sampled_from(KNOWN), max_size=20))
@settings(max_examples=100)
def test_whatever_tokens_are_strung_together_is_a_molecule_or_nothing(tokens):
    smiles = smiles_of(tokens)
    assert smiles is None or Chem.MolFromSmiles(smiles) is not None


@given(st.sampled_from(SPACE.seeds()), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_molecule_is_the_same_from_whichever_atom_it_is_written(candidate, seed):
    tokens = selfies_edits.reordered(candidate.data["smiles"], np.random.default_rng(seed))
    assert canonical(smiles_of(tokens)) == canonical(candidate.data["smiles"])


def test_a_molecule_is_written_in_more_than_one_way():
    rng = np.random.default_rng(0)
    assert len({selfies_edits.reordered("OCC1CCCO1", rng) for _ in range(20)}) > 5


@given(st.lists(st.sampled_from(KNOWN), max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_edits_change_the_length_by_no_more_than_their_number(tokens, seed):
    edits = int(np.random.default_rng(seed).geometric(0.5))
    after = selfies_edits.edited(tuple(tokens), KNOWN, np.random.default_rng(seed))
    assert abs(len(after) - len(tokens)) <= edits
    assert set(after) <= set(tokens) | set(KNOWN)


def test_what_single_edits_do():
    made = set()
    for seed in range(400):
        rng = np.random.default_rng(seed)
        if np.random.default_rng(seed).geometric(0.5) == 1:
            made.add(selfies_edits.edited(("[C]", "[O]"), ("[N]",), rng))
    insertions = {("[N]", "[C]", "[O]"), ("[C]", "[N]", "[O]"), ("[C]", "[O]", "[N]")}
    assert made == insertions | {("[N]", "[O]"), ("[C]", "[N]")} | {("[C]",), ("[O]",)}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_cross_begins_like_one_parent_and_ends_like_the_other(seed):
    first, second = ("[C]",) * 4, ("[O]",) * 5
    child = selfies_edits.crossed(first, second, np.random.default_rng(seed))
    carbons = child.count("[C]")
    assert child == first[:carbons] + second[: len(child) - carbons]


def test_the_alphabet_has_the_elements_bonds_and_what_starting_molecules_need():
    assert {"[C]", "[=C]", "[#C]", "[F]", "[=O]", "[#N]", "[Ring1]", "[Branch1]", "[N+1]", "[O-1]"} <= set(KNOWN)
    assert not {"[=F]", "[#O]", "[Cl]"} & set(KNOWN)
    hydrocarbons = selfies_edits.alphabet(Molecules(elements=["C"], heavy_atoms=(1, 9)))
    assert {token.strip("[]=#") for token in hydrocarbons} <= {"C", "Ring1", "Ring2", "Branch1", "Branch2"}


def test_tokens_are_none_for_what_selfies_cannot_write():
    assert tokens_of("CO") == ("[C]", "[O]")
    assert tokens_of("CCl(C)C") is None
    assert smiles_of(()) is None


class TestProposer:
    @pytest.fixture
    def request_(self, make_problem):
        def score(candidates):
            return np.array([c.data["smiles"].count("F") - 0.1 * len(c.data["smiles"]) for c in candidates])

        problem = make_problem(SPACE)
        return ProposalRequest(problem, 10, 3, frozenset(c.hash for c in PARENTS), labelled=PARENTS, score=score)

    def test_it_finds_better_molecules_than_as_many_random_ones(self, request_):
        scored = []

        def counting(candidates):
            scored.extend(candidates)
            return request_.score(candidates)

        found = SelfiesEdits().propose(replace(request_, score=counting))
        random = SPACE.sample(len(scored), np.random.default_rng(3))
        assert request_.score(found).mean() > np.sort(request_.score(random))[-10:].mean()
        assert request_.score(found).max() > request_.score(PARENTS).max() + 1
