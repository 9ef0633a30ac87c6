"""Where candidates come from, and that they are admissible."""

from dataclasses import replace

import numpy as np
import pytest

from theoros.models import registry
from theoros.models.checks import check_proposer
from theoros.models.contract import ProposalRequest
from theoros.models.encoders import ParameterEncoder
from theoros.models.proposers import acquisition_optimizer
from theoros.models.proposers.acquisition_optimizer import AcquisitionOptimizer
from theoros.models.proposers.library_ranking import LibraryRanking
from theoros.models.proposers.local_search import local_search, neighbours
from theoros.models.proposers.random_design import RandomDesign
from theoros.models.proposers.sobol import SobolDesign
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Categorical, Parameters, Real


@pytest.fixture
def simplex():
    return Parameters(a=Real(0, 1), b=Real(0, 1), c=Real(0, 1), constraints=["a + b + c == 1", "a >= 0.2"])


@pytest.fixture
def half():
    return Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x + y <= 1"])


@pytest.fixture
def request_for(make_problem, label):
    """A request after a fit to `n` labels of `f`, as `decide.propose` makes it."""

    def make(space, f, *, n=12, wanted=6, name="log_ei", **more):
        problem = make_problem(space, **more)
        dataset = label(problem, space.sample(n, np.random.default_rng(1)), f)
        model = GaussianProcess().fit(problem, dataset, seed=0)
        acquisition = registry.acquisition(name)
        order = np.argsort(-dataset.values[:, 0])
        return ProposalRequest(
            problem,
            wanted,
            5,
            frozenset(p.candidate.hash for p in dataset.points),
            labelled=tuple(dataset.points[i].candidate for i in order),
            model=model,
            acquisition=acquisition,
            score=acquisition.scorer(problem, model, dataset, [], seed=0),
            dataset=dataset,
        )

    return make


@pytest.mark.parametrize("proposer", [RandomDesign(), SobolDesign()], ids=lambda p: p.name)
class TestDesigns:
    def test_they_keep_the_contract_everywhere(
        self, proposer, square, mixed, simplex, half, molecule_library, table_library, make_problem
    ):
        for space in (square, mixed, simplex, half, molecule_library, table_library):
            assert check_proposer(proposer, make_problem(space)) == []

    def test_they_fill_the_request_although_most_is_vetoed(self, proposer, square, make_problem):
        corner = lambda c: c.data["x"] < 0.1  # noqa: E731
        found = proposer.propose(ProposalRequest(make_problem(square, feasible=corner), 12, 0, frozenset()))
        assert len(found) == 12

    def test_they_return_what_is_left_of_a_small_space(self, proposer, make_problem):
        space = Parameters(a=Categorical("u", "v"), b=Categorical("w", "x", "y"))
        problem = make_problem(space)
        all_six = proposer.propose(ProposalRequest(problem, 50, 0, frozenset()))
        assert len(all_six) == 6
        last = proposer.propose(ProposalRequest(problem, 50, 1, frozenset(c.hash for c in all_six[:5])))
        assert last == all_six[5:]


def test_sobol_fills_the_square_evenly(square, make_problem):
    found = SobolDesign().propose(ProposalRequest(make_problem(square), 64, 0, frozenset()))
    cells = np.floor(ParameterEncoder.of(square).encode(found).numpy() * 8).astype(int)
    assert len({tuple(cell) for cell in cells}) == 64  # one point in each of the 8 x 8 cells


def test_sobol_tries_every_category(mixed, make_problem):
    found = SobolDesign().propose(ProposalRequest(make_problem(mixed), 16, 0, frozenset()))
    assert {c.data["base"] for c in found} == {"a", "b", "c"}
    assert {c.data["n"] for c in found} == set(range(1, 7))


class TestLibraryRanking:
    def test_the_best_rows_come_first(self, table_library, make_problem):
        score = lambda cs: np.array([c.data["size"] for c in cs])  # noqa: E731
        request = ProposalRequest(make_problem(table_library), 5, 0, frozenset(), score=score)
        everything = sorted({c.data["size"] for batch in table_library.iterate() for c in batch}, reverse=True)
        assert [c.data["size"] for c in LibraryRanking().propose(request)] == everything[:5]

    def test_a_large_library_is_ranked_by_a_random_part_that_changes_with_the_seed(self, table_library, make_problem):
        scored = []

        def score(candidates):
            scored.extend(candidates)
            return np.zeros(len(candidates))

        request = ProposalRequest(make_problem(table_library), 5, 0, frozenset(), score=score)
        LibraryRanking(most=20).propose(request)
        first = {c.hash for c in scored}
        scored.clear()
        LibraryRanking(most=20).propose(replace(request, seed=1))
        assert len(first) == len(scored) == 20
        assert {c.hash for c in scored} != first

    def test_it_keeps_the_contract(self, table_library, molecule_library, make_problem):
        for library in (table_library, molecule_library):
            problem = make_problem(library)
            assert check_proposer(LibraryRanking(), problem) == []
            score = lambda cs: np.array([len(c.text) for c in cs], dtype=float)  # noqa: E731
            assert (
                check_proposer(LibraryRanking(), problem, ProposalRequest(problem, 4, 0, frozenset(), score=score))
                == []
            )

    def test_draws_each_name_their_best_rows(self, table_library, make_problem, label):
        """Two schools of thought about what is good are both heard."""
        problem = make_problem(table_library)
        rows = list(table_library.rows())
        dataset = label(problem, rows[:20], lambda d: d["size"])

        class Divided:
            def paths(self, problem, model, dataset, n, *, seed):
                return lambda cs: np.array([[c.data["size"] for c in cs], [-c.data["size"] for c in cs]])

        request = ProposalRequest(
            problem, 6, 0, frozenset(), score=np.zeros, model=object(), dataset=dataset, acquisition=Divided()
        )
        sizes = sorted(c.data["size"] for c in rows)
        found = sorted(c.data["size"] for c in LibraryRanking().propose(request))
        assert found == sizes[:3] + sizes[-3:]

    def test_what_was_seen_costs_nothing_but_its_place(self, table_library, make_problem):
        score = lambda cs: np.array([c.data["size"] for c in cs])  # noqa: E731
        rows = sorted(table_library.rows(), key=lambda c: -c.data["size"])
        seen = frozenset(c.hash for c in rows[:70])
        request = ProposalRequest(make_problem(table_library), 4, 0, seen, score=score)
        assert [c.hash for c in LibraryRanking().propose(request)] == [c.hash for c in rows[70:74]]

    def test_a_nearly_exhausted_library_gives_up_its_last_rows(self, table_library, make_problem):
        score = lambda cs: np.array([c.data["size"] for c in cs])  # noqa: E731
        rows = list(table_library.rows())
        seen = frozenset(c.hash for c in rows[:77])
        request = ProposalRequest(make_problem(table_library), 10, 0, seen, score=score)
        assert {c.hash for c in LibraryRanking(most=10).propose(request)} == {c.hash for c in rows[77:]}

    def test_it_refuses_an_open_space(self, square, make_problem):
        with pytest.raises(ValueError, match="ranks a finite library"):
            LibraryRanking().propose(ProposalRequest(make_problem(square), 4, 0, frozenset()))


class TestAcquisitionOptimizer:
    def test_it_beats_the_best_of_many_random_points(self, square, request_for, branin):
        request = request_for(square, branin, maximize=False)
        best = request.score(AcquisitionOptimizer().propose(request)[:1])[0]
        assert best >= request.score(square.sample(3000, np.random.default_rng(0))).max()

    def test_it_finds_the_edge_that_a_constraint_makes(self, half, request_for):
        request = request_for(half, lambda d: 3 * d["x"] + d["y"], n=15, name="ucb")
        best = AcquisitionOptimizer().propose(request)[0]
        assert best.data["x"] + best.data["y"] == pytest.approx(1, abs=0.02)
        assert best.data["x"] > 0.9

    def test_it_searches_mixed_spaces(self, mixed, request_for):
        f = lambda d: {"a": 0.0, "b": 3.0, "c": 1.0}[d["base"]] + d["n"] - (d["v"] - 0.7) ** 2  # noqa: E731
        request = request_for(mixed, f, n=40)
        best = AcquisitionOptimizer().propose(request)[0]
        assert (best.data["base"], best.data["n"]) == ("b", 6)

    @pytest.mark.parametrize("space", ["square", "mixed", "simplex", "half"])
    def test_it_keeps_the_contract(self, space, request_for, request):
        asked = request_for(
            request.getfixturevalue(space), lambda d: next(v for v in d.values() if isinstance(v, float))
        )
        assert check_proposer(AcquisitionOptimizer(raw=128, restarts=3), asked.problem, asked) == []

    @pytest.mark.parametrize("name", ["thompson", "std", "random"])
    def test_it_works_with_acquisitions_that_have_no_gradient(self, square, request_for, branin, name):
        asked = request_for(square, branin, name=name)
        assert len(AcquisitionOptimizer().propose(asked)) == 6

    def test_a_failing_gradient_search_costs_quality_and_not_the_decision(
        self, square, request_for, branin, monkeypatch
    ):
        def fail(*args, **kwargs):
            raise RuntimeError("line search failed")

        request = request_for(square, branin, maximize=False)
        whole = request.score(AcquisitionOptimizer().propose(request)[:1])[0]
        monkeypatch.setattr(acquisition_optimizer, "optimize_acqf", fail)
        found = AcquisitionOptimizer().propose(request)
        assert len(found) == 6
        assert request.score(found[:1])[0] > whole - 0.1

    def test_it_refuses_what_it_can_not_search(self, molecule_library, square, make_problem):
        with pytest.raises(ValueError, match="searches a space of parameters"):
            AcquisitionOptimizer().propose(ProposalRequest(make_problem(molecule_library), 4, 0, frozenset()))
        with pytest.raises(ValueError, match="Use 'sobol' before it"):
            AcquisitionOptimizer().propose(ProposalRequest(make_problem(square), 4, 0, frozenset()))


def test_neighbours_change_every_row_and_stay_in_the_cube(mixed):
    encoder = ParameterEncoder.of(mixed)
    rng = np.random.default_rng(0)
    features = encoder.encode(mixed.sample(100, rng)).numpy()
    moved = neighbours(encoder, features, 0.1, rng)
    numeric = [i for i in range(encoder.dimension) if i not in encoder.categorical]
    assert (moved[:, numeric] >= 0).all()
    assert (moved[:, numeric] <= 1).all()
    assert (moved != features).any(axis=1).mean() > 0.9
    assert all(candidate is not None for candidate in encoder.decode(moved))


def test_local_search_alone_finds_a_smooth_optimum(square):
    encoder = ParameterEncoder.of(square)
    score = lambda cs: np.array([-((c.data["x"] - 0.3) ** 2) - (c.data["y"] - 0.8) ** 2 for c in cs])  # noqa: E731
    rng = np.random.default_rng(0)
    met = local_search(encoder, score, square.sample(5, rng), rng)
    best, _ = max(met.values(), key=lambda pair: pair[1])
    assert (best.data["x"], best.data["y"]) == pytest.approx((0.3, 0.8), abs=0.03)
