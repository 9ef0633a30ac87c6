"""The fast integrator: many particles through one chamber, compiled by numba.

The equations of motion m dv/dt = -grad V + m w (v_y, -v_x) by the explicit Runge-Kutta pair of order 5(4) of Dormand
and Prince (J. Comput. Appl. Math. 6, 19 (1980)), with SciPy's coefficients and a step that the local error changes.
That error is held against what matters where the particle is: the distance to the nearest centre, and the speed that
all the potential energy would give. So steps shrink with the scale of a close encounter, and not at a turning point.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.integrate import RK45

LEFT, TRAPPED, COLLIDED = 0, 1, 2  #: how a flight ends
#: A particle that comes closer than this to a centre (angstrom) collides with it.
TOUCH = 1e-9
MAX_STEPS = 200_000

#: Divided by zero gives infinity or NaN, as in NumPy, and no exception: a step that meets a centre is then refused.
_compiled = njit(cache=True, nogil=True, error_model="numpy")

_A, _B, _E = np.ascontiguousarray(RK45.A), np.ascontiguousarray(RK45.B), np.ascontiguousarray(RK45.E)


@_compiled
def _accelerate(state: Any, force: Any, kappa: float, omega: float, out: Any) -> None:
    """The derivative of x, y, v_x, v_y; `force` (c x 3) has the centres' x, y and strength over mass."""
    ax, ay = omega * state[3], -omega * state[2]
    for i in range(force.shape[0]):
        if force[i, 2] == 0.0:  # without a charge there is no pole at its place
            continue
        dx, dy = state[0] - force[i, 0], state[1] - force[i, 1]
        r = math.sqrt(dx * dx + dy * dy)
        f = force[i, 2] / (r * r * r)
        if kappa > 0.0:
            f *= math.exp(-kappa * r) * (1.0 + kappa * r)
        ax += f * dx
        ay += f * dy
    out[0], out[1], out[2], out[3] = state[2], state[3], ax, ay


@_compiled
def _step(state: Any, h: float, force: Any, kappa: float, omega: float, k: Any, new: Any) -> None:
    """One step: `new` is the state after `h`, `k` (7 x 4) the slopes, of which the first is known already."""
    for stage in range(1, 6):
        for j in range(4):
            total = 0.0
            for i in range(stage):
                total += _A[stage, i] * k[i, j]
            new[j] = state[j] + h * total
        _accelerate(new, force, kappa, omega, k[stage])
    for j in range(4):
        total = 0.0
        for i in range(6):
            total += _B[i] * k[i, j]
        new[j] = state[j] + h * total
    _accelerate(new, force, kappa, omega, k[6])


@_compiled
def _sizes(state: Any, force: Any) -> tuple[float, float]:
    """The distance to the nearest centre, and the speed that kinetic and potential energy would give together."""
    nearest, speed = math.inf, state[2] ** 2 + state[3] ** 2
    for i in range(force.shape[0]):
        r = math.sqrt((state[0] - force[i, 0]) ** 2 + (state[1] - force[i, 1]) ** 2)
        nearest = min(nearest, r)
        speed += 2.0 * abs(force[i, 2]) / max(r, TOUCH)
    return nearest, math.sqrt(speed)


@_compiled
def _error(h: float, k: Any, nearest: float, speed: float) -> float:
    """The local error of a step, relative to the sizes; infinite where it is no number."""
    worst = 0.0
    for j in range(4):
        total = 0.0
        for i in range(7):
            total += _E[i] * k[i, j]
        error = abs(h * total) / (nearest if j < 2 else speed)
        if math.isnan(error):  # which max would pass over
            return math.inf
        worst = max(worst, error)
    return worst


@_compiled
def _rim(state: Any, radius: float) -> float:
    return float(math.sqrt(state[0] ** 2 + state[1] ** 2) - radius)


@_compiled
def _towards(state: Any, force: Any, centre: int) -> float:
    """The rate of half the squared distance to a centre: negative on the way in."""
    return float((state[0] - force[centre, 0]) * state[2] + (state[1] - force[centre, 1]) * state[3])


@_compiled
def _nearest_centre(state: Any, force: Any) -> int:
    best, found = math.inf, 0
    for i in range(force.shape[0]):
        r = (state[0] - force[i, 0]) ** 2 + (state[1] - force[i, 1]) ** 2
        if r < best:
            best, found = r, i
    return found


@_compiled
def _distance(state: Any, force: Any, centre: int) -> float:
    return math.sqrt((state[0] - force[centre, 0]) ** 2 + (state[1] - force[centre, 1]) ** 2)


@_compiled
def _shortened(
    state: Any, h: float, force: Any, kappa: float, omega: float, k: Any, new: Any, radius: float, centre: int
) -> float:
    """The part of a step after which the rim is reached (`centre` < 0), or a centre is closest: bisection and secants.

    The step is taken anew from the same state, so what it ends on is as accurate as any step's end.
    """
    low, high = 0.0, h
    f_low = _rim(state, radius) if centre < 0 else _towards(state, force, centre)
    f_high = _rim(new, radius) if centre < 0 else _towards(new, force, centre)
    middle = h
    for turn in range(60):
        if turn % 3 == 2 or f_high == f_low:
            middle = 0.5 * (low + high)
        else:
            middle = high - f_high * (high - low) / (f_high - f_low)
        _step(state, middle, force, kappa, omega, k, new)
        f_middle = _rim(new, radius) if centre < 0 else _towards(new, force, centre)
        if f_middle < 0.0:
            low, f_low = middle, f_middle
        else:
            high, f_high = middle, f_middle
        if f_middle == 0.0 or high - low <= 1e-14 * h:
            break
        if abs(f_middle) < 1e-12 * (radius if centre < 0 else radius * math.sqrt(new[2] ** 2 + new[3] ** 2)):
            break
    return middle


@_compiled
def _fly(state: Any, force: Any, kappa: float, omega: float, radius: float, tolerance: float, out: Any) -> int:
    """Follow one particle to the rim; `out` (6) gets x, y, v_x, v_y, time and the closest approach to any centre."""
    k, new, point = np.empty((7, 4)), np.empty(4), np.empty(4)
    time, inside = 0.0, False
    nearest, speed = _sizes(state, force)
    inward = -(state[0] * state[2] + state[1] * state[3]) / (radius * speed)
    closest = nearest
    h = min(0.02, max(inward, 1e-6)) * radius / speed  # what only grazes the rim is inside but shortly
    _accelerate(state, force, kappa, omega, k[0])
    for _ in range(MAX_STEPS):
        _step(state, h, force, kappa, omega, k, new)
        error = _error(h, k, max(nearest, TOUCH), speed) / tolerance
        if error > 1.0:  # infinite where the step went through a centre
            h *= max(0.2, 0.9 * error**-0.2) if error < math.inf else 0.2
            continue
        left = inside and _rim(new, radius) >= 0.0
        if left:  # what lies beyond the rim is no part of the flight
            h = _shortened(state, h, force, kappa, omega, k, new, radius, -1)
        for i in range(force.shape[0]):  # one step may pass several, and end near none of them
            if _towards(state, force, i) < 0.0 <= _towards(new, force, i):
                for j in range(4):
                    point[j] = new[j]
                _shortened(state, h, force, kappa, omega, k, point, radius, i)
                closest = min(closest, _distance(point, force, i))
        if left:
            closest = min(closest, _distance(new, force, _nearest_centre(new, force)))
            out[0], out[1], out[2], out[3], out[4], out[5] = new[0], new[1], new[2], new[3], time + h, closest
            return LEFT
        inside = inside or _rim(new, radius) < 0.0
        time += h
        for j in range(4):
            state[j] = new[j]
        _accelerate(state, force, kappa, omega, k[0])
        nearest, speed = _sizes(state, force)
        closest = min(closest, nearest)
        if nearest < TOUCH and force[_nearest_centre(state, force), 2] != 0.0:
            return COLLIDED
        h *= min(5.0, 0.9 * error**-0.2) if error > 0.0 else 5.0
        h = min(h, 0.2 * radius / speed)
    return TRAPPED


@_compiled
def fly_all(
    starts: NDArray[np.float64],
    centres: NDArray[np.float64],
    strength: NDArray[np.float64],
    kappa: NDArray[np.float64],
    omega: float,
    radius: float,
    tolerance: float,
) -> Any:
    """Follow particles from `starts` (n x 4): ends ``n x 6`` (x, y, v_x, v_y, time, closest approach), and how (n).

    `strength` (n) is k q1 q2 over the mass, `kappa` (n) the screening; see `theoros.oracles.physics.scattering_setup`
    for the units. Ends are NaN unless the particle LEFT the chamber.
    """
    n = starts.shape[0]
    ends, how = np.full((n, 6), np.nan), np.empty(n, np.int64)
    force, state = np.empty((centres.shape[0], 3)), np.empty(4)
    for event in range(n):
        if math.isnan(starts[event, 0]) or math.isnan(starts[event, 2]):
            how[event] = TRAPPED
            continue
        for i in range(centres.shape[0]):
            force[i, 0], force[i, 1] = centres[i, 0], centres[i, 1]
            force[i, 2] = centres[i, 2] * strength[event]
        for j in range(4):
            state[j] = starts[event, j]
        how[event] = _fly(state, force, kappa[event], omega, radius, tolerance, ends[event])
    return ends, how
