"""The proposer of flow matching: what it may ask, what it returns, and that it learns once."""

import numpy as np
import pytest

from theoros.models.checks import check_proposer
from theoros.models.contract import ProposalRequest
from theoros.models.generators import flow3d
from theoros.models.generators.flow3d import Flow3DSettings
from theoros.models.generators.flow3d_network import NetworkSettings
from theoros.models.generators.flow3d_training import TrainingSettings
from theoros.models.proposers.flow3d import Flow3DProposer, accepted
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.spaces import Molecules

CORPUS = ("CCO", "CC=O", "CC#N", "CCN", "COC", "CCF", "CCCO", "CC(C)O", "CCC=O", "NCCO", "CC(N)=O", "CC(F)F")
TINY = Flow3DSettings(
    network=NetworkSettings(scalars=16, vectors=4, layers=2, hidden=16),
    training=TrainingSettings(steps=40, batch=16, rate=1e-2, average=0.9),
    steps=8,
)
PROPOSER = Flow3DProposer(settings=TINY, rounds=2, samples=8, times=(0.6, 0.95))


@pytest.fixture(autouse=True, scope="module")
def own_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    file = tmp_path_factory.mktemp("corpus") / "molecules.smi"
    file.write_text("\n".join(CORPUS) + "\n")
    return Molecules(heavy_atoms=(1, 6), file=str(file))


def oxygens(candidates):
    return np.array([candidate.data["smiles"].upper().count("O") for candidate in candidates], dtype=float)


@pytest.fixture
def ask(space, make_problem):
    def make(n=6, **more):
        labelled = tuple(space.candidate(smiles) for smiles in CORPUS[:8])
        return ProposalRequest(make_problem(space), n, 1, frozenset(), labelled=labelled, score=oxygens, **more)

    return make


def test_the_contract_is_kept(ask):
    request = ask()
    assert check_proposer(PROPOSER, request.problem, request) == []


def test_proposals_come_best_first(ask):
    request = ask(n=4)
    found = oxygens(PROPOSER.propose(request))
    assert len(found) == 4
    assert (np.diff(found) <= 0).all()
    assert found[0] >= 1


def test_molecules_that_nobody_gave_it_are_among_its_proposals(ask):
    given = {candidate.hash for candidate in ask().labelled}
    assert any(candidate.hash not in given for candidate in PROPOSER.propose(ask(n=20)))


def test_it_learns_once_for_a_space(ask, space, monkeypatch):
    PROPOSER.propose(ask())
    monkeypatch.setattr(flow3d, "train", lambda *_: pytest.fail("trained again"))
    PROPOSER.propose(ask())
    flow3d.flow3d.cache_clear()  # another process, which finds the weights on disk
    assert PROPOSER.model(space).atoms == PROPOSER.model(Molecules(heavy_atoms=(1, 6), file=space.file)).atoms


def test_no_round_begins_after_its_time(ask):
    late = Flow3DProposer(settings=TINY, seconds=-1.0)
    assert set(late.propose(ask(n=20))) <= set(ask().labelled)


def test_what_is_no_molecule_of_the_space_is_left_out(space):
    model = PROPOSER.model(space)
    made = model.sample(20, seed=0)
    candidates = accepted(space, model, made)
    for candidate in candidates:
        space.check(candidate)
    assert accepted(Molecules(heavy_atoms=(30, 40)), model, made) == []


def test_a_space_that_begins_with_nothing_is_refused():
    with pytest.raises(ValueError) as error:
        PROPOSER.model(Molecules(elements=("Si",), heavy_atoms=(1, 6)))
    assert str(error.value) == (
        "The proposer 'flow3d' learns from the molecules with which the space begins, and there is none. "
        "Give the space a 'file' of molecules."
    )


def test_it_needs_an_open_space_and_a_model(make_problem, molecule_library, space):
    with pytest.raises(ValueError) as error:
        PROPOSER.propose(ProposalRequest(make_problem(molecule_library), 4, 1, frozenset(), score=oxygens))
    assert str(error.value) == (
        "The proposer 'flow3d' makes molecules of an open space, and this space is not one. "
        "Use 'library' for a finite library of molecules."
    )
    with pytest.raises(ValueError) as error:
        PROPOSER.propose(ProposalRequest(make_problem(space), 4, 1, frozenset()))
    assert str(error.value) == "The proposer 'flow3d' works after the first fit. Use 'random' before it."
