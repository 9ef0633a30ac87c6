"""Windows of exact foams as one array of films, and back: all that the simulator knows of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theoros.oracles.physics.foam.network import Floats, Foam, Topology

#: A row is a film of a frame; times, areas and pressures are in the simulator's units.
COLUMNS = (
    "frame",
    "time",
    "first vertex",
    "last vertex",
    "first x",
    "first y",
    "last x",
    "last y",
    "wrap x",
    "wrap y",
    "half angle",
    "left bubble",
    "right bubble",
    "left area",
    "right area",
    "left pressure",
    "right pressure",
)


def films_of(frames: Sequence[Foam]) -> Floats:
    """All films of all frames: rows x `COLUMNS`."""
    blocks = []
    for number, foam in enumerate(frames):
        edges, cells = foam.edges, foam.cells
        count = len(edges)
        blocks.append(
            np.column_stack(
                [
                    np.full(count, number),
                    np.full(count, foam.time),
                    edges,
                    foam.vertices[edges[:, 0]],
                    foam.vertices[edges[:, 1]],
                    foam.wraps,
                    foam.half_angles,
                    foam.ids[cells],
                    foam.areas[cells],
                    foam.pressures[cells],
                ]
            )
        )
    return np.concatenate(blocks).astype(np.float64)


def foams_of(films: Floats) -> tuple[Foam, ...]:
    """The frames whose films these are. Raises ValueError for an array of other columns."""
    if films.ndim != 2 or films.shape[1] != len(COLUMNS):
        raise ValueError(f"films have {len(COLUMNS)} columns ({', '.join(COLUMNS)}), and these are {films.shape}")
    return tuple(_foam(films[films[:, 0] == number]) for number in np.unique(films[:, 0]))


def _foam(rows: Floats) -> Foam:
    edges = rows[:, 2:4].astype(np.int64)
    vertices = np.empty((int(edges.max()) + 1, 2))
    vertices[edges[:, 0]], vertices[edges[:, 1]] = rows[:, 4:6], rows[:, 6:8]
    ids, cells = np.unique(rows[:, 11:13].astype(np.int64), return_inverse=True)
    cells = cells.reshape(-1, 2)
    areas, pressures = np.empty(len(ids)), np.empty(len(ids))
    for side in (0, 1):
        areas[cells[:, side]], pressures[cells[:, side]] = rows[:, 13 + side], rows[:, 15 + side]
    topology = Topology(edges, rows[:, 8:10].astype(np.int64), cells)
    return Foam(topology, vertices, rows[:, 10].copy(), ids, areas, pressures, float(rows[0, 1]))
