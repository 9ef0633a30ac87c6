"""Beams are bent as often as Rutherford counted, and detectors err as they are told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chisquare, kstest

from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics.scattering_events import (
    Detector,
    detect,
    free_time,
    measure,
    rutherford_shares,
    uniform_beam,
)
from theoros.oracles.physics.scattering_motion import fly
from theoros.oracles.physics.scattering_setup import TIME_UNIT, Setup, events


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_simulated_angles_are_distributed_as_rutherfords_cross_section(charge):
    """Chi-square of the histogram of 10,000 angles from a beam that fills 3 angstrom."""
    rng, energy, radius = np.random.default_rng(11), 14.4, 3.0
    shot = uniform_beam(10_000, energy, charge, radius, rng)
    angles = np.abs(fly(Setup(radius=1e4), shot).angle)
    least = 2 * np.arctan(1 / (2 * radius))  # K / (2 E b) at the beam's edge, nearly: K / E is 1.00 angstrom
    edges = np.concatenate([[0.9 * least], np.linspace(least * 1.1, np.pi, 20)])
    shares = rutherford_shares(edges, energy, charge, radius)
    assert shares.sum() == pytest.approx(1, rel=1e-12)
    counts = np.histogram(angles, edges)[0]
    assert counts.sum() == 10_000
    assert 0.01 < chisquare(counts, 10_000 * shares).pvalue < 0.99


def test_expected_shares_are_the_integral_of_the_cross_section():
    edges, energy, radius = np.array([0.5, 1.0, 2.0, 3.0]), 14.4, 5.0
    integrals = [
        quad(lambda t: 2 * np.pi * np.sin(t) * exact.cross_section(np.array(t), energy, 1.0), low, high)[0]
        for low, high in itertools.pairwise(edges)
    ]
    assert rutherford_shares(edges, energy, 1.0, radius) == pytest.approx(
        np.array(integrals) / (np.pi * radius**2), rel=1e-9
    )


def test_a_beam_fills_its_disc_evenly():
    shot = uniform_beam(5000, 10.0, 1.0, 2.0, np.random.default_rng(0))
    assert kstest((shot.impact_parameter / 2) ** 2, "uniform").pvalue > 0.01


def test_a_detectors_errors_have_the_deviations_asked_for():
    setup, shot = Setup(), events(np.full(20_000, 14.4), 1.0)
    hits = measure(setup, Detector(2.0, 5.0), shot, np.random.default_rng(0))
    flights = fly(setup, events(14.4, 1.0))
    for values, truth, sd in (
        (hits.x, flights.x, 2.0),
        (hits.y, flights.y, 2.0),
        (hits.time, flights.time, 5.0),
    ):
        assert values.std() == pytest.approx(sd, rel=0.02)
        assert values.mean() == pytest.approx(truth[0], abs=4 * sd / np.sqrt(20_000))
    assert np.corrcoef([hits.x, hits.y, hits.time]) == pytest.approx(np.eye(3), abs=0.03)


def test_without_noise_a_detector_sees_the_truth():
    shot = events([14.4, 40.0], [1.0, -0.5])
    flights = fly(Setup(), shot)
    hits = detect(Detector(), flights, np.random.default_rng(0))
    assert (hits.x == flights.x).all()
    assert (hits.time == flights.time).all()


def test_a_detector_sees_what_its_acceptance_covers():
    shot = events(14.4, [-0.01, 0.01, 0.5, 3.0])
    degrees = np.degrees(np.abs(fly(Setup(), shot).polar))
    hits = measure(Setup(), Detector(acceptance=(30, 150)), shot, np.random.default_rng(0))
    assert list(hits.seen) == [False, False, True, False]
    assert list(hits.seen) == list((degrees >= 30) & (degrees <= 150))
    assert np.isnan(hits.x[~hits.seen]).all()
    assert measure(Setup(), Detector(), events(14.4, 0.0), np.random.default_rng(0)).seen.all()


def test_free_time_is_that_of_a_particle_without_a_target():
    shot = events([2.0, 50.0], 0.0, 0.0)
    assert free_time(Setup(), shot) * TIME_UNIT == pytest.approx(fly(Setup(), shot).time, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"position": -1.0}, "a detector's noise is a standard deviation, 0 or positive"),
        ({"time": float("inf")}, "a detector's noise is a standard deviation, 0 or positive"),
        (
            {"acceptance": (90, 30)},
            "a detector's acceptance is two angles in degrees, 0 <= low < high <= 180",
        ),
    ],
)
def test_detectors_that_can_not_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Detector(**arguments)
