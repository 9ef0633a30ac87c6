"""The scattering benchmark: its cases and designs."""

import numpy as np
import pytest

from benchmarks import scattering_scores as measures
from benchmarks.scattering import ACQUISITION, CASES, candidates_of, oracle_of
from theoros.models import registry


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("design", ["random", "sobol", "grid"])
def test_a_design_asks_for_distinct_events_of_the_cases_space(case, design):
    oracle = oracle_of(case, 0)
    found = candidates_of(oracle, design, 100, seed=1)
    assert len({candidate.hash for candidate in found}) == 100
    assert all(set(candidate.data) == set(oracle.space.parameters) for candidate in found)
    assert found != candidates_of(oracle, design, 100, seed=2)


def test_a_grid_of_four_conditions_has_as_many_levels_of_each():
    found = candidates_of(oracle_of("charge and screening", 0), "grid", 256, seed=0)
    for name in ("energy", "impact_parameter", "charge", "screening"):
        assert len({candidate.data[name] for candidate in found}) == 4


def test_charge_and_screening_are_conditions_of_test_events_that_all_leave():
    oracle, shot = oracle_of("charge and screening", 0), measures.test_events("charge and screening")
    exam = measures.Exam.of(oracle, shot)
    assert len(exam.points) == measures.TESTS
    assert set(exam.points[0].candidate.data) == {"energy", "impact_parameter", "charge", "screening"}
    assert (exam.shot.charge < 0).mean() == pytest.approx(0.5, abs=0.01)
    assert [exam.shot.screening.min(), exam.shot.screening.max()] == pytest.approx([0, 1], abs=0.01)
    pits = np.full((measures.REPEATS, len(exam.points), 3), 0.5)
    assert len(measures.coverage_in_bins(pits, exam)) == 3 * (3 + 4 + 3 + 3)


@pytest.mark.parametrize("twin", ACQUISITION)
def test_every_twin_is_chosen_for_by_an_acquisition_that_is_registered(twin):
    assert registry.surrogate(twin)
    assert registry.acquisition(ACQUISITION[twin])
