"""The image of a foam shows each bubble where it is, with the area that it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from theoros.oracles.physics.foam import coarsen_to, equilibrate, honeycomb, raster, voronoi
from theoros.oracles.physics.foam.network import chords


@pytest.fixture(scope="module")
def foam():
    """A foam with strongly bent films."""
    return coarsen_to(equilibrate(voronoi(32, 0.8, 3)), 16).foam


def outline_of(foam, bubble):
    """The outline of `bubble` with 200 points a film, from each film's circle."""
    topology = foam.topology
    chord = chords(topology, foam.vertices)
    points = []
    for half_film in topology.outline(bubble):
        sign = 1 if half_film % 2 == 0 else -1
        d, a = sign * chord[half_film // 2], sign * foam.half_angles[half_film // 2]
        start = foam.vertices[topology.tail[half_film]] + topology.shifts[half_film]
        # The centre lies on the left of the chord, at a distance of radius x cos a.
        radius, left = np.hypot(*d) / (2 * np.sin(a)), np.array([-d[1], d[0]]) / np.hypot(*d)
        centre = start + d / 2 + radius * np.cos(a) * left
        arm = start - centre
        turn = np.linspace(0, 2 * a, 201)[:-1, None]
        points.append(centre + np.cos(turn) * arm + np.sin(turn) * np.array([-arm[1], arm[0]]))
    return np.concatenate(points)


def winding(outline, points):
    """How often the closed `outline` goes round each of the points (M x 2)."""
    to = outline[None] - points[:, None]
    angle = np.arctan2(to[:, :, 1], to[:, :, 0])
    steps = np.diff(np.concatenate([angle, angle[:, :1]], axis=1), axis=1)
    return np.round(((steps + np.pi) % (2 * np.pi) - np.pi).sum(axis=1) / (2 * np.pi)).astype(int)


def test_a_pixel_shows_the_bubble_whose_outline_goes_round_it(foam):
    image = raster(foam, 24)
    wrong = 0
    for bubble in range(foam.bubbles):
        outline = outline_of(foam, bubble)
        low, high = np.floor(outline.min(axis=0) * 24), np.ceil(outline.max(axis=0) * 24)
        column, row = np.mgrid[low[0] : high[0], low[1] : high[1]].reshape(2, -1)
        inside = winding(outline, (np.stack([column, row], axis=1) + 0.5) / 24)
        assert set(inside) == {0, 1}
        shown = image[row.astype(int) % 24, column.astype(int) % 24] == foam.ids[bubble]
        wrong += (~shown & (inside == 1)).sum()
    # Films are drawn to a hundredth of a pixel, so that a pixel or two may fall on the other side.
    assert wrong <= 2


@pytest.mark.parametrize("pixels", [64, 256])
def test_bubbles_have_as_many_pixels_as_area(foam, pixels):
    share = np.bincount(raster(foam, pixels).reshape(-1), minlength=32)[foam.ids] / pixels**2
    perimeter = 4 * np.sqrt(foam.areas)
    assert (np.abs(share - foam.areas) < 0.5 * perimeter / pixels).all()
    assert share.sum() == 1


def test_ids_last_for_life(foam):
    image = raster(foam, 128)
    assert image.dtype == np.int32
    assert set(np.unique(image)) == set(foam.ids)


def test_a_honeycomb_has_bubbles_of_equal_size():
    assert (np.bincount(raster(honeycomb(4, 4), 64).reshape(-1)) == 256).all()


def test_the_image_moves_with_the_foam(foam):
    moved = replace(foam, vertices=foam.vertices + np.array([5 / 64, -3 / 64]))
    assert (raster(moved, 64) == np.roll(raster(foam, 64), (-3, 5), axis=(0, 1))).mean() > 0.999
