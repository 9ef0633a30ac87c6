"""What a surrogate believes of a candidate that somebody has in mind."""

from __future__ import annotations

from dataclasses import dataclass

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Point, Problem
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate

#: Probabilities of the intervals that people are shown.
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Belief:
    """A prediction of one output at one fidelity, in the output's unit.

    `std` is the scale (`theoros.models.forecast`) of the noise-free value, `label_std` that of a label; `intervals`
    maps a probability to the bounds between which a label lies with it.
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
    beliefs = []
    for row, fidelity in enumerate(problem.fidelities):
        for column, output in enumerate(prediction.outputs):
            mean, std, label_std = (
                float(part[row, column]) for part in (prediction.mean, prediction.std, prediction.label_std)
            )
            value, label = widening.told(output, mean, std), widening.told(output, mean, label_std)
            intervals = {level: label.interval(level) for level in LEVELS}
            beliefs.append(Belief(output, fidelity, mean, value.std, label.std, intervals))
    return beliefs
