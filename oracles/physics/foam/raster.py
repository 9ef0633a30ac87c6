"""A foam as an image: which bubble covers the middle of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.physics.foam.network import Floats, Foam, Integers, chords

#: Arcs are drawn as polygons whose corners leave at most this share of a pixel between polygon and arc.
ROUNDNESS = 0.01


def raster(foam: Foam, pixels: int) -> NDArray[np.int32]:
    """The ids of the bubbles at the middles of ``pixels x pixels`` pixels, as ``image[row, column]``.

    Column j has x = (j + 0.5) / pixels and row i has y = (i + 0.5) / pixels. A bubble between the middles of pixels has
    none. Each row of pixels is cut by the films that cross it, and takes the bubble on the right of each cut.
    """
    start, end, cells = _polygons(foam, pixels)
    row, x, bubble = _cuts(start, end, cells, pixels)
    order = np.lexsort((x, row))
    row, x, bubble = row[order], x[order], bubble[order]
    if len(np.unique(row)) < pixels:
        raise ValueError(f"{foam.bubbles} bubbles are too few to draw: one goes all round the box.")
    # The last cut at or before each pixel; before the first cut of a row, the last one of the row counts.
    rows, columns = np.mgrid[:pixels, :pixels].reshape(2, -1)
    last = np.searchsorted(row + x, rows + (columns + 0.5) / pixels, side="right") - 1
    row_ends = np.searchsorted(row, np.arange(pixels), side="right") - 1
    last = np.where((last >= 0) & (row[last] == rows), last, row_ends[rows])
    return np.asarray(foam.ids[bubble[last]].reshape(pixels, pixels), dtype=np.int32)


def _polygons(foam: Foam, pixels: int) -> tuple[Floats, Floats, Integers]:
    """All films cut into M straight pieces: first and last ends (M x 2 each), left and right bubble (M x 2)."""
    chord = chords(foam.topology, foam.vertices)
    a = foam.half_angles
    # The sagitta of a piece of half-angle a / k is about chord a / (4 k^2).
    height = np.hypot(*chord.T) * np.abs(a) / 4 * pixels
    pieces = np.maximum(1, np.ceil(np.sqrt(height / ROUNDNESS))).astype(np.int64)
    film = np.repeat(np.arange(len(pieces)), pieces)
    number = np.arange(len(film)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = foam.vertices[foam.edges[:, 0]][film]
    ends = [start + _on_arc(chord[film], a[film], (number + k) / pieces[film]) for k in (0, 1)]
    return ends[0], ends[1], foam.cells[film]


def _on_arc(chord: Floats, half_angle: Floats, share: Floats) -> Floats:
    """Where an arc is after a `share` of its length, from its first end, M x 2; chord is M x 2, the others M.

    With u = 2 share - 1, the arc leaves the chord's middle by sin(u a) / sin a half-chords along it, and by
    (cos(u a) - cos a) / sin a half-chords to its right.
    """
    a = np.where(np.abs(half_angle) < 1e-8, 1e-8, half_angle)
    u = 2 * share - 1
    along = 0.5 * (1 + np.sin(u * a) / np.sin(a))
    bulge = 0.5 * (np.cos(u * a) - np.cos(a)) / np.sin(a)
    right = np.stack([chord[:, 1], -chord[:, 0]], axis=1)
    return np.asarray(along[:, None] * chord + bulge[:, None] * right)


def _cuts(start: Floats, end: Floats, cells: Integers, pixels: int) -> tuple[Integers, Floats, Integers]:
    """Where straight pieces cross rows of pixels: row, x in the box, and the bubble on the side of larger x."""
    y0, y1 = start[:, 1] * pixels - 0.5, end[:, 1] * pixels - 0.5
    upward = y1 > y0
    low, high = np.ceil(np.minimum(y0, y1)).astype(np.int64), np.ceil(np.maximum(y0, y1)).astype(np.int64)
    count = high - low  # rows with low <= row < high: a shared end counts once
    piece = np.repeat(np.arange(len(count)), count)
    row = low[piece] + np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
    share = (row - y0[piece]) / (y1 - y0)[piece]
    x = start[piece, 0] + share * (end[piece, 0] - start[piece, 0])
    return row % pixels, x % 1.0, np.where(upward[piece], cells[piece, 1], cells[piece, 0])
