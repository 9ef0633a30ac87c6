"""The foam benchmarks: which windows a design asks for, and what a disturbed start is."""

import numpy as np
import pytest

from benchmarks.foam_twin import DISTURBANCE, disturbed, figures, persistent, simulated
from benchmarks.foam_windows import BUDGETS, DESIGNS, SPACE, curve, windows_of
from theoros.oracles.physics.foam import equilibrate, voronoi


@pytest.fixture(scope="module")
def foam():
    return equilibrate(voronoi(16, 0.4, 3))


@pytest.mark.parametrize("design", ["random", "uniform_age", "sobol"])
def test_a_design_asks_for_distinct_windows_of_the_space_and_repeats(design):
    windows = windows_of(design, 8, seed=1)
    assert len({window.hash for window in windows}) == 8
    for window in windows:
        assert SPACE.candidate(window.data) == window
        assert 48 <= window.data["bubbles"] <= 64
    assert windows == windows_of(design, 8, seed=1)
    assert windows != windows_of(design, 8, seed=2)


@pytest.mark.parametrize("n", BUDGETS)
def test_ages_are_in_equal_steps(n):
    ages = [window.data["age"] for window in windows_of("uniform_age", n, seed=0)]
    np.testing.assert_allclose(np.diff([0, *ages, 1]), [0.5 / n, *[1 / n] * (n - 1), 0.5 / n], atol=1e-9)


def test_an_active_curve_begins_with_sobols_first_row():
    rows = [
        {"design": design, "seed": "0", "windows": str(n), "error": str(1 / n)}
        for design in DESIGNS
        for n in ((2, 4) if design == "std" else (1, 2, 4))
    ]
    found = curve(rows, "std", "0")
    assert [(r["design"], r["events"]) for r in found] == [("sobol", "1"), ("std", "2"), ("std", "4")]
    assert [r["events"] for r in curve(rows, "random", "0")] == ["1", "2", "4"]
    assert curve(rows, "std", "1") == []


def test_a_disturbed_start_has_the_same_bubbles_and_a_little_other_gas(foam):
    interval = 0.02 * foam.mean_area
    (near,) = disturbed(0)([foam], [interval], 2)
    assert len(near.frames) == 3
    start = near.frames[0]
    assert start.areas.sum() == pytest.approx(1)
    np.testing.assert_array_equal(start.ids, foam.ids)
    shares = start.areas / foam.areas - 1
    assert 0 < np.abs(shares).max() < 5 * DISTURBANCE
    assert near.frames[1].time == pytest.approx(interval)
    (again,) = disturbed(0)([foam], [interval], 2)
    np.testing.assert_array_equal(again.frames[2].areas, near.frames[2].areas)


def test_what_foresees_exactly_finds_every_t1_and_persistence_none(foam, monkeypatch):
    monkeypatch.setattr("benchmarks.foam_twin.FRAMES", 8)
    monkeypatch.setattr("benchmarks.foam_twin.EVERY", 2)
    interval = 0.1 * foam.mean_area
    exact = simulated(foam, interval, 8)
    found = figures(lambda starts, times, n: [simulated(s, t, n) for s, t in zip(starts, times, strict=True)], [exact])
    assert found["t1_found"] == found["t1_found_short"] == 1
    assert found["growth_single"] < 1e-12
    still = figures(persistent, [exact])
    assert still["t1_found"] == still["t1_found_short"] == 0
