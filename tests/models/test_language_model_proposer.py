"""The language model as a proposer: what it proposes, and what it may not do."""

from dataclasses import replace

import numpy as np
import pytest

from theoros.models.checks import check_proposer
from theoros.models.contract import ProposalRequest
from theoros.models.generators.language_model_search import Reinforcement
from theoros.models.generators.language_model_training import Training
from theoros.models.proposers.language_model import LanguageModelProposer
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.starting_molecules import shipped_smiles

PROPOSER = LanguageModelProposer(Reinforcement(steps=12, batch=32), Training(molecules=4_000, batch=32))


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Six heavy atoms at most, and a start of some two hundred molecules."""
    file = tmp_path_factory.mktemp("molecules") / "start.smi"
    file.write_text("\n".join(smiles for smiles in shipped_smiles()[200:800:3]) + "\n")
    return Molecules(heavy_atoms=(1, 6), file=str(file))


@pytest.fixture
def request_(space, make_problem):
    def score(candidates):
        return np.array([c.data["smiles"].upper().count("N") - 0.01 * len(c.data["smiles"]) for c in candidates])

    labelled = sorted(space.seeds()[:30], key=lambda candidate: -score([candidate])[0])
    seen = frozenset(candidate.hash for candidate in labelled)
    return ProposalRequest(make_problem(space), 8, 3, seen, labelled=tuple(labelled), score=score)


def test_it_finds_better_molecules_than_any_that_it_was_shown(request_):
    proposals = PROPOSER.propose(request_)
    assert len(proposals) == 8
    assert request_.score(proposals).mean() > request_.score(request_.problem.space.seeds()).mean() + 1
    assert request_.score(proposals).max() > request_.score(request_.labelled).max()


def test_it_keeps_the_contract(request_):
    assert check_proposer(replace(PROPOSER, reinforcement=Reinforcement(steps=3)), request_.problem, request_) == []


def test_rewards_do_not_depend_on_the_unit_of_the_acquisition(request_):
    scaled = replace(request_, score=lambda candidates: 1e-3 * request_.score(candidates) - 50)
    quick = replace(PROPOSER, reinforcement=Reinforcement(steps=4, batch=32))
    assert quick.propose(scaled) == quick.propose(request_)


def test_a_spent_time_guard_leaves_the_known_molecules(request_):
    proposals = replace(PROPOSER, seconds=-1.0).propose(replace(request_, seen=frozenset()))
    assert set(proposals) <= set(request_.labelled)
    assert len(proposals) == 8


def test_it_refuses_other_spaces_a_missing_score_and_a_small_start(request_, molecule_library, make_problem):
    with pytest.raises(ValueError, match="Use 'library'"):
        PROPOSER.propose(replace(request_, problem=make_problem(molecule_library)))
    with pytest.raises(ValueError, match="after the first fit"):
        PROPOSER.propose(replace(request_, score=None))
    with pytest.raises(ValueError, match=r"needs 20 molecules .* begins with 1\. Give the space a file"):
        PROPOSER.propose(replace(request_, problem=make_problem(Molecules(heavy_atoms=(1, 1), elements="C"))))
