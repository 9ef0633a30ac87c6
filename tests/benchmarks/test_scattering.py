"""The scattering benchmark: its cases and designs, and what drawn events are held against."""

import numpy as np
import pytest

from benchmarks import scattering_scores as measures
from benchmarks.scattering import ACQUISITION, CASES, candidates_of, oracle_of
from benchmarks.scattering_events import BEAM, EDGES, NODES, angle_shares, chi_square, figures, one_each, simulated
from theoros.models import registry
from theoros.oracles.physics.scattering_events import rutherford_shares, uniform_beam
from theoros.oracles.physics.scattering_setup import Setup, events


@pytest.fixture(scope="module")
def shares():
    """Of a beam of 14.4 eV that fills 3 angstrom, seen by the benchmark's detector."""
    return angle_shares(EDGES, Setup(), 14.4, 1.0, 3.0, measures.POSITION)


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


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_expected_angles_are_rutherfords_where_the_rim_is_far_and_the_detector_exact(charge):
    edges = np.array([0.5, 0.8, 1.2, 2.0, np.pi])
    found = angle_shares(edges, Setup(radius=1e6), 14.4, charge, 3.0, noise=1.0)
    assert found == pytest.approx(rutherford_shares(edges, 14.4, charge, 3.0), abs=2 / NODES)


def test_expected_angles_are_counted_once_with_noise(shares):
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert BEAM * shares.min() > 10  # as chi-square's distribution asks for


def test_simulated_events_have_the_expected_angles_and_noisier_ones_have_not(shares):
    shot = uniform_beam(10_000, 14.4, 1.0, 3.0, np.random.default_rng(5))
    seen = simulated(oracle_of("coulomb", 0), shot, 3)
    assert chi_square(np.abs(np.arctan2(seen[:, 1], seen[:, 0])), EDGES, shares) < 2
    seen += 5 * np.random.default_rng(1).standard_normal(seen.shape)
    assert chi_square(np.abs(np.arctan2(seen[:, 1], seen[:, 0])), EDGES, shares) > 10


def test_chi_square_counts_what_no_bin_holds():
    edges, expected = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.25])
    angles = np.repeat([0.5, 1.5, 2.5], [50, 25, 25])
    assert chi_square(angles, edges, expected) == 0
    assert chi_square(np.where(np.arange(100) < 10, np.nan, angles), edges, expected) == pytest.approx(10**2 / 50 / 2)


def test_one_answer_at_each_point_comes_of_any_member():
    samples = np.arange(3 * 4 * 50 * 2, dtype=float).reshape(3, 4, 50, 2)
    found = one_each(samples, np.random.default_rng(0))
    assert found.shape == (50, 2)
    assert (found[:, 1] - found[:, 0] == 1).all()
    places = [np.argwhere(samples[:, :, p, 0] == found[p, 0])[0] for p in range(50)]
    assert {int(member) for member, _ in places} == {0, 1, 2}


def test_what_draws_as_the_simulator_does_can_not_be_told_from_it():
    class Itself:
        """The simulator, as a twin of two members."""

        outputs, members = measures.OUTPUTS, 2

        def sample(self, points, n, *, seed):
            data = [point.candidate.data for point in points]
            shot = events([one["energy"] for one in data], [one["impact_parameter"] for one in data])
            truth = measures.truth_of(oracle_of("coulomb", 0), shot)
            return truth + np.random.default_rng(seed).standard_normal((2, n, *truth.shape)) * measures.NOISE

    found = figures(Itself(), oracle_of("coulomb", 0), seed=0, exam=500)
    assert found["mmd_p"] > 0.01
    assert found["c2st"] == pytest.approx(0.5, abs=0.065)  # four deviations
    assert found["rutherford"] < 2
    assert found["rutherford_simulator"] < 2
    assert found["beyond_90"] == pytest.approx(1, abs=0.2)
