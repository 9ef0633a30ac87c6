"""Categories as points: distances are kept, and what is alike lies near."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from theoros.models.embedding import MOST_COORDINATES, coordinates, from_descriptors, from_smiles


def squared(points):
    return ((points[:, None] - points[None]) ** 2).sum(-1)


@given(arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.floats(-2, 2, width=32)))
def test_distances_of_points_are_kept_up_to_one_factor(points):
    found = squared(coordinates(squared(points)))
    wanted = squared(points)
    if wanted.max() < 1e-6:
        return
    factor = found.max() / wanted.max()
    assert np.allclose(found, factor * wanted, atol=0.03 * found.max())


def test_the_widest_coordinate_is_the_unit_interval():
    points = coordinates(squared(np.random.default_rng(0).normal(size=(30, 20))))
    assert points.shape == (30, MOST_COORDINATES)
    assert points.min() == 0
    assert points.max() == 1


def test_alcohols_lie_together_and_far_from_arenes():
    alcohols, arenes = ("CO", "CCO", "CCCO"), ("c1ccccc1", "Cc1ccccc1", "CCc1ccccc1")
    distance = squared(from_smiles(alcohols + arenes))
    within = max(distance[:3, :3].max(), distance[3:, 3:].max())
    assert within < distance[:3, 3:].min()


def test_a_descriptor_counts_in_units_of_its_spread_and_a_constant_one_not_at_all():
    rows = [[0.0, 1e6, 7.0], [1.0, 2e6, 7.0], [2.0, 4e6, 7.0]]
    scaled = [[row[0] * 1000, row[1] / 1e5, 3.0] for row in rows]
    assert np.allclose(squared(from_descriptors(rows)), squared(from_descriptors(scaled)))


def test_categories_that_are_all_alike_have_one_place():
    assert np.array_equal(from_descriptors([[1.0], [1.0], [1.0]]), np.zeros((3, 1)))
