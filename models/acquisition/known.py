"""What improvement is measured against: labels, and what is not known yet drawn from the belief."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from theoros.models.acquisition.base import GaussianBelief, labelled_at_target, pending_features
from theoros.models.data import Dataset, Point, Problem
from theoros.models.pareto import non_dominated
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.output_model import OutputModel

#: Labelled candidates whose noise-free value is integrated over when labels are noisy: those that may be the best.
UNCERTAIN_INCUMBENTS = 12


@dataclass(frozen=True)
class Known:
    """Where values are fixed by labels (rows of the dataset) and where they are drawn (features and fidelities)."""

    dataset: Dataset
    fixed: list[int]
    features: Tensor
    fidelity: list[int]
    target: int

    @classmethod
    def of(cls, problem: Problem, belief: GaussianBelief, dataset: Dataset, pending: Sequence[Point]) -> Known:
        """Gather them; `realised` draws."""
        target = len(problem.fidelities) - 1
        rows = labelled_at_target(problem, dataset)
        features, fidelity = pending_features(belief, pending)
        if not problem.deterministic and rows:
            promising = _promising(problem, belief, dataset, rows)
            features = torch.cat([belief.encode([dataset.points[row].candidate for row in promising]), features])
            return cls(dataset, [], features, [target] * len(promising) + fidelity, target)
        return cls(dataset, rows, features, fidelity, target)

    def realised(self, belief: GaussianBelief, output: str, samples: int, seed: int) -> tuple[OutputModel, Tensor]:
        """The process under each draw, and the values ``k x s`` of the output at the places that may be the best."""
        model = belief.output(output)
        values = self._labels(belief, model, output)
        if not self.fidelity:
            return model, values
        drawn = model.posterior.sample(model.inputs(self.features, self.fidelity), samples, seed=seed)
        at_target = torch.tensor([f == self.target for f in self.fidelity])
        conditioned = model.conditioned(self.features, self.fidelity, drawn)
        return conditioned, torch.cat([values.expand(-1, samples), drawn[at_target]])

    def judged(
        self, problem: Problem, belief: GaussianBelief, samples: int, seed: int
    ) -> tuple[dict[str, OutputModel], dict[str, Tensor]]:
        """What `realised` gives for each output that decides how good a candidate is, by its name."""
        both = {name: self.realised(belief, name, samples, derived_seed(seed, name)) for name in problem.judged}
        return {name: model for name, (model, _) in both.items()}, {name: values for name, (_, values) in both.items()}

    def _labels(self, belief: GaussianBelief, model: OutputModel, output: str) -> Tensor:
        if not self.fixed:
            return torch.zeros(0, 1, dtype=torch.float64)
        column = self.dataset.values[self.fixed, self.dataset.outputs.index(output)]
        values = torch.from_numpy(model.standardised(column, -1))
        if not bool(values.isfinite().all()):  # a label may lack this output: then its mean stands in
            features = belief.encode([self.dataset.points[row].candidate for row in self.fixed])
            with torch.no_grad():
                means, _ = model.posterior.moments(model.inputs(features, self.target))
            values = torch.where(values.isfinite(), values, means[:, 0])
        return values.unsqueeze(-1)


def _promising(problem: Problem, belief: GaussianBelief, dataset: Dataset, rows: list[int]) -> list[int]:
    """Of the labelled rows, one for each candidate, those whose noise-free values are believed to be among the best.

    With several objectives the best of each, and what is not dominated by the means.
    """
    distinct = list({dataset.points[row].candidate.hash: row for row in rows}.values())
    features = belief.encode([dataset.points[row].candidate for row in distinct])
    kept: dict[int, None] = {}
    means = []
    for goal in problem.objectives:
        model = belief.output(goal.output)
        with torch.no_grad():
            mean, variance = model.posterior.moments(model.inputs(features, len(problem.fidelities) - 1))
        utility = goal.standardised(float(model.offset[-1]), float(model.scale[-1])).utility(mean[:, 0])
        means.append(utility.numpy())
        order = torch.argsort(utility + variance.sqrt(), descending=True, stable=True)
        kept |= dict.fromkeys(int(index) for index in order[:UNCERTAIN_INCUMBENTS])
    if len(means) > 1:
        front = np.flatnonzero(non_dominated(np.stack(means, axis=1)))
        kept |= dict.fromkeys(front[:UNCERTAIN_INCUMBENTS].tolist())
    return [distinct[index] for index in kept]
