"""A fitted twin: what acquisitions, scores and reports ask of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.contract import Paths
from theoros.models.data import Array, Point, Prediction
from theoros.models.sampling import derived_seed
from theoros.models.twins.array_components import Components
from theoros.models.twins.conditions import Conditions
from theoros.models.twins.lessons import Lessons
from theoros.models.twins.location_scale import LocationScale
from theoros.models.twins.members import Members
from theoros.models.twins.shape import PointNoise
from theoros.oracles.candidate import Candidate

#: Rows of one member that networks see at once: bounds the memory of their hidden layers.
CHUNK = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedEnsemble:
    """A `theoros.models.twins.contract.DrawsArrays` over all fidelities of the problem.

    ``value = offset[f] + scale[f] * standardised`` at fidelity f; both are ``m x fidelities``. `labels` (m) counts
    those that had each. What is standardised are the `outputs`, and after them the scores of the `components` of each
    array that was learned, one array after the other.
    """

    name: str
    n_labels: int
    outputs: tuple[str, ...]
    fidelities: tuple[str, ...]
    conditions: Conditions
    offset: Array
    scale: Array
    labels: tuple[int, ...]
    ensemble: Members
    lessons: Lessons | None = None
    components: Mapping[str, Components] = field(default_factory=dict)
    fell_back: bool = False
    message: str = ""

    @property
    def members(self) -> int:
        """See `FittedTwin.members`."""
        return self.ensemble.location_scale.members

    @property
    def arrays(self) -> tuple[str, ...]:
        """See `DrawsArrays.arrays`."""
        return tuple(self.components)

    @property
    def reduced(self) -> int:
        """See `DrawsArrays.reduced`."""
        return sum(components.count for components in self.components.values())

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Means ``n x m``, the spread of the members' means about them, and the members' mean noise.

        How a shape's mean and variance change with the conditions is left out, which is little, since residuals were
        standardised: so a prediction costs one pass and no draws.
        """
        return self._moments([point.candidate for point in points], self._levels(points))

    def predict_at(self, candidates: Sequence[Candidate], fidelity: str) -> Prediction:
        """`predict` of many candidates at one fidelity, which may be rows of a library."""
        return self._moments(candidates, np.full(len(candidates), self.fidelities.index(fidelity), dtype=np.int64))

    def sample(self, points: Sequence[Point], n: int, *, seed: int) -> Array:
        """See `FittedTwin.sample`."""
        return self._drawn(points, n, seed)[..., : len(self.outputs)]

    def sample_reduced(self, points: Sequence[Point], n: int, *, seed: int) -> Array:
        """See `DrawsArrays.sample_reduced`."""
        units = [np.full(own.count, own.spread) for own in self.components.values()]
        unit = np.concatenate([np.ones(len(self.outputs)), *units])
        return np.asarray(self._drawn(points, n, seed) / unit, dtype=np.float64)

    def sample_arrays(self, points: Sequence[Point], n: int, *, seed: int) -> dict[str, Array]:
        """See `DrawsArrays.sample_arrays`."""
        drawn, place, found = self._drawn(points, n, seed), len(self.outputs), dict[str, Array]()
        for name, own in self.components.items():
            # A rest of its own for every draw, which follows from the point alone, as the scores do.
            seeds = [derived_seed(seed, "rests", name, *_name(point)) for point in points]
            lots = np.empty(drawn.shape[:3], dtype=np.int64)
            for i, one in enumerate(seeds):
                lots[:, :, i] = np.random.default_rng(one).integers(len(own.rests), size=lots.shape[:2])
            found[name] = own.arrays(drawn[..., place : place + own.count], lots)
            place += own.count
        return found

    def _drawn(self, points: Sequence[Point], n: int, seed: int) -> Array:
        """Outputs and scores in their units, ``members x n x p x m``."""
        drawn = np.empty((self.members, n, len(points), len(self.offset)))
        for rows, place, level in self._chunks(points, max(1, n)):
            noise = PointNoise([derived_seed(seed, "sample", *_name(point)) for point in points[place]], n)
            values = self.ensemble.draws(rows, n, noise).numpy().transpose(0, 2, 1, 3)
            drawn[:, :, place] = self.offset.T[level] + self.scale.T[level] * values
        return drawn

    def log_prob(self, points: Sequence[Point], values: Array) -> Array | None:
        """See `FittedTwin.log_prob`; the answer is NaN where a value is.

        None where arrays are learned: members have a density of outputs and components together.
        """
        if not self.ensemble.shape.has_density or self.reduced:
            return None
        found = np.empty((self.members, len(points)))
        for rows, place, level in self._chunks(points, 64):
            scale = self.scale.T[level]
            standardised = torch.from_numpy(
                (np.asarray(values, dtype=np.float64)[place] - self.offset.T[level]) / scale
            )
            conditions = rows.expand(self.members, -1, -1)
            with torch.no_grad():
                mean, std = self.ensemble.location_scale(conditions)
                residuals, known = (standardised - mean) / std, standardised.isfinite().all(-1)
                density = self.ensemble.shape.log_prob(
                    conditions, torch.where(known[:, None], residuals, 0.0), torch.Generator().manual_seed(0)
                )
                density = torch.where(known, density - std.log().sum(-1), torch.nan)
            found[:, place] = density.numpy() - np.log(scale).sum(1)
        return found

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions: the mean plus a random combination of the members' deviations from it.

        With normal weights it has, jointly over all candidates, the covariance that the members show.
        """
        if output not in self.outputs:
            raise KeyError(f"the model has no output {output!r}; it has {list(self.outputs)}")
        weights = np.random.default_rng(derived_seed(seed, "weights")).standard_normal((n, self.members))
        return partial(self._along, self.outputs.index(output), self.fidelities.index(fidelity), weights)

    def violations(self, candidates: Sequence[Candidate], *, seed: int) -> dict[str, Array]:
        """How far each law that was taught is from holding at the target fidelity: ``members x n``, in its own units.

        A law on draws is held against one draw of each member. Empty where no law was taught.
        """
        if self.lessons is None:
            return {}
        return _violations(self.lessons.at(candidates), self.ensemble, seed)

    def left_out_errors(self, candidates: Sequence[Candidate]) -> Array:
        """Squared errors (``n x m``) of labels near `candidates`, by the members that had not seen them.

        Over the variance that the twin then states, at the target fidelity: about one where it is honest, and one where
        there are no labels near. The acquisition ``loo_variance`` asks for it.
        """
        target = np.full(len(candidates), len(self.fidelities) - 1, dtype=np.int64)
        rows = torch.from_numpy(self.conditions.rows(candidates, target))
        return np.asarray(self.ensemble.foreseen.near(rows).numpy(), dtype=np.float64)

    def hyperparameters(self) -> Mapping[str, Any]:
        """JSON data: of each output what was made of its labels, of each array what its components are, of each law its
        weight and its violation.

        ``violation`` is the root mean square over the members and over places drawn from the whole space, in the law's
        own units. Laws stand under ``residuals``, arrays under ``components``.
        """
        known = self.ensemble.location_scale
        contrast = known.contrast.tolist() if isinstance(known, LocationScale) else [1.0] * len(self.outputs)
        told: dict[str, Any] = {
            name: {
                "members": self.members if isinstance(known, LocationScale) else 0,
                "features": self.conditions.width,
                "noise_contrast": contrast[k],
                "labels": self.labels[k],
                "offset": dict(zip(self.fidelities, self.offset[k].tolist(), strict=True)),
                "scale": dict(zip(self.fidelities, self.scale[k].tolist(), strict=True)),
            }
            for k, name in enumerate(self.outputs)
        }
        if self.components:
            told["components"] = {name: own.record() for name, own in self.components.items()}
        if self.lessons is not None:
            violations = _violations(self.lessons, self.ensemble, seed=0)
            told["residuals"] = {
                law.name: {
                    "on": law.on,
                    "weight": law.weight,
                    "balanced": law.balanced,
                    "violation": float(np.sqrt(np.mean(violations[law.name] ** 2))),
                }
                for law in self.lessons.laws
            }
        return told

    def _moments(self, candidates: Sequence[Candidate], level: NDArray[np.int64]) -> Prediction:
        m = len(self.outputs)
        mean, std, noise = (np.empty((len(candidates), m)) for _ in range(3))
        for start in range(0, len(candidates), CHUNK):
            rows = slice(start, start + CHUNK)
            table = torch.from_numpy(self.conditions.rows(candidates[rows], level[rows]))
            with torch.no_grad():
                means, stds = self.ensemble.location_scale(table.expand(self.members, -1, -1))
            means, stds = means[..., :m], stds[..., :m]
            offset, scale = self.offset.T[level[rows]][:, :m], self.scale.T[level[rows]][:, :m]
            mean[rows] = offset + scale * means.mean(0).numpy()
            std[rows] = scale * means.std(0).numpy()
            noise[rows] = scale * (stds.square().mean(0).sqrt() * self.ensemble.stretch[:m]).numpy()
        return Prediction(self.outputs, mean, std, noise)

    def _along(self, k: int, level: int, weights: Array, candidates: Sequence[Candidate]) -> Array:
        values = np.empty((len(weights), len(candidates)))
        for start in range(0, len(candidates), CHUNK):
            rows = slice(start, start + CHUNK)
            some = candidates[rows]
            table = torch.from_numpy(self.conditions.rows(some, np.full(len(some), level)))
            with torch.no_grad():
                means = self.ensemble.means(table)[..., k].numpy()
            deviations = (means - means.mean(0)) / np.sqrt(self.members - 1)
            values[:, rows] = means.mean(0) + weights @ deviations
        return np.asarray(self.offset[k, level] + self.scale[k, level] * values, dtype=np.float64)

    def _levels(self, points: Sequence[Point]) -> NDArray[np.int64]:
        return np.array([self.fidelities.index(point.fidelity) for point in points], dtype=np.int64)

    def _chunks(self, points: Sequence[Point], each: int) -> Iterator[tuple[Tensor, slice, NDArray[np.int64]]]:
        """Scaled conditions of a few points at a time, their places and their levels, where each is used so often."""
        levels, step = self._levels(points), max(1, CHUNK // each)
        for start in range(0, len(points), step):
            place = slice(start, start + step)
            rows = self.conditions.rows([point.candidate for point in points[place]], levels[place])
            yield torch.from_numpy(rows), place, levels[place]


def _name(point: Point) -> tuple[str, str]:
    return point.candidate.hash, point.fidelity


def _violations(lessons: Lessons, ensemble: Members, seed: int) -> dict[str, Array]:
    generator = torch.Generator().manual_seed(derived_seed(seed, "violations"))
    found = lessons.cast(torch.zeros(0, dtype=torch.float64)).violations(
        ensemble.means, lambda rows: ensemble.draws(rows, 1, generator)[:, :, 0]
    )
    return {name: cast(Array, value.numpy()) for name, value in found.items()}
