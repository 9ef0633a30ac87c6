"""The proposer of a generative flow network: what it returns, and how varied that is."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.molecule_proposers import GFLOWNET
from theoros.models.contract import ProposalRequest
from theoros.models.fingerprints import thermometer_bits
from theoros.models.generators.gflownet_training import Balance
from theoros.models.proposers import gflownet
from theoros.models.proposers.genetic.algorithm import GeneticAlgorithm
from theoros.oracles.spaces import Molecules

SPACE = Molecules(heavy_atoms=(1, 8))


def polarity(candidates):
    """An easy acquisition: the part of a molecule's atoms that are N or O."""
    smiles = [c.data["smiles"] for c in candidates]
    return np.array([sum(s.upper().count(x) for x in "NO") / sum(letter.isalpha() for letter in s) for s in smiles])


def distance(first, second):
    own, other = (set(thermometer_bits(c.data["smiles"], 3, 4096).tolist()) for c in (first, second))
    return 1 - len(own & other) / len(own | other)


def mean_distance(candidates):
    """Mean Tanimoto distance of pairs."""
    return np.mean([distance(a, b) for i, a in enumerate(candidates) for b in candidates[:i]])


def circles(candidates, radius=0.7):
    """How many can be kept that are all farther than `radius` from each other, taken greedily (Xie et al., ICLR 2023,
    arXiv:2112.12542)."""
    kept = []
    for candidate in candidates:
        if all(distance(candidate, other) > radius for other in kept):
            kept.append(candidate)
    return len(kept)


@pytest.fixture
def request_(make_problem):
    labelled = sorted(SPACE.sample(20, np.random.default_rng(7)), key=lambda c: -polarity([c])[0])
    seen = frozenset(c.hash for c in labelled)
    return ProposalRequest(make_problem(SPACE), 12, 3, seen, labelled=tuple(labelled), score=polarity)


def test_its_proposals_are_more_varied_than_the_best_of_a_genetic_search(request_):
    own = GFLOWNET.propose(request_)
    genetic = GeneticAlgorithm(generations=3, offspring=60).propose(request_)
    assert len(own) == len(genetic) == 12
    assert mean_distance(own) > mean_distance(genetic)
    assert circles(own) > circles(genetic)
    # and nearly as good as they
    assert polarity(own).mean() > polarity(SPACE.sample(500, np.random.default_rng(0))).mean() + 0.2


def test_molecules_outside_the_space_and_vetoed_ones_are_never_scored_nor_returned(request_):
    space = Molecules(heavy_atoms=(4, 8), forbid=["[OX2H]"])
    problem = replace(request_.problem, space=space, feasible=lambda c: "=O" in c.data["smiles"])
    scored = []

    def score(candidates):
        scored.extend(candidates)
        return polarity(candidates)

    proposals = GFLOWNET.propose(replace(request_, problem=problem, score=score, labelled=(), seen=frozenset()))
    assert proposals
    for candidate in scored:
        space.check(candidate)
        assert "=O" in candidate.data["smiles"]


def test_an_acquisition_that_is_the_same_everywhere_or_infinitely_low_does_no_harm(request_):
    assert len(GFLOWNET.propose(replace(request_, score=lambda cs: np.zeros(len(cs))))) == 12

    def score(candidates):
        return np.where([("N" in c.data["smiles"]) for c in candidates], -np.inf, polarity(candidates))

    proposals = GFLOWNET.propose(replace(request_, score=score))
    assert len(proposals) == 12
    assert not any("N" in candidate.data["smiles"] for candidate in proposals)


def test_a_spent_time_guard_ends_training(request_):
    met = []

    def score(candidates):
        met.append(candidates)
        return polarity(candidates)

    assert replace(GFLOWNET, training=Balance(10_000), seconds=0.0).propose(replace(request_, score=score))
    assert len(met) < 100, "ten thousand steps would score as many batches"


def test_a_molecule_that_is_not_in_the_space_has_the_lowest_reward(request_):
    scored = gflownet.ScoredMolecules(request_)
    reward = gflownet._Reward(SPACE, scored, np.array([0.0, 0.1, 0.2]), 4.0)
    peroxide, half_a_sulfoxide, propane, hydroxylamine = reward(["COO", "C[SH]=O", "CCC", "NO"])
    assert peroxide == half_a_sulfoxide == 4 * gflownet.OUTSIDE
    assert 4 * gflownet.OUTSIDE < 4 * gflownet.LOWEST <= propane < hydroxylamine
    assert reward(["CS", "CS(C)=O"])[0] > 4 * gflownet.OUTSIDE
    assert [c.data["smiles"] for c, _ in scored.found.values()] == ["CCC", "NO", "CS", "CS(C)=O"]


def test_in_a_space_with_stereo_marks_it_builds_what_has_none(make_problem, tmp_path):
    (tmp_path / "start.smi").write_text(
        "\n".join(["C[C@H](O)F", "C/C=C/C", "C[C@H](F)CO", "CCO", "CCF", "CCCN"]) + "\n"
    )
    space = Molecules(heavy_atoms=(1, 8), stereo=True, file=str(tmp_path / "start.smi"))
    labelled = tuple(space.seeds()[:3])
    seen = frozenset(c.hash for c in labelled)
    found = GFLOWNET.propose(ProposalRequest(make_problem(space), 6, 3, seen, labelled=labelled, score=polarity))
    assert len(found) == 6


def test_values_over_many_powers_of_ten_are_searched(request_):
    def improvement(candidates):
        return 10.0 ** (200 * polarity(candidates) - 250)

    found = GFLOWNET.propose(replace(request_, score=improvement))
    assert len(found) == 12
    assert improvement(found).max() > np.quantile(improvement(SPACE.sample(500, np.random.default_rng(0))), 0.9)
