"""A scattering experiment: the particle, the fixed charges it meets, the chamber's rim where it enters and is detected.

Units are ASE's: eV, angstrom, femtosecond and atomic mass unit. Inside, the unit of time is angstrom sqrt(u / eV), in
which a particle of mass m has the speed sqrt(2 E / m).

Everything happens in a plane. The beam comes along +x from far away, where it has the kinetic energy E and the impact
parameter b: far from the target its line is y = b. The chamber is the disc of radius R about the target's centre of
charge. A particle is followed from the point where it enters the disc to the point where it leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import constants

Array = NDArray[np.float64]

#: e^2 / (4 pi epsilon_0) in eV angstrom: the strength of two unit charges.
COULOMB = constants.elementary_charge / (4 * math.pi * constants.epsilon_0) / constants.angstrom
#: The inner unit of time, angstrom sqrt(u / eV), in femtoseconds.
TIME_UNIT = constants.angstrom * math.sqrt(constants.atomic_mass / constants.electron_volt) / constants.femto
PROTON_MASS = constants.proton_mass / constants.atomic_mass
#: Nodes and weights on [-1, 1] for what happens outside the chamber.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


class Events(NamedTuple):
    """What is shot, one entry an event (n,).

    Energy (eV) and impact parameter (angstrom) far away, the product of the charge numbers of particle and target
    (negative attracts), and the inverse screening length (1/angstrom; 0 is Coulomb's law).
    """

    energy: Array
    impact_parameter: Array
    charge: Array
    screening: Array


def events(energy: Any, impact_parameter: Any, charge: Any = 1.0, screening: Any = 0.0) -> Events:
    """Events from numbers or arrays that broadcast together; raises ValueError for what is not physical."""
    given = map(np.atleast_1d, (energy, impact_parameter, charge, screening))
    found = Events(*(np.array(column, dtype=np.float64) for column in np.broadcast_arrays(*given)))
    if not all(np.isfinite(column).all() for column in found):
        raise ValueError("an energy, impact parameter, charge or screening is not finite")
    if not (found.energy > 0).all():
        raise ValueError("an energy is not positive: particles that come from far away have some")
    if not (found.screening >= 0).all():
        raise ValueError("a screening is negative: it is an inverse length")
    return found


@dataclass(frozen=True)
class Setup:
    """`centres` (c x 3) are x, y (angstrom) and share of the charge of each fixed centre, about their centre of charge.

    `radius` (angstrom) is the chamber's, `mass` (u) the particle's; `cyclotron` (rad/fs) is q B / m of a magnetic field
    that stands perpendicular to the plane and fills the chamber (positive turns particles clockwise).
    """

    centres: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 1.0),)
    radius: float = 100.0
    mass: float = PROTON_MASS
    cyclotron: float = 0.0

    def __post_init__(self) -> None:
        table = np.array(self.centres, dtype=np.float64).reshape(-1, 3)
        if len(table) == 0 or not np.isfinite(table).all():
            raise ValueError("centres are rows of x, y and share of the charge, and there is at least one")
        if not (self.radius > 0 and self.mass > 0 and math.isfinite(self.radius) and math.isfinite(self.mass)):
            raise ValueError("the radius of the chamber and the mass are positive")
        if not math.isfinite(self.cyclotron):
            raise ValueError("the cyclotron frequency is not finite")
        share = table[:, 2].sum()
        table[:, :2] -= (table[:, 2] @ table[:, :2] / share) if abs(share) > 1e-9 else table[:, :2].mean(axis=0)
        if np.hypot(table[:, 0], table[:, 1]).max() > 0.5 * self.radius:
            raise ValueError("a centre lies outside the inner half of the chamber. Enlarge the radius")
        object.__setattr__(self, "centres", tuple(map(tuple, table.tolist())))

    @property
    def table(self) -> Array:
        """The centres as an array, ``c x 3``."""
        return np.array(self.centres, dtype=np.float64)

    @property
    def total(self) -> float:
        """The sum of the centres' shares."""
        return float(self.table[:, 2].sum())

    @property
    def settings(self) -> Mapping[str, Any]:
        """What changes the answers, as JSON data."""
        return {
            "centres": [list(centre) for centre in self.centres],
            "radius": self.radius,
            "mass": self.mass,
            "cyclotron": self.cyclotron,
        }


def potential(setup: Setup, shot: Events, x: Array, y: Array) -> Array:
    """Potential energy in eV at the places x, y (n,) of events (n,)."""
    value = np.zeros(np.broadcast(x, shot.charge).shape)
    for cx, cy, share in setup.centres:
        distance = np.hypot(x - cx, y - cy)
        value += COULOMB * shot.charge * share / distance * np.exp(-shot.screening * distance)
    return value


def angular_momentum(setup: Setup, shot: Events) -> Array:
    """The beam's angular momentum about the centre of charge, in inner units: -b sqrt(2 m E), shape (n,)."""
    return -shot.impact_parameter * np.sqrt(2 * setup.mass * shot.energy)


def entrance(setup: Setup, shot: Events) -> Array:
    """Where and how fast events enter the chamber: x, y, v_x, v_y, ``n x 4`` in inner units; NaN where they never do.

    The target pulls already outside the chamber. There it acts as if all its charge were at its centre, so energy and
    angular momentum are kept, and the angle by which the particle has gone round the target when it reaches the rim is

        phi = int_0^{1/R} L du / sqrt(2 m (E - V(1/u)) - L^2 u^2),   u = 1/r

    (Landau and Lifshitz, Mechanics, section 14). For one centre this is exact, and a Coulomb centre's events start on
    their hyperbola. With u = (1 - t^2) / R the integrand is smooth even where the root vanishes on the rim, for events
    that graze it or turn there. For several, the terms left out fall as (size / R)^2; the speed is
    that of the energy in the full potential.
    """
    l_z = angular_momentum(setup, shot)[:, None]
    t = (_NODES + 1) / 2
    u = (1 - t**2) / setup.radius
    strength = COULOMB * shot.charge[:, None] * setup.total
    with np.errstate(invalid="ignore", divide="ignore"):
        barrier = strength * u * np.exp(-shot.screening[:, None] / u)
        square = 2 * setup.mass * (shot.energy[:, None] - barrier) - (l_z * u) ** 2
        phi = (l_z * t / np.sqrt(square)) @ _WEIGHTS / setup.radius
        x, y = -setup.radius * np.cos(phi), -setup.radius * np.sin(phi)
        kinetic = 2 * (shot.energy - potential(setup, shot, x, y)) / setup.mass
        tangential = l_z[:, 0] / (setup.mass * setup.radius)
        radial = -np.sqrt(kinetic - tangential**2)
    c, s = x / setup.radius, y / setup.radius
    return np.stack([x, y, radial * c - tangential * s, radial * s + tangential * c], axis=1)
