"""The Potts model keeps its sites, creates no bubble, and follows von Neumann's law on average."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from theoros.oracles.failures import InvalidCandidate, MissingDependency
from theoros.oracles.physics.foam import raster, voronoi
from theoros.oracles.physics.foam.movie import Window, exact_movie, potts_movie
from theoros.oracles.physics.foam.potts import SITES_PER_SWEEP, check_numba, contacts, sites, sweep


def test_a_sweep_keeps_the_sites_and_makes_no_bubble():
    labels = raster(voronoi(40, 0.5, 0), 64)
    before = labels.copy()
    after = sweep(labels, 20, np.random.default_rng(0))
    assert (labels == before).all()
    assert sites(after, 40).sum() == 64 * 64
    assert set(np.unique(after)) <= set(np.unique(before))
    assert (after != before).any()


def test_the_same_generator_gives_the_same_lattice():
    labels = raster(voronoi(40, 0.5, 0), 64)
    one, two, other = (sweep(labels, 5, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (one == two).all()
    assert (one != other).any()


def test_a_disc_shrinks_at_the_rate_of_its_curvature():
    """In curvature flow every closed border loses 2 pi times the mobility, and a bubble of n sides pi / 3 (n - 6)."""
    row, column = np.mgrid[:96, :96]
    labels = ((row - 48) ** 2 + (column - 48) ** 2 < 30**2).astype(np.int32)
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(8):
        after = sweep(labels, 100, rng)
        runs.append((sites(labels, 2)[1] - sites(after, 2)[1]) / 100)
    assert np.mean(runs) == pytest.approx(6 * SITES_PER_SWEEP, rel=0.1)


def test_bubbles_gain_sites_by_their_number_of_sides():
    """Over 40 sweeps of 4 foams; the slope that the benchmark measured over 16 is `SITES_PER_SWEEP`."""
    gains, sides = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = sweep(raster(voronoi(128, 0.5, seed), 128), 40, rng)
        for _ in range(4):
            before, labels = labels, sweep(labels, 10, rng)
            count = [np.bincount(contacts(image).reshape(-1), minlength=128) for image in (before, labels)]
            there = (sites(before, 128) > 20) & (sites(labels, 128) > 20)
            sides.append((0.5 * (count[0] + count[1]) - 6)[there])
            gains.append((sites(labels, 128) - sites(before, 128))[there] / 10)
    slope, offset = np.polyfit(np.concatenate(sides), np.concatenate(gains), 1)
    assert slope == pytest.approx(SITES_PER_SWEEP, rel=0.1)
    assert abs(offset / slope) < 0.15


def test_contacts_are_pairs_side_by_side_across_the_rim_too():
    image = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]], dtype=np.int32)
    assert contacts(image).tolist() == [[0, 1], [0, 2], [1, 2]]


def test_both_levels_make_the_same_kind_of_movie():
    window = Window(32, 0.5, 0.5, 7, frames=4, interval=0.05, pixels=32)
    exact, cheap = exact_movie(window), potts_movie(window)
    for movie in (exact, cheap):
        assert movie.images.shape == (4, 32, 32)
        assert movie.areas.shape == movie.sides.shape == (4, 32)
        assert movie.areas.sum(axis=1) == pytest.approx(1)
        assert ((movie.areas > 0) == (movie.sides > 0)).all()
        assert (movie.areas[0] > 0).sum() <= window.first_bubbles == 23
        assert (np.diff(movie.mean_areas) >= 0).all()
        for image, areas in zip(movie.images, movie.areas, strict=True):
            assert (areas[np.unique(image)] > 0).all()
    assert exact.sides[0].sum() == 6 * 23
    assert exact.interval == pytest.approx(0.05 / 23 / (np.pi / 3))


@pytest.mark.parametrize("movie", [exact_movie, potts_movie])
def test_a_window_that_outlives_the_foam_is_refused(movie):
    with pytest.raises(InvalidCandidate, match=r"^fewer than 8 bubbles are left before the window ends\."):
        movie(Window(12, 0.5, 0.0, 0, frames=3, interval=2.0, pixels=16))


@pytest.mark.parametrize("movie", [exact_movie, potts_movie])
def test_a_foam_of_six_sided_bubbles_is_refused_rather_than_waited_for(movie):
    with pytest.raises(InvalidCandidate, match="the foam never coarsens"):
        movie(Window(12, 0.0, 0.5, 0, frames=2, pixels=96))


def test_without_numba_the_message_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"Run: pip install 'theoros\[twins\]'$"):
        check_numba()
