"""Draws are evenly spread, and those of two seeds have nothing to do with each other."""

import numpy as np
import pytest

from theoros.models.sampling import derived_seed, normal_quasirandom, unit_quasirandom


def test_normal_vectors_have_the_moments_of_a_normal_distribution():
    drawn = normal_quasirandom(1024, 5, seed=3)
    assert drawn.mean(0) == pytest.approx(np.zeros(5), abs=0.01)
    assert np.cov(drawn.T) == pytest.approx(np.eye(5), abs=0.05)
    assert np.array_equal(drawn, normal_quasirandom(1024, 5, seed=3))


def test_normal_vectors_are_the_quasirandom_points_in_another_order():
    drawn, points = normal_quasirandom(64, 1, seed=3)[:, 0], unit_quasirandom(64, 1, seed=3)[:, 0]
    assert np.array_equal(np.argsort(np.argsort(np.sort(drawn))), np.arange(64))
    assert not np.array_equal(np.argsort(drawn), np.argsort(points))


def test_draws_of_two_seeds_are_independent():
    """Scrambled Sobol points of two seeds in their own order are correlated by 0.7 either way: digits agree or not."""
    pairs = [(derived_seed(i, "one"), derived_seed(i, "other")) for i in range(40)]
    own = [np.corrcoef(*(normal_quasirandom(64, 1, s)[:, 0] for s in pair))[0, 1] for pair in pairs]
    ordered = [np.corrcoef(*(unit_quasirandom(64, 1, s)[:, 0] for s in pair))[0, 1] for pair in pairs]
    assert np.abs(ordered).mean() > 0.3
    assert np.abs(own).mean() < 0.15
    assert abs(np.mean(own)) < 0.06
