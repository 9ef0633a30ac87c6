"""Rivals are judged by labels that they had not seen; a clear lead counts, luck and outliers don't."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models import registry
from theoros.models.contest import CLEAR, MOST_A_LABEL, Block, Contest, block_ends, held, log_densities
from theoros.models.data import Dataset, LabelNoise, Point, Prediction
from theoros.models.feasibility import SUCCEEDS
from theoros.oracles.spaces import Parameters, Real

LINE = Parameters(x=Real(0, 1))


@dataclass(frozen=True)
class Fixed:
    """Believes the same of every label, whatever it has learned: `centre` for x below 1/2 and its opposite above."""

    centre: float = 0.0
    width: float = 1.0

    name = "fixed"
    provides = frozenset({"mean", "variance"})
    kinds = frozenset({"parameters"})

    def fit(self, problem, dataset, *, seed, previous=None):
        return self

    def predict(self, points):
        mean = np.array([[self.centre * (1 if p.candidate.data["x"] < 0.5 else -1)] for p in points])
        return Prediction(("y",), mean, np.full_like(mean, self.width), np.zeros_like(mean))


class Knowing(Fixed):
    """Knows the labels of these tests, which are 1 below 1/2 and -1 above."""

    def __init__(self) -> None:
        super().__init__(1.0, 0.5)


class Astray(Fixed):
    def fit(self, problem, dataset, *, seed, previous=None):
        raise RuntimeError("no fit")


RIVALS = tuple(f"{__name__}:{cls.__name__}" for cls in (Fixed, Knowing, Astray))


def labels(n: int, outlier: int | None = None) -> Dataset:
    xs = np.random.default_rng(5).uniform(size=n)
    values = np.where(xs < 0.5, 1.0, -1.0)
    if outlier is not None:
        values[outlier] = 1e6
    return Dataset(tuple(Point(LINE.candidate({"x": float(x)}), "truth") for x in xs), ("y",), values[:, None])


def test_a_label_counts_by_the_normal_density_that_was_predicted_for_it(make_problem):
    data, problem = labels(9), make_problem(LINE)
    spread = data.values.std()
    found = log_densities(problem, Fixed(0.0, 1.0), data, [2, 5])
    assert found == pytest.approx(-0.5 - math.log(1 / spread) - 0.5 * math.log(2 * math.pi))


def test_an_output_that_a_label_lacks_adds_nothing(make_problem):
    data = Dataset(labels(3).points, ("y",), np.array([[1.0], [np.nan], [-1.0]]))
    assert log_densities(make_problem(LINE), Knowing(), data, [1]) == [0.0]


def test_units_of_an_output_change_no_gain(make_problem):
    @dataclass(frozen=True)
    class Scaled(Fixed):
        factor: float = 1.0

        def predict(self, points):
            found = super().predict(points)
            return Prediction(found.outputs, found.mean * self.factor, found.std * self.factor, found.noise)

    def difference(factor: float) -> np.ndarray:
        data = labels(9)
        data = Dataset(data.points, data.outputs, data.values * factor)
        one, other = (Scaled(c, w, factor) for c, w in ((1.0, 0.5), (0.0, 2.0)))
        return log_densities(problem, one, data, range(9)) - log_densities(problem, other, data, range(9))

    problem = make_problem(LINE)
    assert difference(1e-5) == pytest.approx(difference(1.0))


def test_blocks_grow_with_the_labels():
    ends = block_ends(10_000)
    assert ends[:5] == [8, 10, 13, 17, 22]
    assert all(1.2 < b / a < 1.35 for a, b in pairwise(ends))
    assert block_ends(7) == []


def test_the_rival_that_predicts_best_leads_and_one_that_fails_loses(make_problem):
    contest = held(Contest(RIVALS), make_problem(LINE), labels(40))
    assert contest.leader == RIVALS[1]
    assert contest.gains[RIVALS[2]] < contest.gains[RIVALS[0]] == 0 < contest.gains[RIVALS[1]]


def test_the_first_leads_before_there_are_labels_enough(make_problem):
    assert held(Contest(RIVALS), make_problem(LINE), labels(9)).leader == RIVALS[0]


@given(st.lists(st.integers(0, 60), max_size=5))
def test_a_contest_depends_on_the_labels_and_not_on_when_they_were_told(make_problem, cuts):
    data, problem = labels(60), make_problem(LINE)
    contest = Contest(RIVALS[:2])
    for n in [*sorted(cuts), 60]:
        contest = held(contest, problem, Dataset(data.points[:n], data.outputs, data.values[:n]))
    assert contest == held(Contest(RIVALS[:2]), problem, data)


class Alert(Fixed):
    """Predicts badly where it has been told of failures."""

    def fit(self, problem, dataset, *, seed, previous=None):
        return Fixed(5.0 if SUCCEEDS in dataset.outputs else 0.9)


def among_failures(data: Dataset, failed: tuple[int, ...], unasked: int) -> Dataset:
    """`data` with an output for failures: of some rows, and of what slow gates turned away."""
    points = data.points + tuple(Point(LINE.candidate({"x": i / 1000}), "truth") for i in range(unasked))
    values = np.concatenate([data.values, np.full((unasked, 1), np.nan)])
    values[list(failed)] = np.nan
    outputs = (*data.outputs, SUCCEEDS)
    return Dataset(points, outputs, np.column_stack([values, np.isfinite(values[:, 0])]), unasked=unasked)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=4))
def test_neither_what_slow_gates_turn_away_nor_a_failure_to_come_changes_how_labels_judge(make_problem, cuts):
    data, problem, rivals = labels(60), make_problem(LINE), (RIVALS[0], f"{__name__}:Alert")
    whole = among_failures(data, (40,), 0)
    contest = Contest(rivals)
    for n, unasked in [*sorted(cuts), (60, 7)]:
        then = Dataset(data.points[:n], data.outputs, data.values[:n])
        if unasked or n > 40:
            then = among_failures(then, (40,) if n > 40 else (), unasked)
        contest = held(contest, problem, then)
    assert contest == held(Contest(rivals), problem, whole)
    assert contest.blocks[0].gains[rivals[1]] > 0 > contest.blocks[-1].gains[rivals[1]]


def test_a_rival_that_learns_slowly_is_judged_only_beside_labels_enough(make_problem, monkeypatch):
    monkeypatch.setattr(registry, "_JUDGED_FROM", {RIVALS[1]: 28})
    contest = held(Contest(RIVALS[:2]), make_problem(LINE), labels(40))
    told = [block.gains[RIVALS[1]] > 0 for block in contest.blocks]
    assert told == [block.end > 28 for block in contest.blocks]


def test_one_label_however_far_off_decides_nothing():
    assert MOST_A_LABEL < CLEAR


@pytest.mark.parametrize("outlier", [9, 30, 59])
def test_an_outlier_does_not_unseat_who_predicts_the_rest(make_problem, outlier):
    contest = held(Contest((RIVALS[1], RIVALS[0])), make_problem(LINE), labels(60, outlier))
    assert contest.leader == RIVALS[1]


def test_a_leader_stays_until_another_leads_clearly():
    def after(*gains: float) -> str:
        return Contest(("a", "b"), tuple(Block(8 + 2 * i, 2, {"a": 0.0, "b": g}) for i, g in enumerate(gains))).leader

    assert after(CLEAR - 0.1) == "a"
    assert after(CLEAR + 0.1) == "b"
    assert after(CLEAR + 0.1, -1.0) == "b"  # it leads no longer clearly, and nobody leads it
    assert after(CLEAR + 0.1, -3 * CLEAR) == "a"


def test_a_recorded_contest_goes_on_and_one_of_others_begins_anew(make_problem):
    contest = held(Contest(RIVALS), make_problem(LINE), labels(40))
    assert Contest.recorded(RIVALS, contest.record()) == contest
    assert Contest.recorded(RIVALS[:2], contest.record()) == Contest(RIVALS[:2])
    assert Contest.recorded(RIVALS, None) == Contest(RIVALS)


def test_a_rugged_function_goes_to_the_forest_and_a_smooth_one_to_the_process(make_problem, label):
    space = Parameters(**{f"x{i}": Real(0, 1) for i in range(3)})
    problem, candidates = make_problem(space), space.sample(70, np.random.default_rng(0))

    def leader(function) -> str:
        return held(Contest(("gp", "random_forest")), problem, label(problem, candidates, function)).leader

    assert leader(lambda x: math.sin(3 * x["x0"]) + x["x1"] * x["x2"]) == "gp"
    assert leader(lambda x: 10.0 * (x["x0"] > 0.3) + 3.0 * (x["x1"] > 0.7) + 0.01 * math.sin(1e3 * x["x2"])) == (
        "random_forest"
    )


@pytest.mark.parametrize("name", ["log_ei", "ucb", "thompson", "greedy", "std", "integrated_variance"])
def test_every_rival_offers_what_the_acquisition_needs(make_problem, square, molecules, name):
    for space in (square, molecules, Parameters(**{f"x{i}": Real(0, 1) for i in range(30)})):
        problem = make_problem(space)
        rivals = registry.rivals(problem, name)
        assert rivals[0] == registry.default_surrogate(problem)
        assert len(set(rivals)) == len(rivals)
        for rival in rivals:
            registry.check_surrogate_name(rival, problem)
            assert registry.ACQUISITIONS[name].needs <= registry.SURROGATES[rival].provides


def test_few_parameters_have_one_model_by_default_and_many_have_a_sparse_rival(make_problem, square):
    many = Parameters(**{f"x{i}": Real(0, 1) for i in range(30)})
    assert registry.rivals(make_problem(square), "log_ei") == ("gp",)
    assert registry.rivals(make_problem(many), "log_ei") == ("gp", "saas_gp")


def test_molecules_have_a_process_networks_over_their_graphs_and_a_deep_kernel(make_problem, molecules):
    problem = make_problem(molecules)
    assert registry.rivals(problem, "log_ei") == ("tanimoto_gp", "deep_kernel")
    everyone = ("tanimoto_gp", "message_passing", "deep_ensemble", "deep_kernel", "random_forest")
    assert registry.rivals(problem, "thompson") == everyone
    assert [registry.judged_from(name) for name in everyone] == [0, 150, 300, 300, 0]


def test_beside_thousands_of_labels_a_process_sees_them_through_inducing_points(make_problem, square):
    problem = make_problem(square)
    assert [registry.for_many("gp", problem, n) for n in (1_500, 1_501)] == ["gp", "variational_gp"]
    assert registry.for_many("random_forest", problem, 10**6) == "random_forest"


def test_where_the_errors_of_labels_are_known_all_rivals_use_them(make_problem, square):
    problem = make_problem(square, noise=(LabelNoise("y", 0.1),))
    assert set(registry.rivals(problem, "ucb")) <= set(registry.READ_NOISE)
    assert registry.for_many("gp", problem, 5_000) == "gp"
