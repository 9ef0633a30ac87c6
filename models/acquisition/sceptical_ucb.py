"""Upper confidence bound under a prior that expects the worst: for spaces so large that nearly everything is bad."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import (
    FeatureAcquisition,
    GaussianBelief,
    belief_of,
    feature_scorer,
    hallucinated,
    standardised_bound,
)
from theoros.models.acquisition.joint_picks import upper_bounds_in_turn
from theoros.models.acquisition.ucb import upper_confidence_bound
from theoros.models.contract import FittedSurrogate, Score
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.surrogates.chain_blocks import BlockKernel
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import TaskMean
from theoros.oracles.candidate import Candidate

#: The weight of the standard deviation is drawn log-uniformly between 10 to the power of these.
WIDTHS = (-2.0, 0.0)
#: The prior's deviation in units of the range of the labels, and how far below the worst of them its mean lies.
DEVIATION, BELOW = 3.0, 1.0
#: The variance, relative to the prior's, of what a deterministic oracle's labels leave unexplained.
NUGGET = 1e-4


#: Counts of Morgan environments up to three bonds, and of elements and bonds: how alike molecules are to the sceptic.
FINGERPRINT = FingerprintEncoder(pairs=0, levels=0)


@dataclass(frozen=True)
class ScepticalUpperBound:
    """mean + w · std under a Gaussian process whose prior mean lies below the worst label, and whose deviation is wide.

    In a space of drug-like molecules all but a few are bad, while a fitted process believes them to be like the average
    of its labels, and spends its calls on finding out. This is the recipe of Tripp & Hernández-Lobato
    (arXiv:2406.07709), who give scores between zero and one a prior mean of 0 and a prior deviation of 1, in units of
    the labels' range (`DEVIATION`, `BELOW`), so that an objective's own unit does not matter. Prior mean, prior
    variance and noise are fixed. Molecules are as alike as `FINGERPRINT` says; elsewhere points are as alike as the
    fitted process believes. `w` is drawn anew for every pick, log-uniformly in [0.01, 1]:
    near 0.01 it takes what is like the best, near 1 what is like nothing. Pending points are hallucinated at their
    means; constraints are seen optimistically by the fitted process, as `theoros.models.acquisition.ucb` does.

    What the surrogate predicts and how it is calibrated is untouched: the prior is that of the search alone.
    """

    name: ClassVar[str] = "sceptical_ucb"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def build(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> FeatureAcquisition:
        """The acquisition as a BoTorch function over features, which are those of the fitted process."""
        return _bound(problem, _Sceptic.of(problem, belief_of(model), dataset, own=False), pending, seed)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Upper confidence bounds of candidates: the worst label is 1/3, the best 2/3, and what is like none 0 + w."""
        belief = _Sceptic.of(problem, belief_of(model), dataset)
        return feature_scorer(cast(Any, belief), _bound(problem, belief, pending, seed))

    def batch(
        self,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        pending: Sequence[Point],
        candidates: Sequence[Candidate],
        n: int,
        *,
        seed: int,
    ) -> list[Pick] | None:
        """For each of `n` weights its best candidate, beside what is pending and was picked."""
        belief = _Sceptic.of(problem, belief_of(model), dataset)
        return upper_bounds_in_turn(problem, belief, pending, candidates, _widths(n, seed) ** 2)


def _bound(problem: Problem, belief: GaussianBelief, pending: Sequence[Point], seed: int) -> FeatureAcquisition:
    models = {name: hallucinated(belief, name, pending) for name in problem.judged}
    bounds = [standardised_bound(belief, constraint) for constraint in problem.constraints]
    beta = float(_widths(1, seed)[0]) ** 2
    return upper_confidence_bound(models, problem.objective, bounds, beta, len(problem.fidelities) - 1)


def _widths(n: int, seed: int) -> Array:
    return np.asarray(10 ** np.random.default_rng(seed).uniform(*WIDTHS, n), dtype=np.float64)


@dataclass(frozen=True)
class _Sceptic:
    """A belief whose objective has the sceptical prior; a `GaussianBelief` itself.

    With features of its `own` it reads `FINGERPRINT`, and where constraints ask for the fitted processes of other
    outputs, `beside` it what those read.
    """

    belief: GaussianBelief
    objective: str
    sceptical: OutputModel
    own: bool = False
    beside: bool = False

    @classmethod
    def of(cls, problem: Problem, belief: GaussianBelief, dataset: Dataset, *, own: bool = True) -> GaussianBelief:
        """The sceptical process of the labels; over molecules with its `own` features.

        The search and the choice after it ask for the same one: it is made once.
        """
        global _last
        asked = (problem.objective, problem.constraints, problem.fidelities, problem.deterministic)
        if own and _last is not None and _last.holds(belief, dataset, asked):
            return _last.made
        made = cls._made(problem, belief, dataset, own=own)
        if own:
            _last = _Made(weakref.ref(belief), weakref.ref(dataset), asked, made)
        return made

    @classmethod
    def _made(cls, problem: Problem, belief: GaussianBelief, dataset: Dataset, *, own: bool) -> GaussianBelief:
        goal, fitted = problem.objective, belief.output(problem.objective.output)
        if not own or problem.space.kind != "molecule":
            made = cls(belief, goal.output, sceptical(problem, fitted))
        else:
            beside = any(constraint.output != goal.output for constraint in problem.constraints)
            made = cls(belief, goal.output, _of_molecules(problem, fitted, dataset), True, beside)
        return cast(GaussianBelief, made)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Those of the belief."""
        return self.belief.outputs

    @property
    def fidelities(self) -> tuple[str, ...]:
        """Those of the belief."""
        return self.belief.fidelities

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """As the belief encodes them, or as the sceptic does."""
        if not self.own:
            return self.belief.encode(candidates)
        features = FINGERPRINT.encode(candidates)
        return torch.cat([features, self.belief.encode(candidates)], dim=1) if self.beside else features

    def output(self, name: str) -> OutputModel:
        """The process of an output: the sceptical one of the objective."""
        if name == self.objective:
            return self.sceptical
        fitted = self.belief.output(name)
        return replace(fitted, columns=slice(FINGERPRINT.dimension, None)) if self.beside else fitted

    def fidelity_indices(self, points: Sequence[Point]) -> list[int]:
        """As the belief counts them."""
        return self.belief.fidelity_indices(points)


def sceptical(problem: Problem, model: OutputModel) -> OutputModel:
    """The process of the objective with the sceptical prior, in units of its deviation.

    Utilities, by the sense of the objective, are 0 at the prior mean, 1/3 at the worst label and 2/3 at the best.
    Labels' variances beyond what all share (outliers that are doubted) are kept, and with a noisy oracle all of them.
    """
    fitted = model.posterior
    return _sceptical(problem, model, _Evidence(fitted.kernel, fitted.X, fitted.Y, fitted.noise))


class _Made(NamedTuple):
    """The sceptic of a belief and a dataset, neither of which ever changes, and of what is asked of them."""

    belief: weakref.ref[GaussianBelief]
    dataset: weakref.ref[Dataset]
    asked: tuple[Any, ...]
    made: GaussianBelief

    def holds(self, belief: GaussianBelief, dataset: Dataset, asked: tuple[Any, ...]) -> bool:
        """Whether it is that of these."""
        return self.belief() is belief and self.dataset() is dataset and self.asked == asked


_last: _Made | None = None


class _Evidence(NamedTuple):
    """Standardised labels ``n x 1`` at the inputs of a kernel, with their variances (n)."""

    kernel: torch.nn.Module
    X: Tensor
    Y: Tensor
    noise: Tensor


def _sceptical(problem: Problem, model: OutputModel, fitted: _Evidence) -> OutputModel:
    sense = 1.0 if problem.objective.sense == "maximize" else -1.0
    utility = sense * fitted.Y
    at_target = fitted.X[:, -1] == model.structure.tasks - 1 if model.structure.tasks > 1 else slice(None)
    known = utility[at_target] if len(utility[at_target]) else utility
    worst = float(known.min()) if len(known) else 0.0
    spread = (float(known.max()) - worst if len(known) else 0.0) or 1.0
    unit = DEVIATION * spread
    own = fitted.noise - fitted.noise.min() if problem.deterministic and len(fitted.noise) else fitted.noise
    mean = TaskMean(model.structure.tasks, priors=False).requires_grad_(False).eval()
    kernel, Y = _Correlation(fitted.kernel), sense * (utility - worst + BELOW * spread) / unit
    posterior = Posterior.of(cast(Any, kernel), mean, fitted.X, Y, NUGGET + own / unit**2)
    zero = sense * (worst - BELOW * spread)  # in the units of the fitted process
    return replace(model, posterior=posterior, offset=model.offset + model.scale * zero, scale=model.scale * unit)


def _of_molecules(problem: Problem, model: OutputModel, dataset: Dataset) -> OutputModel:
    """The sceptic's process of the labels at the target fidelity, with features and a kernel of its own."""
    column = np.asarray(dataset.values, dtype=np.float64)[:, dataset.outputs.index(problem.objective.output)]
    rows = [i for i, point in enumerate(dataset.points) if np.isfinite(column[i]) and point.fidelity == problem.target]
    structure = replace(model.structure, dimension=FINGERPRINT.dimension, tasks=1, blocks=FINGERPRINT.blocks)
    kernel = BlockKernel(structure.blocks, torch.ones(len(structure.blocks), dtype=torch.float64))
    X = FINGERPRINT.encode([dataset.points[row].candidate for row in rows])
    Y = torch.from_numpy(model.standardised(column[rows], -1)).unsqueeze(-1)
    noise = torch.full((len(rows),), model.noise, dtype=torch.float64)
    own = replace(model, structure=structure, columns=slice(FINGERPRINT.dimension))
    return _sceptical(problem, own, _Evidence(kernel, X, Y, noise))


class _Correlation(torch.nn.Module):
    """A kernel divided by the deviations of its two points, so that every prior variance is one.

    The part of it that is one for all points is an unknown mean, and the sceptic knows his.
    """

    def __init__(self, kernel: torch.nn.Module) -> None:
        super().__init__()
        own: Any = copy.copy(kernel)  # shares its parts and parameters
        if hasattr(own, "constant"):
            own.constant = 0.0
        self.kernel = own

    def forward(self, x1: Tensor, x2: Tensor | None = None, diag: bool = False) -> Any:
        """Return ``n x m`` for ``n x d`` and ``m x d``; ones (n) with `diag`."""
        if diag:
            return torch.ones(len(x1), dtype=x1.dtype)
        one, two = (cast(Tensor, self.kernel(x, diag=True)).sqrt() for x in (x1, x1 if x2 is None else x2))
        matrix = cast(Any, self.kernel(x1) if x2 is None else self.kernel(x1, x2)).to_dense()
        return matrix / (one.unsqueeze(-1) * two.unsqueeze(-2))
