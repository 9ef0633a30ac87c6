"""Searches for molecules that have come to their end begin anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models import decide, registry
from theoros.models.data import Dataset, OutcomeConstraint, Point
from theoros.models.restarts import BEST, FIRST, PATIENCE, begun, current
from theoros.oracles.spaces import Molecules, Parameters, Real

SPACE = Molecules(heavy_atoms=(1, 12))
#: So many labels has a search that never gains.
FLAT = PATIENCE + BEST + 1


@pytest.fixture(scope="module")
def molecules():
    return SPACE.sample(3 * FLAT, np.random.default_rng(0))


@pytest.fixture
def labelled(make_problem, molecules):
    """A problem and its first so many molecules with labels."""
    problem = make_problem(SPACE)

    def make(values):
        points = tuple(Point(one, "truth") for one in molecules[: len(values)])
        return problem, Dataset(points, ("y",), np.array(values, dtype=float)[:, None])

    return make


def flat(n, top=1.0):
    """`n` labels, of which the first ten are as good as any that comes."""
    return [top] * BEST + [0.1 * (i % 5) for i in range(n - BEST)]


def test_a_search_that_gains_goes_on(labelled):
    assert current(*labelled(np.sqrt(np.arange(3 * FLAT)))) == (0, 0)
    assert current(*labelled(flat(FLAT - 1))) == (0, 0)


def test_a_search_that_has_long_gained_nothing_has_ended(labelled):
    assert current(*labelled(flat(FLAT))) == (FLAT, 1)
    assert current(*labelled(flat(FLAT + 50))) == (FLAT, 1)


def test_the_next_search_is_judged_by_its_own_labels(labelled):
    gaining = [0.001 * i for i in range(2 * FLAT)]
    assert current(*labelled(flat(FLAT) + gaining)) == (FLAT, 1)


def test_when_it_has_ended_too_all_labels_are_believed_and_then_another_begins(labelled):
    assert current(*labelled(flat(FLAT) + flat(FLAT, top=0.6))) == (0, 2)
    third = flat(FLAT) + flat(FLAT, top=0.6) + [0.0] * FLAT  # what all together gain: nothing
    assert current(*labelled(third)) == (3 * FLAT, 3)


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
@settings(max_examples=40)
def test_what_is_labelled_later_does_not_change_what_a_search_was(make_problem, molecules, values):
    labels = [*flat(FLAT), *values]
    problem = make_problem(SPACE)
    points = tuple(Point(one, "truth") for one in molecules[: len(labels)])
    before = current(problem, Dataset(points[:FLAT], ("y",), np.array(labels[:FLAT])[:, None]))
    after = current(problem, Dataset(points, ("y",), np.array(labels)[:, None]))
    assert after == before == (FLAT, 1)  # 80 labels are too few for the second search to end


def test_failures_and_what_breaks_a_constraint_are_no_gain(labelled, molecules, make_problem):
    problem, dataset = labelled(flat(FLAT))
    values = np.column_stack([dataset.values[:, 0], np.zeros(FLAT)])
    values[-20:, 0], values[-20:, 1] = 5.0, 1.0  # better, and forbidden
    bounded = make_problem(SPACE, outputs=("y", "z"), constraints=(OutcomeConstraint("z", "<=", 0.5),))
    assert current(bounded, Dataset(dataset.points, ("y", "z"), values)) == (FLAT, 1)
    # Where hardly anything is allowed a search still ends by what it gains.
    rare = np.column_stack([np.sqrt(np.arange(FLAT)), np.arange(FLAT) % 9 > 0])
    assert current(bounded, Dataset(dataset.points, ("y", "z"), rare)) == (0, 0)
    failed = replace(dataset, values=np.where(np.arange(FLAT) == 30, np.nan, dataset.values[:, 0])[:, None])
    assert current(problem, failed) == (0, 0)  # one label fewer


def test_minimising_is_maximising_the_other_way_round(make_problem, molecules):
    points = tuple(Point(one, "truth") for one in molecules[:FLAT])
    dataset = Dataset(points, ("y",), -np.array(flat(FLAT))[:, None])
    assert current(make_problem(SPACE, maximize=False), dataset) == (FLAT, 1)


@pytest.fixture(scope="module")
def ended(make_problem):
    """A problem of which a search has ended and a model of its labels."""
    problem = make_problem(SPACE)
    molecules = SPACE.sample(FLAT + FIRST, np.random.default_rng(1))
    points = tuple(Point(one, "truth") for one in molecules)
    dataset = Dataset(points, ("y",), np.array(flat(FLAT) + [0.5] * FIRST)[:, None])
    first = replace(dataset, points=points[:FLAT], values=dataset.values[:FLAT])
    return problem, first, dataset, registry.surrogate("tanimoto_gp").fit(problem, dataset, seed=0)


class TestDecisions:
    def chosen(self, problem, dataset, model, n=4):
        proposers = [registry.proposer("genetic"), registry.proposer("random")]
        acquisition, seen = registry.acquisition("molecular_portfolio"), {p.candidate.hash for p in dataset.points}
        made = decide.propose(problem, proposers, dataset, model, acquisition, (), seen, n, seed=2)
        done = {(hash, "truth") for hash in seen}
        return decide.select(problem, made, dataset, model, acquisition, (), done, n, seed=2)

    def test_the_first_labels_of_the_next_search_are_drawn_by_chance(self, ended):
        problem, first, _, model = ended
        choices = self.chosen(problem, first, model)
        assert [choice.proposer for choice in choices] == ["random"] * 4
        assert all(f"began after {FLAT} labels" in choice.reason for choice in choices)

    def test_then_a_model_of_its_own_labels_guides_it(self, ended):
        problem, _, dataset, model = ended
        search = begun(problem, dataset, model)
        assert search.model.n_labels == len(search.dataset) == FIRST
        choices = self.chosen(problem, dataset, model)
        assert any(choice.acquisition for choice in choices)
        assert all("search 2 began" in choice.reason for choice in choices)
        foreseen = model.predict([choice.point for choice in choices]).mean[:, 0]
        told = [choice.predictions["y"].mean for choice in choices]
        np.testing.assert_allclose(told, foreseen)  # what is foreseen is what all labels say

    def test_the_choice_is_made_with_what_the_search_was(self, ended):
        problem, first, dataset, model = ended
        search = begun(problem, dataset, model)
        assert begun(replace(problem), dataset, model) is search
        assert begun(problem, first, model).model is None
        assert begun(problem, dataset, model).model.n_labels == FIRST

    def test_a_model_that_remembers_all_its_labels_is_what_it_was(self, ended):
        problem, first, dataset, model = ended
        points = [Point(one, "truth") for one in SPACE.sample(20, np.random.default_rng(5))]
        again, apart = model.remembering(problem, dataset), model.remembering(problem, first)
        np.testing.assert_allclose(again.predict(points).mean, model.predict(points).mean, atol=1e-6)
        np.testing.assert_allclose(again.predict(points).std, model.predict(points).std, atol=1e-6)
        late = [*dataset.points[FLAT:]]
        assert (apart.predict(late).std > model.predict(late).std).all()

    def test_labels_of_cheaper_levels_are_no_gain_and_go_with_their_search(self, make_problem):
        problem = make_problem(SPACE, fidelities=("cheap", "truth"), costs=(0.1, 1.0))
        molecules = SPACE.sample(FLAT + FIRST, np.random.default_rng(1))
        rows = [(one, "truth", value) for one, value in zip(molecules, flat(FLAT) + [0.5] * FIRST, strict=True)]
        rows[100:100] = [(one, "cheap", 9.0) for one in molecules[:20]]
        rows += [(one, "cheap", 0.4) for one in molecules[-5:]]
        points = tuple(Point(one, level) for one, level, _ in rows)
        dataset = Dataset(points, ("y",), np.array([value for *_, value in rows])[:, None])
        search = begun(problem, dataset, registry.surrogate("tanimoto_gp").fit(problem, dataset, seed=0))
        assert [point.fidelity for point in search.dataset.points] == ["truth"] * FIRST + ["cheap"] * 5
        assert np.isfinite(search.model.predict(points).std).all()

    def test_searches_among_parameters_do_not_end(self, make_problem):
        problem = make_problem(Parameters(x=Real(0, 1)))
        points = tuple(Point(one, "truth") for one in problem.space.sample(FLAT, np.random.default_rng(0)))
        dataset = Dataset(points, ("y",), np.array(flat(FLAT))[:, None])
        model = object()
        assert begun(problem, dataset, model)[:2] == (dataset, model)
