"""The foam oracle's two levels, the exact simulator and the Potts model, on the same windows.

    python -m benchmarks.foam_levels --windows 12 --lattices 16

``--windows``: foams of 64 bubbles with disorder and age at random, 20 frames of 64 x 64 pixels. `foam_levels.csv` has
what each level answers and the processor seconds that it took, compiling left out.

``--lattices``: the Potts model's von Neumann law, from 128 bubbles on 128 x 128 sites. `foam_potts.csv` has the slope
of a bubble's growth (sites per sweep) over its number of sides, and the number of sides at which a bubble keeps its
size.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.oracles.physics.foam import raster, voronoi
from theoros.oracles.physics.foam.movie import Window, exact_movie, potts_movie
from theoros.oracles.physics.foam.potts import contacts, sites, sweep

PACKAGES = ("numpy", "scipy", "numba")
LEVELS = Table("foam_levels", keys=("seed",))
LATTICES = Table("foam_potts", keys=("seed",))
ANSWERS = ("growth_rate", "mu2", "t1_events")
SWEEPS, INTERVALS = 10, 8


def window(seed: int) -> Window:
    """The window `seed`: 64 bubbles, any disorder, up to two half-lives."""
    rng = np.random.default_rng(seed)
    return Window(64, round(float(rng.uniform(0, 1)), 2), round(float(rng.uniform(0, 2)), 2), seed)


def both(seed: int) -> dict[str, Any]:
    """What both levels answer for window `seed`."""
    potts_movie(Window(12, 0.5, 0.0, 0, frames=2, pixels=32))  # compiles
    found: dict[str, Any] = {"disorder": window(seed).disorder, "age": window(seed).age}
    for name, level in (("cheap", potts_movie), ("exact", exact_movie)):
        begin = time.process_time()
        movie = level(window(seed))
        found[f"{name}_seconds"] = round(time.process_time() - begin, 3)
        for answer in ANSWERS:
            found[f"{name}_{answer}"] = round(float(getattr(movie, answer)), 4)
    return found


def law(seed: int) -> dict[str, Any]:
    """Fit a bubble's growth over its sides, in intervals of ten sweeps after forty."""
    rng = np.random.default_rng(seed)
    labels = sweep(raster(voronoi(128, 0.5, seed), 128), 40, rng)
    gains, sides = [], []
    for _ in range(INTERVALS):
        before, labels = labels, sweep(labels, SWEEPS, rng)
        counts = [np.bincount(contacts(image).reshape(-1), minlength=128) for image in (before, labels)]
        there = (sites(before, 128) > 20) & (sites(labels, 128) > 20)
        sides.append(0.5 * (counts[0] + counts[1])[there])
        gains.append((sites(labels, 128) - sites(before, 128))[there] / SWEEPS)
    slope, offset = np.polyfit(np.concatenate(sides), np.concatenate(gains), 1)
    return {"slope": round(float(slope), 4), "neutral_sides": round(float(-offset / slope), 4)}


def report() -> None:
    """Print what the tables say."""
    rows = LEVELS.rows()
    if rows:
        ratio = np.array(column(rows, "cheap_seconds")) / np.array(column(rows, "exact_seconds"))
        print(f"{'cheap/exact seconds':>20} {spread(ratio.tolist())}")
        for answer in ANSWERS:
            cheap, exact = (np.array(column(rows, f"{level}_{answer}")) for level in ("cheap", "exact"))
            off = cheap - exact
            print(
                f"{answer:>20} cheap less exact {off.mean():+.3f} +- {off.std(ddof=1) / np.sqrt(len(off)):.3f}", end=""
            )
            print(f", correlation {np.corrcoef(cheap, exact)[0, 1]:.2f}, exact {exact.mean():.3f}")
    for name in ("slope", "neutral_sides"):
        values = column(LATTICES.rows(), name)
        if values:
            error = np.std(values, ddof=1) / np.sqrt(len(values))
            print(f"{name:>20} {np.mean(values):.4f} +- {error:.4f} (n = {len(values)})")


def main() -> None:
    """Read the command line, measure what is missing, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--lattices", type=int, default=16)
    arguments = parser.parse_args()
    for table, count, measure in ((LATTICES, arguments.lattices, law), (LEVELS, arguments.windows, both)):
        for seed in range(count):
            if not table.has(seed=seed):
                table.append(PACKAGES, seed=seed, **apart(measure, seed))
    report()


if __name__ == "__main__":
    main()
