"""What is known of a foam in equilibrium, measured: angles, curvatures, and von Neumann's law."""

from __future__ import annotations

import math

import numpy as np

from theoros.oracles.physics.foam.coarsening import K0, rates
from theoros.oracles.physics.foam.network import Floats, Foam, chords


def vertex_angles(foam: Foam) -> Floats:
    """The three angles (degrees) between films at each vertex, 2 N x 3: 120 in equilibrium (Plateau)."""
    topology = foam.topology
    chord = chords(topology, foam.vertices)
    direction = np.arctan2(chord[:, 1], chord[:, 0])
    leaving = np.stack([direction - foam.half_angles, direction + math.pi + foam.half_angles], axis=1).reshape(-1)
    turns = np.sort(leaving[topology.spokes] % (2 * math.pi), axis=1)
    gaps = np.concatenate([turns[:, 1:], turns[:, :1] + 2 * math.pi], axis=1) - turns
    return np.degrees(gaps)


def curvatures(foam: Foam) -> Floats:
    """The curvature of each film, 3 N, positive towards its right bubble: the pressure difference (Laplace)."""
    return np.asarray(2 * np.sin(foam.half_angles) / np.hypot(*chords(foam.topology, foam.vertices).T))


def law_error(foam: Foam) -> float:
    """The largest departure from von Neumann's law ``dA/dt = K0 (n - 6)``, over K0."""
    return float(np.abs(rates(foam) / K0 - (foam.sides - 6)).max())


def angle_error(foam: Foam) -> float:
    """The largest departure of an angle from 120 degrees."""
    return float(np.abs(vertex_angles(foam) - 120).max())


def side_variance(foam: Foam) -> float:
    """The variance of the number of sides, known as mu2."""
    return float(np.var(foam.sides))
