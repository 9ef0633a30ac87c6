"""Tests of events as wholes: known answers, and how often a twin that is right is said to be wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.exact_twin import ExactTwin
from theoros.models.data import Point
from theoros.models.twins.unseen import Unseen
from theoros.models.twins.unseen_events import (
    FARTHEST,
    LEAST,
    WINDOW,
    Events,
    paired_classifier,
    paired_discrepancy,
)

OUTPUTS = ("y", "z")


def events(square, label_of, twin, n=60, seed=0) -> Events:
    """Events of the exact process (noise 0.1) beside those of `twin`, at `n` random places."""
    rng = np.random.default_rng(seed)
    candidates = square.sample(n, rng)
    points = [Point(candidate, "full") for candidate in candidates]
    values = ExactTwin(offsets=(0.0,), noise=0.1).answers(points, rng)
    data = label_of(candidates, values)
    unseen = Unseen.of(twin, OUTPUTS, data, range(n), range(1, n + 1), seed=seed)
    return Events.of(unseen, square, candidates, values)


@pytest.fixture
def label_of(square, make_problem, label):
    problem = make_problem(square, goal="learn", outputs=OUTPUTS)

    def of(candidates, values):
        known = dict(zip((c.hash for c in candidates), values.tolist(), strict=True))
        by = [lambda d, k=k: known[next(c.hash for c in candidates if c.data == d)][k] for k in range(2)]
        return label(problem, candidates, *by)

    return of


def told(found: Events) -> dict:
    return {(score.output, score.metric): score for score in found.scores(0)}


def test_a_twin_that_is_right_passes_and_one_that_is_too_noisy_is_found_out(square, label_of):
    right, noisy = (told(events(square, label_of, ExactTwin((0.0, 0.0), noise))) for noise in (0.1, 0.3))
    for metric in ("mmd_p", "c2st_p"):
        assert right["y, z", metric].value > 0.05 > noisy["y, z", metric].value
    assert abs(right["y, z", "mmd"].value) < 0.02 < noisy["y, z", "mmd"].value
    assert right["y, z", "c2st"].value < 0.65 < noisy["y, z", "c2st"].value
    assert right["y, z", "mmd"].n == 60


def test_a_twin_whose_outputs_are_right_apart_and_wrong_together_is_found_out():
    """Both have standard normal outputs; those of one go together."""
    rng = np.random.default_rng(3)
    apart = rng.normal(size=(120, 2))
    common = rng.normal(size=(120, 1))
    joined = np.sqrt(0.1) * rng.normal(size=(120, 2)) + np.sqrt(0.9) * common
    assert paired_discrepancy(apart, joined, rng).p_value < 0.01
    assert paired_classifier(apart, joined, seed=0).p_value < 0.01


def test_shares_inside_central_intervals_are_those_of_all_labels(square, label_of):
    scores = told(events(square, label_of, ExactTwin((0.0, 0.0), 0.1)))
    for level in (50, 90, 95):
        score = scores["y", f"draws_coverage_{level}"]
        assert score.n == 60
        assert score.value == pytest.approx(level / 100, abs=0.2)
    assert told(events(square, label_of, ExactTwin((0.0, 0.0), 0.02)))["z", "draws_coverage_90"].value < 0.6


def test_the_crps_is_beside_that_of_a_process_that_scatters_as_members_do(square, label_of):
    right, apart, sure = (
        told(events(square, label_of, ExactTwin(offsets, noise)))["y", "crps_ratio_believed"]
        for offsets, noise in (((0.0, 0.0), 0.1), ((-0.3, 0.3), 0.1), ((0.0, 0.0), 0.02))
    )
    assert right.n == 60
    assert right.value == pytest.approx(1, abs=0.25)
    assert apart.value > 1.5, "what members do not agree on is no noise"
    assert sure.value > 2.5, "a twin that believes in little noise expects a small CRPS"


def test_the_worst_bin_of_the_conditions_is_told_with_its_chance(square, label_of):
    """One twin is wrong by five deviations where x is above 0.75."""
    right, wrong = (
        told(events(square, label_of, twin, n=160))
        for twin in (ExactTwin((0.0, 0.0), 0.1), ExactTwin((0.5, 0.5), 0.1, quiet=0.75))
    )
    assert right["y", "draws_coverage_90_worst_bin_p"].value > 0.05
    assert wrong["y", "draws_coverage_90"].value > 0.6
    assert wrong["y", "draws_coverage_90_worst_bin"].value < 0.2
    assert 20 <= wrong["y", "draws_coverage_90_worst_bin"].n <= 60
    assert wrong["y", "draws_coverage_90_worst_bin_p"].value < 1e-6
    assert ("y", "draws_coverage_90_worst_bin") not in told(events(square, label_of, ExactTwin((0.0,), 0.1), n=39))


def test_too_few_events_are_not_compared_and_a_lacking_output_does_not_count(square, label_of):
    found = events(square, label_of, ExactTwin((0.0, 0.0), 0.1), n=LEAST)
    assert ("y, z", "mmd") in told(found)
    found.observed[0, 1] = found.pit[0, 1] = np.nan
    scores = told(found)
    assert ("y, z", "mmd") not in scores
    assert (scores["y", "draws_coverage_50"].n, scores["z", "draws_coverage_50"].n) == (LEAST, LEAST - 1)


def test_the_latest_events_are_kept_and_those_of_other_outputs_let_go(square, label_of):
    twin = ExactTwin((0.0, 0.0), 0.1)
    early, late = events(square, label_of, twin, n=WINDOW - 10), events(square, label_of, twin, n=30, seed=1)
    both = late.after(early)
    assert len(both.observed) == len(both.conditions) == len(both.pit) == WINDOW
    assert np.array_equal(both.drawn[-30:], late.drawn)
    assert np.array_equal(both.observed[:-30], early.observed[20:])
    arrays = (early.observed, early.drawn, early.pit, early.crps, early.believed)
    other = Events(("y",), early.conditions, *(own[:, :1] for own in arrays))
    assert late.after(other) is late.after(None) is late


def test_outcomes_are_in_deviations_of_the_other_draws_and_far_ones_count_alike(square, label_of):
    found = events(square, label_of, ExactTwin((0.0, 0.0), 0.1))
    assert 0.8 < found.observed.std() < 1.25
    assert 0.8 < found.drawn.std() < 1.25
    sure = events(square, label_of, ExactTwin((0.0, 0.0), 1e-6))
    assert np.abs(sure.observed).max() == FARTHEST


def test_candidates_that_are_no_parameters_have_no_conditions(space_of_molecules, label_of):
    candidates = list(space_of_molecules.sample(3, np.random.default_rng(0)))
    ones = ((1.0, 1.0, 1.0),)
    unseen = Unseen((1, 2, 3), ("y",), ones, ones, (1.0, 1.0, 1.0), ones, ones, ones, ones)
    found = Events.of(unseen, space_of_molecules, candidates, np.ones((3, 1)))
    assert found.conditions.shape == (3, 0)
    assert not found.observed.any()


@pytest.fixture
def space_of_molecules():
    from theoros.oracles.spaces import Molecules

    return Molecules(elements=("C", "O"), heavy_atoms=(1, 3))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_same_events_are_alike_whatever_they_are(seed):
    same = np.random.default_rng(seed).normal(size=(25, 3))
    found = paired_discrepancy(same, same, np.random.default_rng(seed))
    assert found.statistic == pytest.approx(0, abs=1e-12)
    assert found.p_value == 1.0


def test_a_discrepancy_is_expected_to_be_zero_and_its_p_value_even_where_both_are_alike():
    """Conditions are shared, as those of labels and draws are."""
    rng, found = np.random.default_rng(5), []
    for _ in range(200):
        conditions = rng.random((30, 2))
        ones, others = (np.column_stack([conditions, rng.normal(size=(30, 1))]) for _ in range(2))
        found.append(paired_discrepancy(ones, others, rng))
    statistics, p_values = np.array(found).T
    assert abs(statistics.mean()) < 4 * statistics.std() / np.sqrt(200)
    assert 0.01 < (p_values < 0.05).mean() < 0.1
    assert p_values.mean() == pytest.approx(0.5, abs=0.08)


def test_a_classifier_does_not_learn_from_partners():
    """Events that are alike in all but noise: whoever had seen the partner would say the other kind."""
    rng = np.random.default_rng(1)
    conditions = rng.normal(size=(100, 3))
    found = paired_classifier(conditions + 1e-3 * rng.normal(size=(100, 3)), conditions, seed=2)
    assert 0.35 < found.statistic < 0.65
    apart = paired_classifier(conditions + 2.0, conditions, seed=2)
    assert apart.statistic > 0.75
    assert apart.p_value < 1e-4
