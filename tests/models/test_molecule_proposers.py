"""What every proposer of molecules does alike, whatever it makes them by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.models.molecule_proposers import PROPOSERS
from theoros.models.checks import check_proposer
from theoros.models.contract import ProposalRequest
from theoros.oracles.spaces import Molecules


@pytest.fixture(params=PROPOSERS)
def name(request):
    return request.param


@pytest.fixture
def proposer(name) -> Any:
    return PROPOSERS[name]


@pytest.fixture
def request_(name, molecule_spaces, make_problem):
    """What a proposer is asked for eight molecules, when those with nitrogen are wanted and twelve are known."""

    def score(candidates):
        return np.array([c.data["smiles"].upper().count("N") - 0.1 * len(c.data["smiles"]) for c in candidates])

    space = molecule_spaces[name]
    labelled = sorted(space.seeds()[:12], key=lambda candidate: -score([candidate])[0])
    seen = frozenset(candidate.hash for candidate in labelled[:3])
    return ProposalRequest(make_problem(space), 8, 3, seen, labelled=tuple(labelled), score=score)


def test_it_keeps_the_contract(proposer, request_):
    assert check_proposer(proposer, request_.problem, request_) == []


def test_other_seeds_give_other_molecules(proposer, request_):
    assert proposer.propose(request_) != proposer.propose(replace(request_, seed=4))


def test_a_spent_time_guard_leaves_something_at_once(proposer, request_):
    def scored(seconds):
        met = []

        def score(candidates):
            met.extend(candidates)
            return request_.score(candidates)

        assert replace(proposer, seconds=seconds).propose(replace(request_, seen=frozenset(), score=score))
        return len(met)

    assert scored(0.0) < scored(proposer.seconds)


def test_a_space_that_is_not_open_is_refused(name, proposer, request_, molecule_library, make_problem):
    with pytest.raises(ValueError) as error:
        proposer.propose(replace(request_, problem=make_problem(molecule_library)))
    assert str(error.value) == (
        f"The proposer {name!r} makes molecules of an open space, and this space is not one. "
        "Use 'library' for a finite library of molecules."
    )


def test_before_the_first_fit_it_is_refused(name, proposer, request_):
    with pytest.raises(ValueError) as error:
        proposer.propose(replace(request_, score=None))
    assert str(error.value) == f"The proposer {name!r} works after the first fit. Use 'random' before it."


@pytest.mark.parametrize("name", ["genetic", "selfies", "gflownet", "selfies_vae"], indirect=True)
def test_it_begins_with_what_the_file_holds_now(proposer, make_problem, tmp_path):
    def found(smiles, file):
        file.write_text("\n".join(smiles) + "\n")
        space = Molecules(heavy_atoms=(1, 7), file=str(file))
        request = ProposalRequest(make_problem(space), 4, 3, frozenset(), score=lambda cs: np.zeros(len(cs)))
        return [candidate.text for candidate in proposer.propose(request)]

    chains, rings = ["CCCCO", "CCCN", "CCF", "CCC=O"], ["C1CCCC1O", "c1ccccc1", "C1CCOC1", "OC1CCC1"]
    found(chains, tmp_path / "start.smi")
    assert found(rings, tmp_path / "start.smi") == found(rings, tmp_path / "other.smi")
