"""The foam simulator: does every foam coarsen, how fast, and do its laws hold all along?

    python -m benchmarks.foam --foams 50

Random foams of 64 to 400 bubbles and any disorder, the smallest first, from Voronoi cells to a quarter of the bubbles.
`law_error` is the largest departure from von Neumann's law over K0, and `angle_error` that from 120 degrees, in any
state on the way; `gas_error` is that of the gas altogether. `mu2` and the growth rates, d<A>/dt over K0, are those
after half of the bubbles have gone: between N/2 and 0.354 N bubbles (early) and from there to N/4 (late). They are
equal where <A> grows linearly. `cpu_seconds` leaves the measuring out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any

import numpy as np

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.oracles.failures import NotConverged
from theoros.oracles.physics.foam import K0, T1, Foam, equilibrate, voronoi
from theoros.oracles.physics.foam.coarsening import evolve
from theoros.oracles.physics.foam.equilibrium import relax
from theoros.oracles.physics.foam.measures import angle_error, law_error, side_variance

PACKAGES = ("numpy", "scipy", "numba")
RUNS = Table("foam", keys=("bubbles", "disorder", "seed"))


def drawn(seed: int) -> tuple[int, float]:
    """The number of bubbles and the disorder of random foam `seed`."""
    rng = np.random.default_rng(seed)
    return int(rng.integers(64, 401)), round(float(rng.uniform(0, 1)), 2)


def run(bubbles: int, disorder: float, seed: int) -> dict[str, Any]:
    """Coarsen one foam to a quarter of its bubbles and measure it on the way."""
    begin = time.process_time()
    states, steps, t1, measuring = [voronoi(bubbles, disorder, seed)], 0, 0, 0.0
    worst, failure = {"law": 0.0, "angle": 0.0, "gas": 0.0}, ""
    try:
        state = relax(equilibrate(states[0]))
        while state.foam.bubbles > bubbles // 4:
            state, events = evolve(state, np.inf)
            steps, t1 = steps + 1, t1 + sum(isinstance(event, T1) for event in events)
            paused = time.process_time()
            foam = state.foam
            worst["law"] = max(worst["law"], law_error(foam))
            worst["angle"] = max(worst["angle"], angle_error(foam))
            worst["gas"] = max(worst["gas"], abs(float(foam.areas.sum()) - 1))
            states.append(foam)
            measuring += time.process_time() - paused
    except NotConverged as error:
        failure = str(error)
    seconds = time.process_time() - begin - measuring
    return {
        "left": states[-1].bubbles,
        "failure": failure,
        "steps": steps,
        "t1": t1,
        "cpu_seconds": round(seconds, 2),
        "ms_per_step": round(1000 * seconds / max(steps, 1), 2),
        "law_error": f"{worst['law']:.1e}",
        "angle_error": f"{worst['angle']:.1e}",
        "gas_error": f"{worst['gas']:.1e}",
        **_scaling(states),
    }


def _scaling(states: list[Foam]) -> dict[str, Any]:
    """Growth rates of the mean area, and mu2 averaged over time, after half of the bubbles have gone."""
    start = states[0].bubbles
    marks = [next((foam for foam in states if foam.bubbles <= share * start), None) for share in (0.5, 0.354, 0.25)]
    rates = [
        round((b.mean_area - a.mean_area) / (K0 * (b.time - a.time)), 4) if a and b else ""
        for a, b in itertools.pairwise(marks)
    ]
    late = [foam for foam in states if foam.bubbles <= start / 2]
    spent = np.diff([foam.time for foam in late])
    mu2 = round(float(np.average([side_variance(f) for f in late[:-1]], weights=spent)), 4) if spent.sum() > 0 else ""
    return {"growth_rate_early": rates[0], "growth_rate_late": rates[1], "mu2": mu2}


def report() -> None:
    """Print what the tables say."""
    rows = RUNS.rows()
    if rows:
        whole = [row for row in rows if not row["failure"]]
        print(f"\n{len(whole)} of {len(rows)} foams came down to a quarter of their bubbles")
        for name in ("cpu_seconds", "ms_per_step", "law_error", "angle_error", "gas_error"):
            print(f"{name:>20} {spread(column(whole, name))}")
        for name in ("growth_rate_early", "growth_rate_late", "mu2"):
            values = column(whole, name)
            print(f"{name:>20} {np.mean(values):.3f} +- {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}")


def main() -> None:
    """Read the command line, measure what is missing, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--foams", type=int, default=50)
    arguments = parser.parse_args()
    for bubbles, disorder, seed in sorted((*drawn(seed), seed) for seed in range(arguments.foams)):
        if not RUNS.has(bubbles=bubbles, disorder=disorder, seed=seed):
            RUNS.append(PACKAGES, bubbles=bubbles, disorder=disorder, seed=seed, **apart(run, bubbles, disorder, seed))
    report()


if __name__ == "__main__":
    main()
