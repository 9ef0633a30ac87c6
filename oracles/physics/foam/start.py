"""Where a foam starts: the Voronoi cells of points on the torus, with straight films."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay

from theoros.oracles.physics.foam.network import Floats, Foam, Integers, Topology, chords, measured_areas

#: Fewer points than this may have no proper Delaunay triangles on the torus.
FEWEST_POINTS = 12
#: With fewer bubbles than this, one may reach all round the box.
FEWEST_BUBBLES = 8
#: No bubble starts with less gas than this share of the mean.
LEAST_SHARE = 0.1
TILES = np.array([[x, y] for x in (0, -1, 1) for y in (0, -1, 1)])


def voronoi(bubbles: int, disorder: float, seed: int) -> Foam:
    """A foam of `bubbles` Voronoi cells, not yet in equilibrium; the same for the same arguments.

    Points drawn uniformly are evened out by ten of Lloyd's steps (doi:10.1109/TIT.1982.1056489), and then each is moved
    by a Gaussian of `disorder` mean spacings: 0 gives nearly equal bubbles, 1 about those of independent points.
    Raises ValueError for fewer than 12 bubbles, or a negative disorder.
    """
    if bubbles < FEWEST_POINTS or not 0 <= disorder < np.inf:
        raise ValueError(
            f"{bubbles} bubbles with disorder {disorder}: a periodic foam needs {FEWEST_POINTS} bubbles or more, "
            "and a disorder that is not negative."
        )
    rng = np.random.default_rng(seed)
    points = rng.random((bubbles, 2))
    for _ in range(10):
        points = _centroids(points)
    return foam_of(points + rng.standard_normal(points.shape) * disorder / np.sqrt(bubbles))


def honeycomb(rows: int, columns: int) -> Foam:
    """`rows` x `columns` equal six-sided bubbles with straight films; `rows` is even. It never coarsens.

    Raises ValueError for odd rows or fewer than 12 bubbles.
    """
    if rows % 2 or rows * columns < FEWEST_POINTS:
        raise ValueError(f"{rows} x {columns}: a honeycomb needs an even number of rows and {FEWEST_POINTS} bubbles.")
    row, column = np.divmod(np.arange(rows * columns), columns)
    return foam_of(np.stack([(column + 0.5 * (row % 2) + 0.25) / columns, (row + 0.5) / rows], axis=1))


def foam_of(points: Floats) -> Foam:
    """The Voronoi foam of `points` (N x 2) on the torus; bubble i is the cell of point i."""
    points = points % 1.0
    count = len(points)
    bubbles, tiles = _triangles(points)
    topology = _dual(bubbles, tiles)
    vertices = _circumcentres(points[bubbles] + tiles)
    areas = np.maximum(measured_areas(topology, vertices, np.zeros(3 * count)), LEAST_SHARE / count)
    return Foam(topology, vertices, np.zeros(3 * count), np.arange(count), areas / areas.sum(), np.zeros(count))


def _triangles(points: Floats) -> tuple[Integers, Integers]:
    """The 2 N Delaunay triangles on the torus, counterclockwise: their points (2 N x 3) and tiles (2 N x 3 x 2)."""
    count = len(points)
    tiled = (points[None] + TILES[:, None]).reshape(-1, 2)
    simplices = Delaunay(tiled).simplices.astype(np.int64)
    simplices = simplices[(simplices < count).any(axis=1)]  # farther out, the tiling's rim distorts them
    side = np.diff(tiled[simplices], axis=1)
    clockwise = side[:, 0, 0] * side[:, 1, 1] < side[:, 0, 1] * side[:, 1, 0]
    simplices[clockwise] = simplices[clockwise][:, ::-1]
    bubbles, tiles = simplices % count, TILES[simplices // count]
    # Turn each triangle until its lowest point leads, and move that one into the box: so its copies become equal.
    turn = (np.argmin(bubbles, axis=1)[:, None] + np.arange(3)) % 3
    bubbles = np.take_along_axis(bubbles, turn, axis=1)
    tiles = np.take_along_axis(tiles, turn[:, :, None], axis=1)
    tiles = tiles - tiles[:, :1]
    _, chosen = np.unique(np.concatenate([bubbles, tiles.reshape(-1, 6)], axis=1), axis=0, return_index=True)
    if len(chosen) != 2 * count:
        raise ValueError(f"{count} points have {len(chosen)} Delaunay triangles on the torus instead of {2 * count}")
    return bubbles[chosen], tiles[chosen]


def _dual(bubbles: Integers, tiles: Integers) -> Topology:
    """The films between the triangles that share a side: vertex t is triangle t."""
    after = np.roll(bubbles, -1, axis=1), np.roll(tiles, -1, axis=1)
    triangle = np.repeat(np.arange(len(bubbles)), 3)
    start, end = bubbles.reshape(-1), after[0].reshape(-1)
    place, step = tiles.reshape(-1, 2), (after[1] - tiles).reshape(-1, 2)
    end_place = after[1].reshape(-1, 2)
    forth = np.flatnonzero(start < end)
    back = np.flatnonzero(start > end)
    forth = forth[np.lexsort((step[forth, 1], step[forth, 0], end[forth], start[forth]))]
    back = back[np.lexsort((-step[back, 1], -step[back, 0], start[back], end[back]))]
    edges = np.stack([triangle[forth], triangle[back]], axis=1)
    wraps = place[forth] - end_place[back]
    return Topology(edges, wraps, np.stack([end[forth], start[forth]], axis=1))


def _centroids(points: Floats) -> Floats:
    """The centroids (N x 2) of the Voronoi cells of `points`: one step of Lloyd's."""
    foam = foam_of(points)
    topology = foam.topology
    start = foam.vertices[topology.tail] + topology.shifts
    end = start + np.stack([d := chords(topology, foam.vertices), -d], axis=1).reshape(-1, 2)
    swept = 0.5 * (start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0])
    moments = np.stack([np.bincount(topology.left, swept * (start + end)[:, k] / 3) for k in (0, 1)], axis=1)
    return np.asarray(moments / np.bincount(topology.left, swept)[:, None])


def _circumcentres(corners: Floats) -> Floats:
    """The circumcentres (M x 2) of triangles (M x 3 x 2)."""
    b, c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
    x = (c[:, 1] * bb - b[:, 1] * cc) / twice
    y = (b[:, 0] * cc - c[:, 0] * bb) / twice
    return np.asarray(corners[:, 0] + np.stack([x, y], axis=1))
