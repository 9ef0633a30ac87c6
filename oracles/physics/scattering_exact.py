"""Scattering by one Coulomb centre in closed form (Landau and Lifshitz, Mechanics, sections 15 and 19).

With K = k q1 q2 (positive repels), energy E, impact parameter b and the beam along +x. Angles are signed: a repulsive
centre turns a particle with b > 0 towards +y, by a positive angle.
"""

from __future__ import annotations

import numpy as np

from theoros.oracles.physics.scattering_setup import COULOMB, TIME_UNIT, Array, Events, Setup, angular_momentum


def strength(shot: Events) -> Array:
    """K in eV angstrom, shape (n,)."""
    return np.asarray(COULOMB * shot.charge, dtype=np.float64)


def deflection(shot: Events) -> Array:
    """Rutherford's angle in rad, 2 atan(K / (2 E b)) in [-pi, pi]: from far away to far away, shape (n,)."""
    side = np.where(shot.impact_parameter < 0, -1.0, 1.0)
    return np.asarray(2 * np.arctan2(strength(shot) * side, 2 * shot.energy * np.abs(shot.impact_parameter)))


def eccentricity(shot: Events) -> Array:
    """Of the hyperbola: sqrt(1 + (2 E b / K)^2), shape (n,)."""
    return np.asarray(np.hypot(1.0, 2 * shot.energy * shot.impact_parameter / strength(shot)))


def closest_approach(shot: Events) -> Array:
    """The least distance to the centre in angstrom: (K + sqrt(K^2 + (2 E b)^2)) / 2 E, shape (n,)."""
    k, product = strength(shot), 2 * shot.energy * np.abs(shot.impact_parameter)
    root = np.hypot(k, product)
    with np.errstate(invalid="ignore", divide="ignore"):
        # For attraction the difference of two near numbers is written as a quotient.
        return np.asarray(np.where(k > 0, k + root, product**2 / (root - k)) / (2 * shot.energy))


def cross_section(theta: Array, energy: float, charge: float) -> Array:
    """Rutherford's differential cross-section in angstrom^2 per steradian: (K / 4 E)^2 / sin^4(theta / 2)."""
    return np.asarray((COULOMB * charge / (4 * energy)) ** 2 / np.sin(theta / 2) ** 4)


def runge_lenz(setup: Setup, shot: Events, states: Array) -> Array:
    """The Laplace-Runge-Lenz vector m v x L + m K r/r of states ``n x 4`` in inner units, ``n x 2``; conserved."""
    x, y, vx, vy = states.T
    l_z = setup.mass * (x * vy - y * vx)
    k = setup.mass * strength(shot) / np.hypot(x, y)
    return np.stack([setup.mass * vy * l_z + k * x, -setup.mass * vx * l_z + k * y], axis=1)


def on_the_rim(setup: Setup, shot: Events, *, outgoing: bool) -> Array:
    """The exact states x, y, v_x, v_y (``n x 4``, inner units) where the hyperbola crosses the chamber's rim.

    With the vector A = m v x L + m K r/r, known at infinity, the direction of the radius vector follows from
    A . r/r = m K + L^2 / R and A x r/r = L m v_r; neither is ill-conditioned at b = 0.
    """
    m, radius, l_z, k = setup.mass, setup.radius, angular_momentum(setup, shot), setup.mass * strength(shot)
    a = -k - 1j * np.sqrt(2 * m * shot.energy) * l_z
    tangential = l_z / (m * radius)
    radial = np.sqrt(2 * (shot.energy - k / (m * radius)) / m - tangential**2) * (1 if outgoing else -1)
    direction = a * (k + l_z**2 / radius + 1j * l_z * m * radial) / np.abs(a) ** 2
    velocity = (radial + 1j * tangential) * direction
    return np.stack([radius * direction.real, radius * direction.imag, velocity.real, velocity.imag], axis=1)


def time_of_flight(setup: Setup, shot: Events) -> Array:
    """The exact time in fs from rim to rim, by Kepler's equation of the hyperbola, shape (n,).

    r = a (e cosh F +- 1) and t = sqrt(m a^3 / |K|) (e sinh F +- F) from the closest approach, a = |K| / 2 E; the upper
    signs repel.
    """
    k, e = strength(shot), eccentricity(shot)
    a, sign = np.abs(k) / (2 * shot.energy), np.sign(k)
    f = np.arccosh((setup.radius / a - sign) / e)
    return np.asarray(2 * np.sqrt(setup.mass * a**3 / np.abs(k)) * (e * np.sinh(f) + sign * f) * TIME_UNIT)
