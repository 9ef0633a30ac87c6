"""The language model as a proposer: what it proposes, and what it may not do."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.molecule_proposers import LANGUAGE_MODEL
from theoros.models.contract import ProposalRequest
from theoros.models.generators.language_model_search import Reinforcement
from theoros.oracles.spaces import Molecules


@pytest.fixture
def request_(molecule_spaces, make_problem):
    """Six heavy atoms at most, and a start of some two hundred molecules."""
    space = molecule_spaces["language_model"]

    def score(candidates):
        return np.array([c.data["smiles"].upper().count("N") - 0.01 * len(c.data["smiles"]) for c in candidates])

    labelled = sorted(space.seeds()[:30], key=lambda candidate: -score([candidate])[0])
    seen = frozenset(candidate.hash for candidate in labelled)
    return ProposalRequest(make_problem(space), 8, 3, seen, labelled=tuple(labelled), score=score)


def test_it_finds_better_molecules_than_any_that_it_was_shown(request_):
    proposals = LANGUAGE_MODEL.propose(request_)
    assert len(proposals) == 8
    assert request_.score(proposals).mean() > request_.score(request_.problem.space.seeds()).mean() + 1
    assert request_.score(proposals).max() > request_.score(request_.labelled).max()


def test_rewards_do_not_depend_on_the_unit_of_the_acquisition(request_):
    scaled = replace(request_, score=lambda candidates: 1e-3 * request_.score(candidates) - 50)
    quick = replace(LANGUAGE_MODEL, reinforcement=Reinforcement(steps=4, batch=32))
    assert quick.propose(scaled) == quick.propose(request_)


def test_a_spent_time_guard_leaves_the_known_molecules(request_):
    proposals = replace(LANGUAGE_MODEL, seconds=-1.0).propose(replace(request_, seen=frozenset()))
    assert set(proposals) <= set(request_.labelled)
    assert len(proposals) == 8


def test_it_refuses_a_small_start(request_, make_problem):
    with pytest.raises(ValueError, match=r"needs 20 molecules .* begins with 1\. Give the space a file"):
        LANGUAGE_MODEL.propose(replace(request_, problem=make_problem(Molecules(heavy_atoms=(1, 1), elements="C"))))
