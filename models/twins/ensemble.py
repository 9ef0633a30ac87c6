"""What all twins share: an ensemble of conditional generative models, fitted, asked, drawn from and shipped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Problem
from theoros.models.surrogates.standardise import standardisation
from theoros.models.twins.array_components import LearnedArrays
from theoros.models.twins.conditions import Conditions, NaturalConditions
from theoros.models.twins.fitted import FittedEnsemble
from theoros.models.twins.lessons import Lessons, rehearse
from theoros.models.twins.members import Members, ignorant, train_members
from theoros.models.twins.networks import Size
from theoros.models.twins.options import configured
from theoros.models.twins.physics import Residual
from theoros.models.twins.shape import Shape
from theoros.models.twins.training import Table, Training, blind_to

#: Labels with an outcome from which on members are trained.
LEAST = 2


@dataclass(frozen=True)
class Twin(ABC):
    """An ensemble of conditional generative models of an oracle's answers, all outputs of an answer together.

    A member has a mean and a standard deviation of every output that depend on the conditions
    (`theoros.models.twins.location_scale`), and a `shape`, the family's own, of what remains
    (`theoros.models.twins.shape`): residual modelling as in Mardani et al., Commun. Earth Environ. 6 (2025),
    arXiv:2309.15214. Every member is blind to other labels: they tell it when to stop, and the ensemble how large the
    noise is. `residuals` are laws of physics that are taught along (`theoros.models.twins.physics`), and `reads` are
    outputs that are arrays: the scores of their principal components are outcomes like the others
    (`theoros.models.twins.array_components`). `device` is torch's name for where the fit runs, by default a GPU when
    one is granted; the fitted twin lies on the CPU.
    """

    training: Training = field(default_factory=Training)
    size: Size = field(default_factory=Size)
    shape_size: Size = field(default_factory=lambda: Size(width=32, depth=2, waves=16))
    residuals: tuple[Residual, ...] = ()
    reads: tuple[str, ...] = ()
    device: str | None = None

    name: ClassVar[str]
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples", "generative", "left_out"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters", "molecule"})

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The twin that a campaign file asks for (`theoros.models.twins.options`); raises ValueError."""
        return cls(**configured(options))

    def check(self, problem: Problem) -> None:
        """Raise OptionError, at no cost, for `residuals` that could not be taught in `problem`."""
        rehearse(self.residuals, problem)

    @abstractmethod
    def shape(self, members: int, conditions: int, outcomes: int, size: Size, generator: torch.Generator) -> Shape:
        """A fresh shape of the family."""

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedEnsemble:
        """Fit to all labels, from nothing; `previous` is returned when training goes astray.

        Raises ValueError when there are `residuals` and the space's candidates are not numbers and categories.
        """
        arrays = LearnedArrays.of(self.reads, dataset)
        labels = _Labels.of(problem, dataset, arrays.scores)
        lessons = self._lessons(problem, labels, seed)
        last = previous if isinstance(previous, FittedEnsemble) and previous.name == self.name else None
        fitted = FittedEnsemble(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            fidelities=problem.fidelities,
            conditions=labels.conditions,
            offset=labels.offset,
            scale=labels.scale,
            labels=tuple(int(count) for count in np.isfinite(labels.outcomes).sum(0)),
            ensemble=ignorant(self.training.members, labels.outcomes.shape[1]),
            lessons=lessons,
            components=arrays.components,
            message=arrays.message,
        )
        if len(labels.outcomes) < LEAST:
            return fitted
        try:
            apart = problem.space.kind == "parameters"  # nearly every molecule is somewhere beyond the others
            return replace(fitted, ensemble=self._trained(labels, lessons, seed, apart))
        except (ArithmeticError, RuntimeError) as error:  # out of memory on a device is a RuntimeError
            usable = last is not None and last.outputs == problem.outputs and last.fidelities == problem.fidelities
            stand_in = last if last is not None and usable else fitted
            return replace(stand_in, n_labels=len(dataset), fell_back=True, message=f"training failed ({error})")

    def _trained(self, labels: _Labels, lessons: Lessons | None, seed: int, apart: bool) -> Members:
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        table = Table(
            torch.from_numpy(labels.rows).float().to(device),
            torch.from_numpy(labels.outcomes).float().to(device),
            torch.from_numpy(labels.blind(self.training)).to(device),
        )
        sizes = (self.size, self.shape_size)
        return train_members(table, self.shape, self.training, sizes, lessons, seed=seed, apart=apart)

    def _lessons(self, problem: Problem, labels: _Labels, seed: int) -> Lessons | None:
        if not self.residuals:
            return None
        target = len(problem.fidelities) - 1
        natural = NaturalConditions.of(problem.space, labels.conditions, target)
        m = len(problem.outputs)
        standard = (torch.from_numpy(labels.offset[:m, target]), torch.from_numpy(labels.scale[:m, target]))
        return Lessons.of(self.residuals, natural, problem.outputs, standard, problem.space, seed)


@dataclass(frozen=True)
class _Labels:
    """Labels that have an outcome: scaled conditions ``n x d``, standardised outcomes ``n x m`` (NaN where one lacks),
    and offsets and scales ``m x fidelities``. Outcomes are the problem's outputs and then the scores of arrays.
    """

    dataset: Dataset
    kept: NDArray[np.int64]
    conditions: Conditions
    rows: Array
    outcomes: Array
    offset: Array
    scale: Array

    @classmethod
    def of(cls, problem: Problem, dataset: Dataset, scores: Array) -> _Labels:
        columns = [dataset.outputs.index(output) for output in problem.outputs]
        values = np.concatenate([np.asarray(dataset.values, dtype=np.float64)[:, columns], scores], axis=1)
        kept = np.flatnonzero(np.isfinite(values).any(1))
        values = np.where(np.isfinite(values[kept]), values[kept], np.nan)
        points = [dataset.points[int(row)] for row in kept]
        level = np.array([problem.fidelities.index(point.fidelity) for point in points], dtype=np.int64)
        candidates = [point.candidate for point in points]
        conditions = Conditions.of(problem.space, candidates, level, len(problem.fidelities))
        offset, scale = (np.empty((values.shape[1], len(problem.fidelities))) for _ in range(2))
        for k in range(values.shape[1]):
            there = np.isfinite(values[:, k])
            offset[k], scale[k] = standardisation(values[there, k], level[there], len(problem.fidelities))
        outcomes = (values - offset[:, level].T) / scale[:, level].T
        return cls(dataset, kept, conditions, conditions.rows(candidates, level), outcomes, offset, scale)

    def blind(self, training: Training) -> NDArray[np.bool_]:
        """Which of the labels each member does not see."""
        candidates = [self.dataset.points[int(row)].candidate for row in self.kept]
        return blind_to(candidates, training.members, training.folds)
