"""Many scattering events at once: a beam, a detector with noise and acceptance, and the counts that are expected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.physics.scattering_motion import Flights, fly
from theoros.oracles.physics.scattering_setup import COULOMB, Array, Events, Setup, events


@dataclass(frozen=True)
class Detector:
    """The chamber's rim as a detector.

    It measures where a particle leaves and when, with Gaussian errors of standard deviations `position` (angstrom, of
    either coordinate) and `time` (fs). It sees places whose polar angle to the beam's direction, in degrees and
    whatever its sign, lies in `acceptance`: there may be a hole where the beam goes out, and one where it comes in.
    """

    position: float = 0.0
    time: float = 0.0
    acceptance: tuple[float, float] = (0.0, 180.0)

    def __post_init__(self) -> None:
        if not all(math.isfinite(sd) and sd >= 0 for sd in (self.position, self.time)):
            raise ValueError("a detector's noise is a standard deviation, 0 or positive")
        low, high = self.acceptance
        if not 0 <= low < high <= 180:
            raise ValueError("a detector's acceptance is two angles in degrees, 0 <= low < high <= 180")

    def sees(self, flights: Flights) -> NDArray[np.bool_]:
        """Which flights end on it, shape (n,)."""
        polar = np.degrees(np.abs(flights.polar))
        low, high = self.acceptance
        # Rounding must not lose what goes straight back.
        return np.asarray((flights.how == 0) & (polar >= low) & (polar <= high * (1 + 1e-12)))


@dataclass(frozen=True)
class Hits:
    """What a detector measures of events (n,): `x`, `y` (angstrom), `time` (fs), NaN where it sees nothing."""

    x: Array
    y: Array
    time: Array
    seen: NDArray[np.bool_]


def detect(detector: Detector, flights: Flights, rng: np.random.Generator) -> Hits:
    """Measure flights, each once, with errors from `rng`."""
    seen = detector.sees(flights)
    errors = rng.standard_normal((3, len(seen))) * np.array([[detector.position], [detector.position], [detector.time]])
    x, y, time = np.where(seen, np.stack([flights.x, flights.y, flights.time]) + errors, np.nan)
    return Hits(x, y, time, seen)


def measure(setup: Setup, detector: Detector, shot: Events, rng: np.random.Generator, integrator: str = "fast") -> Hits:
    """Shoot events (n) and detect them: data for training, without an oracle's ceremony."""
    return detect(detector, fly(setup, shot, integrator), rng)


def free_time(setup: Setup, shot: Events) -> Array:
    """How long a particle without a target takes through the chamber's middle, in inner units: 2 R / v, shape (n,)."""
    return np.asarray(2 * setup.radius / np.sqrt(2 * shot.energy / setup.mass))


def uniform_beam(n: int, energy: float, charge: float, radius: float, rng: np.random.Generator) -> Events:
    """Events of a beam that fills a disc of `radius` (angstrom) evenly: b^2 is uniform, b not negative."""
    return events(energy, radius * np.sqrt(rng.random(n)), charge)


def rutherford_shares(edges: Array, energy: float, charge: float, radius: float) -> Array:
    """Which share of a `uniform_beam` Rutherford's cross-section sends into bins of the angle with these `edges` (rad).

    The integral of 2 pi sin(theta) dsigma/dOmega from theta to pi is pi b(theta)^2, b = K / (2 E tan(theta / 2)): shape
    (edges - 1,). Bins reach down to the least angle that the beam's edge is bent by, and no lower.
    """
    b = np.abs(COULOMB * charge) / (2 * energy * np.tan(np.asarray(edges) / 2))
    inside = np.minimum(b, radius) ** 2 / radius**2
    return np.asarray(inside[:-1] - inside[1:])
