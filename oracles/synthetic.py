"""Test functions that behave like an expensive oracle: with noise, delays and failures on demand."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.failures import NotConverged
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.rehearsal import Delay, generator
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Categorical, Integer, Parameters, Real, Space
from theoros.oracles.spaces.one_parameter import Parameter

#: Multi-fidelity functions of BoTorch, and how many of their last coordinates are the fidelity (1 is the truth).
FIDELITY_COORDINATES = {"AugmentedBranin": 1, "AugmentedHartmann": 1, "AugmentedRosenbrock": 2}

DEFAULT_LEVELS = ({"name": "low", "s": 0.5, "cost": 0.1}, {"name": "high", "s": 1.0, "cost": 1.0})


class SyntheticOracle:
    """A test function of `botorch.test_functions` over real parameters ``x1, x2, ...``.

    Outputs are ``value`` (``value_1``, ... with several objectives), to be minimised as BoTorch defines it unless
    `negate`, and ``constraint_1``, ... for constrained functions, feasible where not negative.

    `shift` (a seed; False leaves the function as it is) moves the optimum, which many test functions have at the
    centre or on a symmetry axis: each continuous coordinate, scaled to u in (0, 1), is mirrored at random and passed
    through the smooth bijection ``logit(u) -> logit(u) - delta`` with a random ``0.4 <= |delta| <= 0.9``. The unit
    interval is mapped onto itself, so that the optimum's value is attained as before, elsewhere; an optimum on the
    boundary stays on it. `noise` is a standard deviation in the function's own unit; then the oracle is not
    deterministic. `failure_rate` of the candidates (which, depends on the candidate and `seed` alone) never converge.
    `delay` is what an evaluation pretends to take at the top level; lower ones take it times their cost.
    `fidelities` is a list of ``{name, s, cost}`` for the augmented functions, s = 1 being the truth.

    Raises OracleOptionError for an unknown function or options that do not fit it.
    """

    resources = Resources(num_cpus=1, timeout=600)
    cache_version = "1"

    def __init__(
        self,
        *,
        function: str = "Branin",
        dim: int | None = None,
        noise: float = 0.0,
        delay: float | str | Mapping[str, Any] = 0.0,
        failure_rate: float = 0.0,
        shift: int | bool = True,
        negate: bool = False,
        fidelities: Sequence[Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> None:
        if not (noise >= 0 and math.isfinite(noise)):
            raise OracleOptionError(("noise",), f"{noise} is no standard deviation. Give 0 or a positive number.")
        if not 0 <= failure_rate < 1:
            raise OracleOptionError(("failure_rate",), f"{failure_rate} is no share. Give a number from 0 to below 1.")
        self.name = f"synthetic:{function}"
        self._problem = _problem(function, dim)
        self._noise, self._failure_rate, self._seed = float(noise), float(failure_rate), int(seed)
        self._delay = Delay.parse(delay)
        self._sign = -1.0 if negate else 1.0
        self._repeats: dict[tuple[str, str], int] = {}
        self.deterministic = noise == 0
        settings = {"function": function, "dim": self._problem.dim, "shift": shift, "negate": negate}
        if noise:
            settings |= {"noise": noise, "seed": seed}
        if failure_rate:
            settings |= {"failure_rate": failure_rate, "seed": seed}
        self.fidelities, self._s = _levels(function, fidelities, settings)
        self._hidden = FIDELITY_COORDINATES.get(function, 0)
        bounds = self._problem.bounds.numpy().astype(np.float64)  # 2 x d
        self._names = _names(bounds.shape[1] - self._hidden)
        self._low, self._high = bounds[0, : len(self._names)], bounds[1, : len(self._names)]
        self.space: Space = Parameters({name: self._parameter(i) for i, name in enumerate(self._names)})
        self.outputs: Mapping[str, Quantity] = self._declared_outputs()
        self._mirror, self._delta = self._drawn_shift(shift)

    @property
    def optimal_value(self) -> float | None:
        """The best noise-free value at the truth (with the sign of ``value``); None when BoTorch knows none."""
        try:
            return float(self._problem.optimal_value) * self._sign
        except (NotImplementedError, AttributeError, TypeError):
            return None

    @property
    def optimizers(self) -> list[Candidate]:
        """Candidates that attain `optimal_value`; empty when BoTorch knows none, and for mixed functions."""
        known = getattr(self._problem, "optimizers", None)
        if known is None or self._discrete:
            return []
        points = known.reshape(-1, known.shape[-1]).numpy()
        d = len(self._names)
        # BoTorch lists optima at lower fidelities too; only those at the truth are the question's.
        return [self._candidate(self._outward(point[:d])) for point in points if (point[d:] == 1).all()]

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Answer after the pretended delay; raises NotConverged for the candidates that fail, InvalidCandidate."""
        level = fidelity_of(self, fidelity)
        data = self.space.candidate(candidate.data).data
        rng = generator("synthetic", self._seed, candidate.hash)
        fails = rng.uniform() < self._failure_rate
        self._delay.wait(rng, level.cost)
        if fails:
            raise NotConverged(f"{self.name} does not converge at {candidate.text} (a failure on demand)")
        values = self._values(np.array([float(data[name]) for name in self._names]), self._s[level.name])
        if self._noise:
            times = self._repeats.get((candidate.hash, fidelity), 0) + 1
            self._repeats[candidate.hash, fidelity] = times
            draws = generator("noise", self._seed, candidate.hash, fidelity, times).standard_normal(len(values))
            values = {name: value + self._noise * draws[i] for i, (name, value) in enumerate(values.items())}
        return Answer(dict(values))

    def _values(self, x: NDArray[np.float64], s: float) -> dict[str, float]:
        """The outputs at the point x (d,) of the oracle's own coordinates."""
        import torch

        point = torch.from_numpy(np.append(self._inward(x), [s] * self._hidden))[None]
        with torch.no_grad():
            found = self._sign * self._problem.evaluate_true(point).reshape(-1).double().numpy()
            slack = self._slack(point)
        names = [name for name in self.outputs if not name.startswith("constraint_")]
        values = dict(zip(names, found.tolist(), strict=True))
        return values | {f"constraint_{i + 1}": value for i, value in enumerate(slack)}

    def _slack(self, point: Any) -> list[float]:
        if not getattr(self._problem, "num_constraints", 0):
            return []
        return [float(value) for value in self._problem.evaluate_slack_true(point).reshape(-1)]

    def _declared_outputs(self) -> dict[str, Quantity]:
        objectives = int(getattr(self._problem, "num_objectives", 1))
        names = ["value"] if objectives == 1 else [f"value_{i + 1}" for i in range(objectives)]
        constraints = [f"constraint_{i + 1}" for i in range(int(getattr(self._problem, "num_constraints", 0) or 0))]
        return {name: Quantity(description="value of the test function") for name in names} | {
            name: Quantity(description="feasible where not negative") for name in constraints
        }

    @property
    def _discrete(self) -> set[int]:
        problem = self._problem
        return {*getattr(problem, "discrete_inds", []), *getattr(problem, "categorical_inds", [])}

    def _parameter(self, index: int) -> Parameter:
        low, high = float(self._low[index]), float(self._high[index])
        if index in getattr(self._problem, "categorical_inds", []):
            return Categorical(*range(int(low), int(high) + 1))
        if index in self._discrete:
            return Integer(int(low), int(high))
        return Real(low, high)

    def _drawn_shift(self, shift: int | bool) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which coordinates are mirrored (d,), and the offset of each in its logit (d,)."""
        d = len(self._names)
        if shift is False:
            return np.zeros(d, dtype=bool), np.zeros(d)
        rng = generator("shift", int(shift), self.name, d)
        mirror, sign = rng.random(d) < 0.5, np.where(rng.random(d) < 0.5, -1.0, 1.0)
        delta = sign * rng.uniform(0.4, 0.9, d)
        continuous = np.array([i not in self._discrete for i in range(d)])
        return mirror & continuous, np.where(continuous, delta, 0.0)

    def _inward(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the oracle's coordinates (d,) to the function's."""
        u = (x - self._low) / (self._high - self._low)
        u = _moved(np.where(self._mirror, 1 - u, u), -self._delta)
        # Rounding may carry a coordinate past its bound by one unit in the last place.
        return np.where(self._delta == 0, x, np.clip(self._low + u * (self._high - self._low), self._low, self._high))

    def _outward(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """From the function's coordinates (d,) to the oracle's: the inverse of `_inward`."""
        u = _moved((v - self._low) / (self._high - self._low), self._delta)
        return np.asarray(self._low + np.where(self._mirror, 1 - u, u) * (self._high - self._low))

    def _candidate(self, x: NDArray[np.float64]) -> Candidate:
        return self.space.candidate(dict(zip(self._names, x.tolist(), strict=True)))


def _moved(u: NDArray[np.float64], delta: NDArray[np.float64]) -> NDArray[np.float64]:
    """``logit(u) + delta`` back in [0, 1], written so that 0 and 1 stay where they are."""
    return np.asarray(u / (u + np.exp(-delta) * (1 - u)))


def _names(d: int) -> list[str]:
    """``x1, x2, ...``, padded with zeros so that they sort by number."""
    width = len(str(d))
    return [f"x{i + 1:0{width}d}" for i in range(d)]


def _problem(function: str, dim: int | None) -> Any:
    """The BoTorch problem called `function`, with `dim` dimensions where it can be chosen."""
    from botorch.test_functions import multi_fidelity, multi_objective, synthetic
    from botorch.test_functions.base import BaseTestProblem

    problems = {
        name: item
        for module in (synthetic, multi_objective, multi_fidelity)
        for name, item in vars(module).items()
        if inspect.isclass(item) and issubclass(item, BaseTestProblem) and not inspect.isabstract(item)
    }
    if function not in problems:
        close = difflib.get_close_matches(function, problems, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(sorted(problems))}."
        raise OracleOptionError(("function",), f"BoTorch has no test function {function!r}. {hint}")
    found = problems[function]
    parameters = inspect.signature(found).parameters
    if dim is None and "dim" in parameters and parameters["dim"].default is inspect.Parameter.empty:
        raise OracleOptionError(("dim",), f"{function} needs a number of dimensions. Add dim: and the number.")
    if dim is not None and "dim" not in parameters:
        raise OracleOptionError(("dim",), f"{function} has a fixed number of dimensions. Leave out dim.")
    if function == "AugmentedRosenbrock" and (dim or 3) < 4:
        raise OracleOptionError(("dim",), f"{function} has no coordinate left below 4. Add dim: 4 or more.")
    try:
        return found(**({} if dim is None else {"dim": dim}))
    except (ValueError, NotImplementedError) as error:
        raise OracleOptionError(("dim",), f"{function} has no form with dim {dim}: {error}.") from None


def _levels(
    function: str, given: Sequence[Mapping[str, Any]] | None, settings: Mapping[str, Any]
) -> tuple[tuple[Fidelity, ...], dict[str, float]]:
    """The fidelities, and the fidelity coordinate s of each by name."""
    if function not in FIDELITY_COORDINATES:
        if given:
            raise OracleOptionError(
                ("fidelities",),
                f"{function} has one fidelity. Use one of {', '.join(FIDELITY_COORDINATES)} for several.",
            )
        return (Fidelity("full", settings=dict(settings)),), {"full": 1.0}
    levels, s = [], {}
    for i, item in enumerate(given or DEFAULT_LEVELS):
        if item.keys() != {"name", "s", "cost"} or not 0 <= float(item["s"]) <= 1 or not float(item["cost"]) > 0:
            raise OracleOptionError(
                ("fidelities", i),
                f"{dict(item)!r} is no level. Write {{name, s, cost}} with s in 0..1 and a positive cost.",
            )
        s[str(item["name"])] = float(item["s"])
        levels.append(Fidelity(str(item["name"]), float(item["cost"]), {**settings, "s": float(item["s"])}))
    if levels[-1].cost != 1 or s[levels[-1].name] != 1:
        raise OracleOptionError(
            ("fidelities", len(levels) - 1), "the last level is the truth. Give it s: 1 and cost: 1."
        )
    return tuple(levels), s
