"""Bayesian optimisation in a trust region, for spaces with too many parameters to be searched as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from theoros.models.contract import ProposalRequest
from theoros.models.data import Array, Dataset
from theoros.models.encoders import ParameterEncoder
from theoros.models.labelled import labelled_utilities
from theoros.models.proposers.feature_search import Features, FeatureSearch, evaluate, spread_out
from theoros.models.proposers.screening import admissible, best_first
from theoros.models.proposers.sobol import SobolDesign
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.parameters import Parameters

#: Side lengths of the region in the unit cube, and the successes in a row after which it doubles: TuRBO's own settings.
FIRST, LEAST, MOST, SUCCESSES = 0.8, 0.5**7, 1.6, 3
#: A success gains at least this share of the labels' standard deviation.
GAIN = 1e-3
#: Coordinates of the centre that a candidate changes, on average at most.
CHANGED = 20


@dataclass(frozen=True)
class Region:
    """A trust region: its side length, the row of `values` at its centre, and the first row that it has seen.

    `centre` is None right after a restart, when the region is a design again.
    """

    length: float
    centre: int | None
    since: int


def replay(values: Array, design: int, tolerance: int) -> Region:
    """The region after labels with `values` (n, larger is better, NaN for what is infeasible) in their order.

    It doubles after `SUCCESSES` in a row, halves after `tolerance` failures in a row, and when it has become too small
    a new one begins with a design of `design` labels, and forgets what was before (Eriksson et al., NeurIPS 2019,
    arXiv:1910.01739, algorithm 1). Everything follows from the labels, so a resumed campaign has the same region.
    """
    gain = GAIN * float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
    length, since, best, centre = FIRST, 0, -math.inf, None
    successes = failures = 0
    for row, value in enumerate(values):
        better = bool(value > best + gain) if math.isfinite(best) else bool(np.isfinite(value))
        if bool(value > best):
            best, centre = float(value), row
        if row - since < design:
            continue
        successes, failures = (successes + 1, 0) if better else (0, failures + 1)
        if successes == SUCCESSES:
            length, successes = min(2 * length, MOST), 0
        elif failures == tolerance:
            length, failures = length / 2, 0
        if length < LEAST:
            length, since, best, centre = FIRST, row + 1, -math.inf, None
            successes = failures = 0
    return Region(length, centre, since)


@dataclass(frozen=True)
class TrustRegion:
    """Candidates of large acquisition value in a box about the best label, which grows with success (TuRBO-1).

    Eriksson, Pearce, Gardner, Turner & Poloczek, NeurIPS 2019 (arXiv:1910.01739). The sides are proportional to the
    surrogate's length scales, where it tells them, with the geometric mean of the region's side length; most candidates
    share most coordinates with the centre. After a restart, points of a design are proposed. `raw` candidates are
    scored, and the best of them start `restarts` climbs where the acquisition can be differentiated.
    """

    raw: int = 2_000
    restarts: int = 4

    name: ClassVar[str] = "trust_region"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})
    needs_model: ClassVar[bool] = True

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Up to `request.n` candidates in the region, the best first; raises ValueError without a score or a cube."""
        space, score = request.problem.space, request.score
        if not isinstance(space, Parameters):
            raise ValueError(
                "The proposer 'trust_region' searches a space of parameters, and this space is not one. "
                "Use 'library' for a finite library or 'genetic' for molecules."
            )
        if score is None or request.dataset is None:
            raise ValueError("The proposer 'trust_region' works after the first fit. Use 'sobol' before it.")
        encoder = ParameterEncoder.of(space)
        region, centre = _located(request, request.dataset, encoder)
        if centre is None:
            return SobolDesign().propose(request)
        low, high = _box(centre, region.length, _weights(request, encoder))
        search = FeatureSearch(encoder, low, high)
        pool = search.allowed(self._pool(request, encoder, centre, low, high))
        function = self._function(request)
        if function is None:
            made = [candidate for candidate in encoder.decode(pool) if candidate is not None]
        else:
            rng = np.random.default_rng(derived_seed(request.seed, "region"))
            ends = search.maximise(function, pool, self.restarts, rng)
            # The box keeps the climbs, which may still end beside a constraint: then the pool's own best remain.
            rest = spread_out(pool, evaluate(function, pool), request.n)
            made = [c for c in encoder.decode(np.concatenate([ends, rest])) if c is not None]
        found = admissible(request, made)
        return best_first(found, score(found))[: request.n] if found else SobolDesign().propose(request)

    def _pool(
        self, request: ProposalRequest, encoder: ParameterEncoder, centre: Features, low: Features, high: Features
    ) -> Features:
        """Points of the box (``raw x d``) that differ from the centre in some coordinates."""
        d = encoder.dimension
        unit = unit_quasirandom(self.raw, d, derived_seed(request.seed, "raw"))
        rng = np.random.default_rng(derived_seed(request.seed, "mask"))
        changed = rng.random((self.raw, d)) < min(1.0, CHANGED / d)
        changed[np.arange(self.raw), rng.integers(0, d, self.raw)] = True
        points = low + (high - low) * unit
        categorical = list(encoder.categorical)
        points[:, categorical] = encoder.from_unit(unit)[:, categorical]
        return np.where(changed, points, centre)

    def _function(self, request: ProposalRequest) -> Callable[..., Any] | None:
        build = getattr(request.acquisition, "build", None)
        if build is None or request.model is None or not hasattr(request.model, "encode"):
            return None
        seed = derived_seed(request.seed, "acquisition")
        return cast(
            "Callable[..., Any]",
            build(request.problem, request.model, request.dataset, request.pending, seed=seed),
        )


def _located(request: ProposalRequest, dataset: Dataset, encoder: ParameterEncoder) -> tuple[Region, Features | None]:
    """The region after all labels at the target, and its centre in the encoded cube (d)."""
    problem, d = request.problem, encoder.dimension
    rows, utilities, feasible = labelled_utilities(problem, dataset)
    values = np.where(feasible, utilities[:, 0], np.nan)
    region = replay(values, design=max(5, min(2 * d, 20)), tolerance=max(4, d))
    if region.centre is None:  # nothing feasible yet: the least bad label will do, if there is one
        if region.since or not len(rows):
            return region, None
        region = Region(region.length, int(np.argmax(utilities[:, 0])), 0)
    centre = dataset.points[int(rows[cast(int, region.centre)])].candidate
    return region, encoder.encode([centre]).numpy()[0]


def _weights(request: ProposalRequest, encoder: ParameterEncoder) -> NDArray[np.float64]:
    """Relative side lengths (d) with geometric mean one; ones where the surrogate has no length scales."""
    told = request.model.hyperparameters() if request.model is not None else {}
    scales = dict(told.get(request.problem.objective.output, {})).get("length_scales", {})
    known = [float(scales.get(column.name, math.nan)) for column in encoder.columns]
    if not np.isfinite(known).all():
        return np.ones(len(known))
    logs = np.log(np.clip(known, 1e-3, 1e3))
    return np.asarray(np.exp(np.clip(logs - logs.mean(), -3, 3)), dtype=np.float64)


def _box(centre: Features, length: float, weights: NDArray[np.float64]) -> tuple[Features, Features]:
    half = 0.5 * length * weights
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
