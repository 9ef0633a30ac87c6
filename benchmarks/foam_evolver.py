"""States of the foam simulator, checked by Surface Evolver.

    python -m benchmarks.foam_evolver --program evolver-nox-d

Surface Evolver (K. A. Brakke, Exp. Math. 1, 141 (1992); Debian's package evolver-nox) is given the topology and the
areas of coarsened foams, with straight films between vertices that are shifted at random by 3 % of the mean spacing. It
finds its own equilibrium, at last with films of fifth order. Compared are the length of all films, the vertices and, as
far as Evolver estimates them, the pressures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Table, column, spread
from theoros.oracles.physics.foam import Foam, coarsen_to, equilibrate, voronoi
from theoros.oracles.physics.foam.network import lengths

TABLE = Table("foam_evolver", keys=("bubbles", "disorder", "seed"))
STATES = ((24, 0.5, 0), (24, 0.5, 1), (24, 1.0, 2), (32, 0.3, 3), (32, 0.8, 4), (48, 0.6, 5))
SHIFT = 0.03
RELAX = (
    "relax_all := { g 20; r; U; g 50; r; g 100; M 2; g 300; hessian_seek; "
    "lagrange 5; U; U; g 200; hessian_seek; hessian_seek; hessian_seek; }"
)
COMMANDS = r"""relax_all
printf "LENGTH %.15g\n", total_energy
foreach body bb do printf "PRESSURE %d %.15g\n", bb.id, bb.pressure
foreach vertex vv where id <= COUNT do printf "VERTEX %d %.15g %.15g\n", vv.id, vv.x, vv.y
q
q
"""


def datafile(foam: Foam, shift: NDArray[np.float64]) -> str:
    """The foam for Surface Evolver, with straight films and its vertices moved by `shift`; ids count from 1."""
    places = foam.vertices + shift
    tiles = np.floor(places).astype(int)
    wraps = foam.wraps + tiles[foam.edges[:, 1]] - tiles[foam.edges[:, 0]]
    lines = ["STRING", "SPACE_DIMENSION 2", "TORUS_FILLED", "PERIODS", "1 0", "0 1", "VERTICES"]
    lines += [f"{i} {x:.17g} {y:.17g}" for i, (x, y) in enumerate(places - tiles, 1)]
    lines.append("EDGES")
    for i, ((first, last), wrap) in enumerate(zip(foam.edges, wraps, strict=True), 1):
        lines.append(f"{i} {first + 1} {last + 1} " + " ".join("*+-"[step] for step in wrap))
    lines.append("FACES")
    for bubble in range(foam.bubbles):
        outline = (str((h // 2 + 1) * (1 if h % 2 == 0 else -1)) for h in foam.topology.outline(bubble))
        lines.append(f"{bubble + 1} " + " ".join(outline))
    lines.append("BODIES")
    lines += [f"{i} {i} VOLUME {area:.17g}" for i, area in enumerate(foam.areas, 1)]
    return "\n".join([*lines, "READ", RELAX, ""])


def check(program: str, bubbles: int, disorder: float, seed: int) -> dict[str, Any]:
    """Let Surface Evolver relax the foam that has `bubbles` left of twice as many, and compare."""
    foam = coarsen_to(equilibrate(voronoi(2 * bubbles, disorder, seed)), bubbles).foam
    shift = SHIFT / np.sqrt(foam.bubbles) * np.random.default_rng(seed).standard_normal(foam.vertices.shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "foam.fe")
        path.write_text(datafile(foam, shift))
        said = subprocess.run(
            [program, "-x", str(path)],
            input=COMMANDS.replace("COUNT", str(len(foam.vertices))),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        ).stdout
    length = float(re.findall(r"^LENGTH ([-\d.e+]+)$", said, re.MULTILINE)[0])
    pressures = np.array([float(p) for p in re.findall(r"^PRESSURE \d+ (\S+)$", said, re.MULTILINE)])
    vertices = np.array([(float(x), float(y)) for x, y in re.findall(r"^VERTEX \d+ (\S+) (\S+)$", said, re.MULTILINE)])
    apart = vertices - foam.vertices
    apart -= np.round(apart)
    spacing = 1 / np.sqrt(foam.bubbles)
    left, right = foam.cells.T
    ours, theirs = (p[left] - p[right] for p in (foam.pressures, pressures))
    return {
        "length": f"{lengths(foam).sum():.13g}",
        "evolver_length": f"{length:.13g}",
        "length_difference": f"{abs(length - lengths(foam).sum()):.1e}",
        "vertex_difference": f"{np.abs(apart - apart.mean(axis=0)).max() / spacing:.1e}",
        "pressure_difference": f"{np.sqrt(((ours - theirs) ** 2).mean() / (ours**2).mean()):.1e}",
    }


def main() -> None:
    """Read the command line, check the states that are missing, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="evolver-nox-d", help="Surface Evolver's program")
    arguments = parser.parse_args()
    for bubbles, disorder, seed in STATES:
        if not TABLE.has(bubbles=bubbles, disorder=disorder, seed=seed):
            found = check(arguments.program, bubbles, disorder, seed)
            TABLE.append(("numpy", "scipy"), bubbles=bubbles, disorder=disorder, seed=seed, **found)
    for name in ("length_difference", "vertex_difference", "pressure_difference"):
        print(f"{name:>20} {spread(column(TABLE.rows(), name))}")


if __name__ == "__main__":
    main()
