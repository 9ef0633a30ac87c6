"""A quota of diversity: of the molecules that are asked together no circle holds more than it may."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import SMILES
from tests.models.near_copies import CHAINS, RINGS, candidate, fullest, similarity
from theoros.models import decide, registry
from theoros.models.contract import ProposalRequest
from theoros.models.data import Point, Proposal
from theoros.models.diversity import Company, Quota, circles
from theoros.models.proposers.random_design import RandomDesign
from theoros.oracles.spaces import Molecules

EVERY = [*SMILES, *CHAINS, *RINGS]
QUOTAS = st.builds(Quota, st.sampled_from([0.2, 0.3, 0.45, 0.6, 0.8]), st.integers(1, 4))


def keeps(choices, beside, quota):
    return fullest([*beside, *(choice.point.candidate for choice in choices)], quota) <= quota.at_most


# -- circles -------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(EVERY), max_size=12), st.sampled_from(EVERY), QUOTAS)
@settings(deadline=None)
def test_a_company_knows_how_full_circles_are_whatever_the_order_in_which_it_came(smiles, last, quota):
    members = [candidate(text) for text in smiles]
    new = candidate(last)
    there, back = Company(quota).beside(members), Company(quota).beside(reversed(members))
    near = [c for c in members if similarity(c, new) > quota.similarity]
    about = [[c for c in [*members, new] if similarity(c, centre) > quota.similarity] for centre in [new, *near]]
    expected = max(len({c.hash for c in circle}) for circle in about)
    assert there.fullest(new) == back.fullest(new) == expected
    fitting = there.fitting([new])
    assert bool(fitting) == there.has_room(new)


@given(st.lists(st.sampled_from(EVERY), max_size=30), QUOTAS)
@settings(deadline=None)
def test_those_that_fit_keep_the_quota_and_no_other_could_join_them(smiles, quota):
    offered = [candidate(text) for text in smiles]
    places = Company(quota).fitting(offered)
    kept = [offered[place] for place in places]
    assert fullest(kept, quota) <= quota.at_most
    company = Company(quota).beside(kept)
    assert not any(company.has_room(c) for place, c in enumerate(offered) if place not in places)


@given(st.lists(st.sampled_from(EVERY), max_size=25, unique=True), st.sampled_from([0.1, 0.25, 0.4, 0.7]))
@settings(deadline=None)
def test_circles_are_those_that_hold_none_before_them(smiles, bound):
    centres = []
    for text in smiles:
        if all(similarity(candidate(text), centre) < bound for centre in centres):
            centres.append(candidate(text))
    assert circles(smiles, bound) == len(centres)


# -- decisions -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def believed(make_problem, label):
    """Make a problem with a quota, its labels and a fitted surrogate, each surrogate fitted once."""
    fits, space = {}, Molecules(elements=["C", "N", "O", "F", "S", "Br"], heavy_atoms=(1, 20))

    def make(surrogate, quota, **more):
        problem = make_problem(space, diversity=quota, **more)
        dataset = label(problem, [candidate(text) for text in SMILES[:30]], lambda d: len(d["smiles"]))
        if surrogate not in fits:
            fits[surrogate] = registry.surrogate(surrogate).fit(problem, dataset, seed=0)
        return problem, dataset, fits[surrogate]

    return make


def chosen(believed, quota, offered, pending, n, *, acquisition="sceptical_ucb", surrogate="tanimoto_gp"):
    problem, dataset, model = believed(surrogate, quota)
    pool = [Proposal(c, "test") for c in offered]
    points = [Point(c, problem.target) for c in pending]
    own = registry.acquisition(acquisition)
    return decide.select(problem, pool, dataset, model, own, points, frozenset(), n, seed=3)


WAYS = [
    *(("tanimoto_gp", name) for name in ("log_ei", "ucb", "sceptical_ucb", "molecular_portfolio", "thompson", "std")),
    *(("random_forest", name) for name in ("ei", "ucb", "thompson", "greedy")),
]


@pytest.mark.parametrize(("surrogate", "acquisition"), WAYS)
@pytest.mark.parametrize("quota", [Quota(0.45, 1), Quota(0.45, 2), Quota(0.3, 3)])
def test_a_batch_keeps_the_quota_beside_what_is_pending_however_it_is_picked(believed, surrogate, acquisition, quota):
    offered = [candidate(text) for text in [*CHAINS[2:], *RINGS, *SMILES[30:]]]
    pending = [candidate(CHAINS[0])]
    found = chosen(believed, quota, offered, pending, 6, acquisition=acquisition, surrogate=surrogate)
    assert len({choice.point.candidate.hash for choice in found}) == 6
    assert keeps(found, pending, quota)
    without = chosen(believed, None, offered, pending, 6, acquisition=acquisition, surrogate=surrogate)
    if quota.at_most == 1 and acquisition in ("log_ei", "ucb", "sceptical_ucb", "greedy"):  # long chains are best here
        assert not keeps(without, pending, quota)


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_slots_that_pick_one_after_another_keep_the_quota_as_a_batch_does(believed, data):
    quota = data.draw(QUOTAS)
    offered = [candidate(text) for text in data.draw(st.lists(st.sampled_from(EVERY), min_size=12, unique=True))]
    pending = []
    for _ in range(5):
        (choice,) = chosen(believed, quota, offered, pending, 1)
        if "in one circle" not in choice.reason:
            assert keeps([choice], pending, quota) or fullest(pending, quota) > quota.at_most
        pending.append(choice.point.candidate)
    assert len({c.hash for c in pending}) == 5


def test_where_nobody_fits_the_emptiest_circle_is_asked_and_the_reason_says_so(believed):
    chains, rings = [candidate(text) for text in CHAINS[5:25]], [candidate(RINGS[0]), candidate(RINGS[4])]
    quota = Quota(0.3, 1)
    pending = [*map(candidate, CHAINS[:3]), rings[0]]
    found = chosen(believed, quota, [*chains, rings[1]], pending, 2)
    assert found[0].point.candidate == rings[1], "two in its circle, and every chain makes four or more"
    assert "up to 2 in one circle, as no proposal keeps to 1" in found[0].reason
    assert "no proposal keeps to 1" in found[1].reason
    everyone = chosen(believed, quota, [*chains, rings[1]], pending, 50)
    assert len(everyone) == 21, "a slot never stands idle for a quota"


def test_the_reason_tells_how_many_the_quota_shut_out(believed):
    chains, rings = [candidate(text) for text in CHAINS[5:25]], [candidate(text) for text in RINGS[:3]]
    (choice,) = chosen(believed, Quota(0.3, 1), [*chains, *rings], [candidate(CHAINS[0])], 1)
    assert choice.point.candidate in rings
    assert choice.reason == "best of 3 proposals; 20 more lie in full circles"


def test_without_a_quota_nothing_is_said_and_one_that_never_binds_changes_no_decision(believed):
    offered = [candidate(text) for text in [*CHAINS, *RINGS]]
    free = chosen(believed, None, offered, [], 5)
    assert [c.point for c in chosen(believed, Quota(0.999, 50), offered, [], 5)] == [c.point for c in free]
    assert all("circle" not in choice.reason for choice in free)


def test_labels_that_are_remembered_fill_circles_too(believed):
    latest = [point.candidate for point in believed("tanimoto_gp", None)[1].points[-28:]]
    alike = [candidate(text) for text in CHAINS if max(similarity(candidate(text), c) for c in latest) > 0.3]
    unlike = candidate("OS(=O)(=O)O")
    assert alike
    assert max(similarity(unlike, c) for c in latest) <= 0.3
    (choice,) = chosen(believed, Quota(0.3, 1, remember=28), [*alike, unlike], [], 1)
    assert choice.point.candidate == unlike
    (choice,) = chosen(believed, Quota(0.3, 1), [*alike, unlike], [], 1)
    assert "circle" not in choice.reason


def test_what_slow_gates_turned_away_is_no_label_that_is_remembered(believed):
    problem, dataset, _ = believed("tanimoto_gp", Quota(0.3, 1, remember=3))
    labelled, turned_away = (
        [Point(candidate(text), problem.target) for text in texts[:3]] for texts in (CHAINS, RINGS)
    )
    data = replace(dataset, points=(*labelled, *turned_away), values=dataset.values[:6], origins=(), unasked=3)
    chain, ring = candidate(CHAINS[3]), candidate(RINGS[3])
    assert decide.roomy(problem, data, [], [chain, ring], np.array([2.0, 1.0])) == [1], "rings were never asked"


def test_before_the_first_fit_those_that_fit_are_taken_in_their_order(believed):
    problem, dataset, _ = believed("tanimoto_gp", Quota(0.3, 1))
    offered = [*map(candidate, CHAINS[:4]), candidate(RINGS[0]), candidate("N#CC#N")]
    pool = [Proposal(c, "test") for c in offered]
    found = decide.select(problem, pool, dataset, None, registry.acquisition("log_ei"), [], frozenset(), 3, seed=0)
    assert [choice.point.candidate for choice in found] == [offered[0], offered[4], offered[5]]


# -- proposals -----------------------------------------------------------------------------------------------------


class Copier:
    """Makes near copies of one molecule first, whatever it is asked; obeys as the built-in proposers do."""

    name, kinds, needs_model = "copier", frozenset({"molecule"}), False

    def __init__(self, texts):
        self.every, self.asked = [candidate(text) for text in texts], Counter()

    def propose(self, request):
        self.asked["times"] += 1
        admits = request.admits or (lambda c: True)
        return [c for c in self.every if c.hash not in request.seen and admits(c)][:4]


def proposed(believed, quota, proposer, n, pending=(), *, modelled=True, **more):
    problem, dataset, model = believed("tanimoto_gp", quota)
    points = [Point(c, problem.target) for c in pending]
    own = registry.acquisition("ucb")
    model = model if modelled else None
    return decide.propose(problem, [proposer], dataset, model, own, points, frozenset(), n, seed=1, **more)


def test_proposers_are_asked_again_while_too_few_have_room_beside_each_other(believed):
    quota, copier = Quota(0.3, 1), Copier([*CHAINS[:10], *RINGS[:6], "N#CC#N", "FC(F)F"])
    found = [proposal.candidate for proposal in proposed(believed, quota, copier, 3)]
    assert copier.asked["times"] > 1
    assert fullest(found[:3], quota) == 1, "those that fit come first"
    assert len({c.hash for c in found}) == len(found)
    once = Copier([c.data["smiles"] for c in copier.every])
    proposed(believed, None, once, 3)
    assert once.asked["times"] == 1


def test_what_lies_in_a_full_circle_is_not_proposed_as_long_as_there_is_anything_else(believed):
    quota, pending = Quota(0.3, 1), [candidate(CHAINS[0])]
    found = proposed(believed, quota, Copier([*CHAINS[1:10], *RINGS[:6]]), 1, pending)
    assert found
    assert all(similarity(proposal.candidate, pending[0]) <= 0.3 for proposal in found)
    nothing_else = proposed(believed, quota, Copier(CHAINS[1:10]), 1, pending)
    assert len(nothing_else) == 4, "and then it is"


@pytest.mark.parametrize("ranked", [False, True])
def test_ranked_or_not_those_that_fit_come_first(believed, ranked):
    quota = Quota(0.3, 1)
    found = proposed(believed, quota, Copier(["CCCCCCCO", "CCCCCCCCO", "CCCCCCCCCO", RINGS[0]]), 2, ranked=ranked)
    assert fullest([proposal.candidate for proposal in found[:2]], quota) == 1
    assert len(found) == 4


def test_the_first_design_keeps_the_quota(believed):
    quota = Quota(0.3, 1)
    copier = Copier([*CHAINS[:6], *RINGS[:6], "N#CC#N", "FC(F)F"])
    found = proposed(believed, quota, copier, 3, modelled=False)
    assert fullest([proposal.candidate for proposal in found[:3]], quota) == 1


def test_the_genetic_search_passes_through_full_circles_and_returns_none_of_them(believed):
    from theoros.models.proposers.genetic.algorithm import GeneticAlgorithm

    quota, pending = Quota(0.3, 1), [candidate("CCCCCCCO")]
    found = proposed(believed, quota, GeneticAlgorithm(generations=3, offspring=30), 1, pending)
    assert len(found) > 5
    assert all(similarity(proposal.candidate, pending[0]) <= 0.3 for proposal in found)


def test_a_library_and_random_draws_leave_out_what_has_no_room(molecule_library, make_problem):
    problem = make_problem(molecule_library, diversity=Quota(0.3, 1))
    company = Company(Quota(0.3, 1)).beside([candidate("CCCO")])
    request = ProposalRequest(problem, 60, 0, frozenset(), has_room=company.has_room)
    found = RandomDesign().propose(request)
    assert found
    assert all(similarity(c, candidate("CCCO")) <= 0.3 for c in found if c != candidate("CCCO"))
    assert len(found) < molecule_library.size
