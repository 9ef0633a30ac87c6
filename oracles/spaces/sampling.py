"""Uniform sampling of constrained products of parameters.

Three ways, tried in this order:

1. Rejection: draw every parameter on its own and keep the rows that satisfy all constraints. Exactly uniform.
2. Enumeration, when every parameter is discrete and there are at most `MAX_ENUMERATED` combinations.
3. Hit-and-run (Smith 1984, doi:10.1287/opre.32.6.1296) for continuous parameters under equalities or narrow
   inequalities: steps along random directions within the null space of the equalities, whose stationary distribution
   is uniform over the polytope. Discrete constrained parameters are drawn uniformly from their feasible combinations
   first. It is uniform on the linear scale, also for parameters that are declared `log`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.constraints import LinearConstraint
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.one_parameter import Categorical, Parameter, Real
from theoros.oracles.spaces.parameters import Parameters

if TYPE_CHECKING:
    Array = NDArray[np.float64]
    Columns = dict[str, NDArray[Any]]

MAX_ENUMERATED = 2_000_000
#: Rejection gives up when fewer than one row in this many is kept.
MAX_REJECTED = 2_000
#: Discrete combinations under constraints that hit-and-run may have to choose from.
MAX_COMBINATIONS = 100_000
#: Hit-and-run steps between two kept points, per dimension; mixing from the centre of a convex body needs O(d^2).
STEPS_PER_DIMENSION = 20


def check_feasible(space: Parameters) -> None:
    """Raise SpaceError when no candidate keeps all constraints.

    A mixed-integer linear program decides on the linear ones; where there are others, random candidates have to keep
    them all.
    """
    if space.linear:
        _check_linear(space.parameters, space.linear)
    if len(space.linear) < len(space.constraints) and not draw_distinct(space, 1, np.random.default_rng(0)):
        shown = " and ".join(str(constraint) for constraint in space.constraints)
        raise SpaceError(
            ("constraints",), f"no random candidate satisfies {shown}. Loosen a constraint, or narrow the bounds."
        )


def _check_linear(parameters: Mapping[str, Parameter], constraints: Sequence[LinearConstraint]) -> None:
    from scipy.optimize import Bounds, milp
    from scipy.optimize import LinearConstraint as Rows

    names = sorted({name for constraint in constraints for name in constraint.coefficients})
    # A discrete parameter is low + step * k with a whole k; a continuous one is itself.
    offset, scale, upper, whole = np.zeros((4, len(names)))
    low = np.zeros(len(names))
    for i, name in enumerate(names):
        parameter = parameters[name]
        if isinstance(parameter, Categorical):
            raise SpaceError(("constraints",), f"{name!r} is not numeric, so it can't be constrained.")
        if parameter.cardinality is None:
            scale[i], low[i], upper[i] = 1.0, parameter.low, parameter.high
        else:
            step = (parameter.step or 0.0) if isinstance(parameter, Real) else 1.0
            offset[i], scale[i], upper[i], whole[i] = parameter.low, step, parameter.cardinality - 1, 1
    matrix, lower_rows, upper_rows = [], [], []
    for constraint in constraints:
        row = np.array([constraint.coefficients.get(name, 0.0) for name in names])
        bound = constraint.bound - float(row @ offset)
        matrix.append(row * scale)
        lower_rows.append(-np.inf if constraint.op == "<=" else bound)
        upper_rows.append(np.inf if constraint.op == ">=" else bound)
    rows = Rows(np.array(matrix), np.array(lower_rows), np.array(upper_rows))
    result = milp(np.zeros(len(names)), integrality=whole.astype(int), bounds=Bounds(low, upper), constraints=rows)
    if result.status == 2:
        shown = " and ".join(str(constraint) for constraint in constraints)
        raise SpaceError(
            ("constraints",), f"no candidate satisfies {shown} within the bounds. Loosen a constraint or a bound."
        )


def draw_distinct(space: Parameters, n: int, rng: np.random.Generator) -> list[Candidate]:
    """Draw up to `n` distinct candidates of `space`: fewer only when it holds fewer."""
    if n <= 0:
        return []
    cardinality = space.cardinality
    if cardinality is not None and cardinality <= max(10_000, 4 * n):
        return _enumerated(space, cardinality, n, rng)
    found: dict[Candidate, None] = {}
    kept, tried = 0, 0
    if not _has_continuous_equality(space):
        while len(found) < n and tried < MAX_REJECTED * (kept + 1):
            size = max(64, min(2 * n, 10_000))
            columns = {name: parameter.draw(size, rng) for name, parameter in space.parameters.items()}
            rows = _satisfying(space, columns)
            tried, kept = tried + size, kept + len(rows)
            _collect(space, columns, rows, found, n)
    if len(found) < n and cardinality is not None and cardinality <= MAX_ENUMERATED:
        return _enumerated(space, cardinality, n, rng)
    for _ in range(20):
        if len(found) >= n or not space.linear:
            break
        columns = _hit_and_run_columns(space, n - len(found), rng)
        _collect(space, columns, _satisfying(space, columns), found, n)
    return list(found)[:n]


def _has_continuous_equality(space: Parameters) -> bool:
    return any(
        constraint.op == "==" and any(space.parameters[name].cardinality is None for name in constraint.coefficients)
        for constraint in space.linear
    )


def _satisfying(space: Parameters, columns: Columns) -> NDArray[np.intp]:
    mask = np.ones(len(next(iter(columns.values()))), dtype=bool)
    for constraint in space.constraints:
        mask &= constraint.satisfied_rows(columns)
    return np.flatnonzero(mask)


def _collect(space: Parameters, columns: Columns, rows: NDArray[np.intp], found: dict[Candidate, None], n: int) -> None:
    for row in rows:
        if len(found) >= n:
            return
        found.setdefault(space.candidate({name: column[row] for name, column in columns.items()}))


def _enumerated(space: Parameters, cardinality: int, n: int, rng: np.random.Generator) -> list[Candidate]:
    values = {name: parameter.values() for name, parameter in space.parameters.items()}
    indices = np.unravel_index(np.arange(cardinality), [len(column) for column in values.values()])
    columns = {name: column[index] for (name, column), index in zip(values.items(), indices, strict=True)}
    rows = rng.permutation(_satisfying(space, columns))
    found: dict[Candidate, None] = {}
    _collect(space, columns, rows, found, n)
    return list(found)


@dataclass(frozen=True)
class _Polytope:
    """``{x : A x <= b}`` in coordinates x (k,) of the affine space ``origin + basis @ x`` (d,); 0 is inside."""

    A: Array
    b: Array
    origin: Array
    basis: Array


#: What is left when every constrained parameter is discrete and fixed.
_POINT = _Polytope(np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros((0, 0)))


def _hit_and_run_columns(space: Parameters, n: int, rng: np.random.Generator) -> Columns:
    """`n` rows that keep all constraints; unconstrained parameters are drawn on their own."""
    constrained = sorted({name for constraint in space.linear for name in constraint.coefficients})
    continuous = [name for name in constrained if space.parameters[name].cardinality is None]
    discrete = [name for name in constrained if name not in continuous]
    columns = {name: parameter.draw(n, rng) for name, parameter in space.parameters.items()}
    polytopes = _polytopes(space, continuous, discrete)
    chosen = rng.integers(0, len(polytopes), n)
    for index in np.unique(chosen):
        rows = np.flatnonzero(chosen == index)
        fixed, polytope = polytopes[index]
        points = _hit_and_run(polytope, len(rows), rng)
        for i, name in enumerate(continuous):
            columns[name][rows] = points[:, i]
        for name, value in fixed.items():
            columns[name][rows] = value
    return columns


def _polytopes(
    space: Parameters, continuous: list[str], discrete: list[str]
) -> list[tuple[dict[str, float], _Polytope]]:
    """One polytope of the continuous parameters for each feasible combination of the discrete ones."""
    choices = [space.parameters[name].values() for name in discrete]
    combinations = int(np.prod([len(choice) for choice in choices]))
    if combinations > MAX_COMBINATIONS:
        raise SpaceError(
            ("constraints",),
            f"they bind {combinations} combinations of discrete parameters too tightly to be sampled. Loosen them.",
        )
    found = []
    for combination in itertools.product(*choices):
        fixed = dict(zip(discrete, (float(value) for value in combination), strict=True))
        if not continuous:
            polytope = _POINT if all(constraint.satisfied(fixed) for constraint in space.linear) else None
        else:
            polytope = _polytope(space, continuous, fixed)
        if polytope is not None:
            found.append((fixed, polytope))
    if not found:
        raise SpaceError(("constraints",), "they leave no room around any point. Write bounds that meet as ==.")
    return found


def _polytope(space: Parameters, names: list[str], fixed: Mapping[str, float]) -> _Polytope | None:
    """The polytope of the parameters `names` when the others have `fixed` values; None when it has no interior."""
    parameters = [space.parameters[name] for name in names]
    low = np.array([p.low for p in parameters if isinstance(p, Real)])
    high = np.array([p.high for p in parameters if isinstance(p, Real)])
    rows, bounds, equal_rows, equal_bounds = [np.eye(len(names)), -np.eye(len(names))], [high, -low], [], []
    for constraint in space.linear:
        row = np.array([constraint.coefficients.get(name, 0.0) for name in names])
        bound = constraint.bound - sum(constraint.coefficients.get(name, 0.0) * value for name, value in fixed.items())
        if constraint.op == "==":
            equal_rows.append(row)
            equal_bounds.append(bound)
        else:
            sign = 1.0 if constraint.op == "<=" else -1.0
            rows.append(sign * row[None, :])
            bounds.append(np.array([sign * bound]))
    A, b = np.vstack(rows), np.concatenate(bounds)
    origin, basis = _affine(np.array(equal_rows).reshape(-1, len(names)), np.array(equal_bounds))
    center = _chebyshev_center(A @ basis, b - A @ origin)
    if center is None:
        return None
    return _rounded(_Polytope(A @ basis, b - A @ (origin + basis @ center), origin + basis @ center, basis))


def _rounded(polytope: _Polytope) -> _Polytope:
    """The same polytope in coordinates in which it is about as wide in all directions.

    Isotropic steps hardly move in a long and thin body. The Dikin ellipsoid at the analytic centre (the minimum of
    ``-sum log(b - A x)``, found by damped Newton steps) has the body's proportions within a factor of the number of
    its faces (Kannan & Narayanan 2012, doi:10.1287/moor.1110.0519), and becomes the unit ball.
    """
    A, b = polytope.A, polytope.b
    x, hessian = np.zeros(A.shape[1]), np.eye(A.shape[1])
    for _ in range(200 if len(x) else 0):
        slack = b - A @ x
        gradient, hessian = A.T @ (1 / slack), (A.T / slack**2) @ A
        step = -np.linalg.solve(hessian, gradient)
        decrement = math.sqrt(max(0.0, float(-gradient @ step)))
        x = x + step / (1 + decrement)  # stays inside: the step is within the Dikin ellipsoid
        if decrement < 1e-3:
            break
    transform = np.linalg.inv(np.linalg.cholesky(hessian)).T
    return _Polytope(A @ transform, b - A @ x, polytope.origin + polytope.basis @ x, polytope.basis @ transform)


def _affine(rows: Array, bounds: Array) -> tuple[Array, Array]:
    """A point and an orthonormal null-space basis of ``rows @ x == bounds``."""
    from scipy.linalg import null_space

    if not len(rows):
        return np.zeros(rows.shape[1]), np.eye(rows.shape[1])
    origin = np.asarray(np.linalg.lstsq(rows, bounds, rcond=None)[0], dtype=np.float64)
    return origin, np.asarray(null_space(rows), dtype=np.float64)


def _chebyshev_center(A: Array, b: Array) -> Array | None:
    """The centre of the largest ball within ``A x <= b``; None when its radius vanishes."""
    from scipy.optimize import linprog

    dimension = A.shape[1]
    if dimension == 0:  # the equalities fix every value
        return np.zeros(0) if bool((b >= -1e-9 * (1 + np.abs(b))).all()) else None
    norms = np.linalg.norm(A, axis=1)
    result = linprog(
        np.append(np.zeros(dimension), -1.0),
        A_ub=np.column_stack([A, norms]),
        b_ub=b,
        bounds=[(None, None)] * dimension + [(0, None)],
    )
    if result.status != 0 or result.x is None or result.x[-1] <= 1e-12:
        return None
    return np.asarray(result.x[:-1])


def _hit_and_run(polytope: _Polytope, n: int, rng: np.random.Generator) -> Array:
    """`n` points of the polytope in the original coordinates: shape (n, d). The n walks run side by side."""
    dimension = polytope.basis.shape[1]
    x = np.zeros((n, dimension))
    for _ in range(STEPS_PER_DIMENSION * dimension * (1 if dimension < 5 else dimension // 4)):
        direction = rng.standard_normal((n, dimension))
        rate = direction @ polytope.A.T
        room = polytope.b - x @ polytope.A.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = room / rate
        forward = np.where(rate > 1e-14, ratio, np.inf).min(axis=1)
        backward = np.where(rate < -1e-14, ratio, -np.inf).max(axis=1)
        x += rng.uniform(backward, np.maximum(forward, backward))[:, None] * direction
    return polytope.origin + x @ polytope.basis.T
