"""Thompson sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from theoros.models.acquisition.base import CHUNK, GaussianBelief, belief_of, standardised_bound
from theoros.models.acquisition.ucb import VIOLATION_WEIGHT
from theoros.models.contract import Array, Dataset, FittedSurrogate, Point, Problem, Score
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.gaussian_process import OutputModel
from theoros.oracles.candidate import Candidate

#: Values of a sample path that are remembered; what lies further back in one scorer's life may be drawn anew.
REMEMBERED = 1_500
BLOCK = 500


@dataclass(frozen=True)
class Thompson:
    """One draw of the objective's posterior: a candidate is chosen as often as it is believed to be the best.

    Thompson, Biometrika 25, 285 (1933); Kandasamy et al., AISTATS 2018, arXiv:1705.09236, for asynchronous workers,
    whose pending points need no other care than a fresh draw for each decision. The path is revealed where it is
    asked: values drawn earlier are conditioned on, so one scorer is one function. Constraints are drawn too.
    """

    name: ClassVar[str] = "thompson"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Values of the drawn path, standardised, less a penalty where a drawn constraint is violated."""
        belief = belief_of(model)
        names = dict.fromkeys([problem.objective, *(constraint.output for constraint in problem.constraints)])
        paths = {name: _Path(belief, name, derived_seed(seed, name)) for name in names}
        bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
        sign = 1.0 if problem.maximize else -1.0

        def score(candidates: Sequence[Candidate]) -> Array:
            drawn = {name: path.at(candidates) for name, path in paths.items()}
            values = sign * drawn[problem.objective]
            for bound in bounds:
                violation = bound.sign * drawn[bound.output] - bound.limit
                values = values - VIOLATION_WEIGHT * np.maximum(violation, 0.0)
            return np.nan_to_num(values, nan=-np.inf)

        return score


class _Path:
    """One sample path of an output at the target fidelity, revealed where it is asked."""

    def __init__(self, belief: GaussianBelief, output: str, seed: int) -> None:
        self._belief, self._seed, self._calls = belief, seed, 0
        self._model: OutputModel = belief.output(output)
        self._target = len(belief.fidelities) - 1
        self._known: dict[str, float] = {}

    def at(self, candidates: Sequence[Candidate]) -> Array:
        new = list({c.hash: c for c in candidates if c.hash not in self._known}.values())
        for start in range(0, len(new), min(BLOCK, CHUNK)):
            self._reveal(new[start : start + BLOCK])
        return np.array([self._known[candidate.hash] for candidate in candidates], dtype=np.float64)

    def _reveal(self, candidates: Sequence[Candidate]) -> None:
        features = self._belief.encode(candidates)
        inputs = self._model.inputs(features, self._target)
        self._calls += 1
        drawn = self._model.posterior.sample(inputs, 1, seed=derived_seed(self._seed, self._calls))
        if len(self._known) + len(candidates) <= REMEMBERED:
            with torch.no_grad():
                self._model = self._model.conditioned(features, [self._target] * len(candidates), drawn)
        self._known.update(zip((c.hash for c in candidates), drawn[:, 0].tolist(), strict=True))
