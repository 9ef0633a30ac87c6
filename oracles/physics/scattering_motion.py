"""Newton's equations for events in a chamber, by a fast integrator and by SciPy's as its referee."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.failures import MissingDependency
from theoros.oracles.physics.scattering_setup import COULOMB, TIME_UNIT, Array, Events, Setup, entrance, potential

INTEGRATORS = ("fast", "dop853")
#: The relative local error of a step of the fast integrator.
TOLERANCE = 1e-10
#: Relative and absolute tolerance of the referee: the smallest that double precision serves.
REFEREE_TOLERANCE = 1e-13
#: What a flight can come to. Trapped: more steps than a flight can need, or an event that never enters the chamber.
#: Collided: so close to a centre that no step is small enough.
ENDS = ("left", "trapped", "collided")


@dataclass(frozen=True)
class Flights:
    """How events leave the chamber, one entry an event (n,); NaN where `how` is not 0 (an index into `ENDS`).

    `x`, `y` in angstrom, on the rim; `vx`, `vy` in angstrom sqrt(eV / u) / angstrom, the inner unit of speed; `time` in
    fs since entrance; `closest` the least distance to any centre in angstrom.
    """

    x: Array
    y: Array
    vx: Array
    vy: Array
    time: Array
    closest: Array
    how: NDArray[np.int64]

    @property
    def states(self) -> Array:
        """x, y, v_x, v_y: ``n x 4``."""
        return np.stack([self.x, self.y, self.vx, self.vy], axis=1)

    @property
    def polar(self) -> Array:
        """The polar angle of the place on the rim, in (-pi, pi] rad."""
        return np.asarray(np.arctan2(self.y, self.x))

    @property
    def angle(self) -> Array:
        """The direction of the velocity on the rim, in (-pi, pi] rad."""
        return np.asarray(np.arctan2(self.vy, self.vx))


def check_numba() -> None:
    """Raise MissingDependency unless numba is installed."""
    if importlib.util.find_spec("numba") is None:
        raise MissingDependency(
            "the fast integrator of scattering is compiled by numba, which is not installed. "
            "Run: pip install 'theoros[twins]', or set integrator: dop853"
        )


def fly(setup: Setup, shot: Events, integrator: str = "fast") -> Flights:
    """Follow events (n) through the chamber; `integrator` is one of `INTEGRATORS`.

    Raises ValueError for any other, and MissingDependency when the fast one lacks numba.
    """
    if integrator not in INTEGRATORS:
        raise ValueError(f"no integrator is called {integrator!r}. There are {', '.join(INTEGRATORS)}")
    starts = entrance(setup, shot)
    ends, how = (_fast if integrator == "fast" else _referee)(setup, shot, starts)
    x, y, vx, vy, time, closest = ends.T
    return Flights(x, y, vx, vy, time * TIME_UNIT, closest, how)


def energy(setup: Setup, shot: Events, states: Array) -> Array:
    """Kinetic and potential energy in eV of states ``n x 4``."""
    x, y, vx, vy = states.T
    return np.asarray(setup.mass * (vx**2 + vy**2) / 2 + potential(setup, shot, x, y))


def _fast(setup: Setup, shot: Events, starts: Array) -> tuple[Array, NDArray[np.int64]]:
    check_numba()
    from theoros.oracles.physics.scattering_kernel import fly_all

    ends, how = fly_all(
        starts,
        setup.table,
        COULOMB * shot.charge / setup.mass,
        np.ascontiguousarray(shot.screening),
        setup.cyclotron * TIME_UNIT,
        setup.radius,
        TOLERANCE,
    )
    return ends, how


def _referee(setup: Setup, shot: Events, starts: Array) -> tuple[Array, NDArray[np.int64]]:
    """One event after another by DOP853 (Hairer, Norsett and Wanner), with its own way of finding the rim."""
    ends, how = np.full((len(starts), 6), np.nan), np.zeros(len(starts), np.int64)
    for i, start in enumerate(starts):
        found, how[i] = _solved(setup, Events(*(column[i : i + 1] for column in shot)), start)
        if found is not None:
            ends[i] = found
    return ends, how


def _solved(setup: Setup, shot: Events, start: Array) -> tuple[Array | None, int]:
    """One particle's end (6), as `fly_all` gives it, and how; None when it meets a centre, or does not leave within a
    hundred free flights.
    """
    from scipy.integrate import solve_ivp

    if not np.isfinite(start).all():
        return None, ENDS.index("trapped")

    def rim(_: float, state: Array) -> float:
        return float(np.hypot(state[0], state[1]) - setup.radius * (1 + 1e-15))

    rim.terminal, rim.direction = True, 1.0  # type: ignore[attr-defined]
    approaches = [_approach(cx, cy) for cx, cy, _ in setup.centres]
    free = 2 * setup.radius / np.sqrt(2 * shot.energy[0] / setup.mass)
    solution: Any = solve_ivp(
        _motion(setup, shot),
        (0.0, 100 * free),
        start,
        method="DOP853",
        rtol=REFEREE_TOLERANCE,
        atol=REFEREE_TOLERANCE,
        first_step=1e-3 * free,
        events=[rim, *approaches],
    )
    if solution.status != 1:  # 0: the time is over; -1: a step would be smaller than numbers are apart
        return None, ENDS.index("trapped" if solution.status == 0 else "collided")
    passed = [
        np.hypot(states[:, 0] - cx, states[:, 1] - cy).min()
        for found, (cx, cy, _) in zip(solution.y_events[1:], setup.centres, strict=True)
        for states in (np.vstack([start, found.reshape(-1, 4), solution.y_events[0]]),)
    ]
    closest = min(passed)  # on the rim, where a flight goes all the way towards a centre or away from it
    return np.array([*solution.y_events[0][0], solution.t_events[0][0], closest]), ENDS.index("left")


def _approach(cx: float, cy: float) -> Callable[[float, Array], float]:
    """The rate of half the squared distance to a centre: it passes zero upwards where the particle is closest."""

    def rate(_: float, state: Array) -> float:
        return float((state[0] - cx) * state[2] + (state[1] - cy) * state[3])

    rate.direction = 1.0  # type: ignore[attr-defined]
    return rate


def _motion(setup: Setup, shot: Events) -> Callable[[float, Array], Array]:
    """The derivative of x, y, v_x, v_y in time."""
    cx, cy, share = setup.table.T
    force, kappa = COULOMB * shot.charge[0] * share / setup.mass, shot.screening[0]
    omega = setup.cyclotron * TIME_UNIT

    def derivative(_: float, state: Array) -> Array:
        x, y, vx, vy = state
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy)
        f = force * np.exp(-kappa * r) * (1 + kappa * r) / r**3
        return np.array([vx, vy, omega * vy + f @ dx, -omega * vx + f @ dy])

    return derivative
