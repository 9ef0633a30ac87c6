"""What a surrogate believes of a candidate that somebody has in mind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Point, Problem
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate

#: Probabilities of the intervals that people are shown.
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Belief:
    """A prediction of one output at one fidelity, in the output's unit.

    `std` is the standard deviation of the noise-free value, `label_std` that of a label; `intervals` maps a probability
    to the bounds between which a label lies with it.
    """

    output: str
    fidelity: str
    mean: float
    std: float
    label_std: float
    intervals: dict[float, tuple[float, float]]


def what_if(model: FittedSurrogate, problem: Problem, candidate: Candidate, widening: Widening) -> list[Belief]:
    """What is believed of `candidate`, widened, for every output at every fidelity, the cheapest first."""
    prediction = model.predict([Point(candidate, fidelity) for fidelity in problem.fidelities])
    factors = np.array([widening.factor(output) for output in prediction.outputs])
    std, spread = factors * prediction.std, factors * prediction.label_std
    return [
        _belief(output, fidelity, *(float(part[row, column]) for part in (prediction.mean, std, spread)))
        for row, fidelity in enumerate(problem.fidelities)
        for column, output in enumerate(prediction.outputs)
    ]


def _belief(output: str, fidelity: str, mean: float, std: float, label_std: float) -> Belief:
    widths = {level: float(norm.ppf(0.5 + level / 2)) * label_std for level in LEVELS}
    return Belief(
        output, fidelity, mean, std, label_std, {p: (mean - width, mean + width) for p, width in widths.items()}
    )
