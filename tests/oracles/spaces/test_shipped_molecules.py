"""The shipped set of small molecules is what its README says, and a fair sample."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from importlib import resources

import numpy as np
import pytest
from rdkit import Chem
from scipy import stats

from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.enumerate_molecules import (
    ENUMERATED_UP_TO,
    MAX_SA_SCORE,
    SAMPLED,
    SCORED_FROM,
    Chain,
    enumerated,
    known,
)
from theoros.oracles.spaces.molecule_properties import evaluate
from theoros.oracles.spaces.starting_molecules import shipped_smiles

DATA = resources.files("theoros.oracles").joinpath("data")


def size(smiles: str) -> int:
    return Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()


def test_the_readme_states_the_digest_and_the_count():
    content = DATA.joinpath("small_molecules.smi").read_bytes()
    readme = DATA.joinpath("README.md").read_text("utf-8")
    assert hashlib.sha256(content).hexdigest() in readme
    assert re.search(rf"\b{len(shipped_smiles()):,}\b", readme)
    assert len(content) < 200_000


def test_every_line_is_canonical_and_in_the_default_space():
    space = Molecules()
    assert len(set(shipped_smiles())) == len(shipped_smiles())
    for smiles in shipped_smiles():
        assert space.candidate(smiles).data["smiles"] == smiles


def test_every_size_has_its_share_and_no_molecule_is_hard_to_make():
    space = Molecules()
    counts = Counter(map(size, shipped_smiles()))
    assert {n: counts[n] for n in SAMPLED} == SAMPLED
    for smiles in shipped_smiles()[:: len(shipped_smiles()) // 300]:
        if size(smiles) >= SCORED_FROM:
            assert evaluate("sa_score", space.candidate(smiles)) <= MAX_SA_SCORE


@pytest.fixture(scope="module")
def small() -> dict:
    return enumerated(4)


def test_the_smallest_molecules_are_all_there(small):
    """Up to two heavy atoms one can count by hand: methane, ammonia, water, HF, H2S; ethane, ethene, ethyne, ..."""
    assert ENUMERATED_UP_TO >= 4
    shipped = set(shipped_smiles())
    assert {s for s in shipped if size(s) == 1} == {"C", "N", "O", "F", "S"}
    assert {s for s in shipped if size(s) == 2} == {
        "CC", "C=C", "C#C", "CN", "C#N", "CO", "C=O", "CF", "CS", "NN", "N#N", "NO"
    }  # fmt: skip
    judged = {n: [known(graph) for graph in level.values()] for n, level in small.items()}
    for n, level in judged.items():
        assert {item.smiles for item in level if item.accepted} == {s for s in shipped if size(s) == n}


@pytest.mark.parametrize(("carbons", "count"), [(1, 1), (2, 3), (3, 9)])
def test_hydrocarbon_graphs_are_enumerated_completely(small, carbons, count):
    """By hand: methane; C-C, C=C, C#C; and for three carbons the chains of orders 1+1, 2+1, 3+1, 2+2 and the rings of
    orders 111, 211, 221, 222, 311, all others giving a carbon more than four bonds.
    """
    assert sum(set(graph.elements) == {"C"} for graph in small[carbons].values()) == count


def test_the_chain_visits_every_molecule_equally_often(small):
    """Against the complete list of three heavy atoms: no molecule is missed, and none is preferred."""
    listed = [item.smiles for item in map(known, small[3].values()) if item.accepted]
    chain = Chain(3, np.random.default_rng(5))
    visits: Counter[str] = Counter()
    for step in range(60_000):
        chain.step()
        if step % 20 == 0 and chain.state.accepted:
            visits[chain.state.smiles] += 1
    assert set(visits) == set(listed)
    # Every twentieth state is not quite independent of the last: allow for twice the variance.
    expected = visits.total() / len(listed)
    chi_square = sum((visits[smiles] - expected) ** 2 / expected for smiles in listed) / 2
    assert stats.chi2.sf(chi_square, len(listed) - 1) > 1e-3
    # Without the weight |Aut|/K a symmetric molecule would come less often by its symmetry number.
    symmetric = [visits["FCF"], visits["S=C=S"], visits["CCC"]]
    assert min(symmetric) > 0.6 * expected
