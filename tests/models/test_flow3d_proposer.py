"""The proposer of flow matching: what it may ask, what it returns, and that it learns once."""

import numpy as np
import pytest

from tests.models.molecule_proposers import CORPUS, FLOW3D, TINY_FLOW
from theoros.models.contract import ProposalRequest
from theoros.models.generators import flow3d
from theoros.models.proposers.flow3d import Flow3DProposer, accepted
from theoros.oracles.spaces import Molecules


@pytest.fixture
def space(molecule_spaces):
    return molecule_spaces["flow3d"]


def oxygens(candidates):
    return np.array([candidate.data["smiles"].upper().count("O") for candidate in candidates], dtype=float)


@pytest.fixture
def ask(space, make_problem):
    def make(n=6, **more):
        labelled = tuple(space.candidate(smiles) for smiles in CORPUS[:8])
        return ProposalRequest(make_problem(space), n, 1, frozenset(), labelled=labelled, score=oxygens, **more)

    return make


def test_proposals_come_best_first(ask):
    request = ask(n=4)
    found = oxygens(FLOW3D.propose(request))
    assert len(found) == 4
    assert (np.diff(found) <= 0).all()
    assert found[0] >= 1


def test_molecules_that_nobody_gave_it_are_among_its_proposals(ask):
    given = {candidate.hash for candidate in ask().labelled}
    assert any(candidate.hash not in given for candidate in FLOW3D.propose(ask(n=20)))


def test_it_learns_once_for_a_space(ask, space, monkeypatch):
    FLOW3D.propose(ask())
    monkeypatch.setattr(flow3d, "train", lambda *_: pytest.fail("trained again"))
    FLOW3D.propose(ask())
    flow3d.flow3d.cache_clear()  # another process, which finds the weights on disk
    assert FLOW3D.model(space).atoms == FLOW3D.model(Molecules(heavy_atoms=(1, 6), file=space.file)).atoms


def test_no_round_begins_after_its_time(ask):
    late = Flow3DProposer(settings=TINY_FLOW, seconds=-1.0)
    assert set(late.propose(ask(n=20))) <= set(ask().labelled)


def test_what_is_no_molecule_of_the_space_is_left_out(space):
    model = FLOW3D.model(space)
    made = model.sample(20, seed=0)
    candidates = accepted(space, model, made)
    for candidate in candidates:
        space.check(candidate)
    assert accepted(Molecules(heavy_atoms=(30, 40)), model, made) == []


def test_a_space_that_begins_with_nothing_is_refused():
    with pytest.raises(ValueError) as error:
        FLOW3D.model(Molecules(elements=("Si",), heavy_atoms=(1, 6)))
    assert str(error.value) == (
        "The proposer 'flow3d' learns from the molecules with which the space begins, and there is none. "
        "Give the space a 'file' of molecules."
    )
