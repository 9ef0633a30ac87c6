"""The cheap level: a foam as a Potts model on a square lattice, where bubbles trade sites at their borders.

The energy counts unlike bonds between sites up to the fourth distance (20 neighbours, which makes it nearly isotropic),
and a Metropolis walk lowers it: J. A. Glazier, M. P. Anderson & G. S. Grest, Phil. Mag. B 62, 615 (1990),
doi:10.1080/13642819008215259. Borders move by their curvature, so that bubbles keep von Neumann's law on average. The
bias: films are never in equilibrium, angles and lengths feel the lattice, and small bubbles are a few noisy sites.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.failures import MissingDependency
from theoros.oracles.physics.foam.network import Integers

Labels = NDArray[np.int32]

OFFSETS = np.array(
    [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1], [2, 0], [-2, 0], [0, 2], [0, -2],
     [2, 1], [2, -1], [-2, 1], [-2, -1], [1, 2], [1, -2], [-1, 2], [-1, -2]],
    dtype=np.int64,
)  # fmt: skip
#: In bonds: warm enough for borders not to stick to the lattice.
TEMPERATURE = 1.0
#: How many sites a bubble of n sides gains in a sweep, over n - 6: measured by `benchmarks/foam_levels.py`.
SITES_PER_SWEEP = 1.02
#: Sites that an average bubble should have at the start, at least.
SITES_PER_BUBBLE = 64


def check_numba() -> None:
    """Raise MissingDependency unless numba is installed."""
    if importlib.util.find_spec("numba") is None:
        raise MissingDependency(
            "the cheap level of foam is compiled by numba, which is not installed. Run: pip install 'theoros[twins]'"
        )


def sweep(labels: Labels, sweeps: float, rng: np.random.Generator) -> Labels:
    """The lattice (L x L) after `sweeps` of L x L attempts each. Raises MissingDependency without numba."""
    check_numba()
    from theoros.oracles.physics.foam.potts_kernel import flip_sites

    labels = labels.copy()
    acceptance = np.exp(-np.arange(len(OFFSETS) + 1) / TEMPERATURE)
    flip_sites(labels, OFFSETS, acceptance, round(sweeps * labels.size), rng)
    return labels


def sites(labels: NDArray[np.int32], bubbles: int) -> Integers:
    """How many sites each of the bubbles 0, 1, ... has."""
    return np.bincount(labels.reshape(-1), minlength=bubbles)


def contacts(labels: NDArray[np.int32]) -> Integers:
    """The pairs of bubbles with sites side by side, each once: M x 2, sorted, the smaller id first."""
    here = np.concatenate([labels.reshape(-1)] * 2)
    there = np.concatenate([np.roll(labels, -1, axis=axis).reshape(-1) for axis in (0, 1)])
    unlike = here != there
    pairs = np.sort(np.stack([here[unlike], there[unlike]], axis=1), axis=1)
    return np.unique(pairs.astype(np.int64), axis=0)
