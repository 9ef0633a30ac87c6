"""How well what was learned predicts labels that it had not seen: the data of a learning campaign's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from theoros.db import Store
from theoros.db.records import ModelVersionRecord
from theoros.models.data import Array
from theoros.models.twins.scoring import crps
from theoros.models.twins.scoring_calibration import LEVELS, central_coverage, uniformity
from theoros.models.twins.unseen import DRAWN, Unseen

#: Probabilities whose quantiles stand for a distribution that was told where nothing was drawn.
QUANTILES = (np.arange(1000) + 0.5) / 1000


@dataclass(frozen=True)
class Tested:
    """Labels of one output (p), in the order of asking, beside what was foreseen of them before they came.

    `inputs` are the numeric parameters of their candidates, p each. `pit` says where each label lay in what was
    foreseen, and `crps` scores that, in the output's unit: both of a twin's draws where it drew, and else of the
    distribution that was told (`theoros.models.forecast`).
    """

    output: str
    mean: Array
    observed: Array
    pit: Array
    crps: Array
    inputs: Mapping[str, Array]

    def row(self) -> list[str]:
        """Its line of `COLUMNS`."""
        error = float(np.sqrt(np.mean((self.observed - self.mean) ** 2)))
        coverage = [f"{central_coverage(self.pit, level):.1%}" for level in LEVELS]
        even = uniformity(self.pit)
        return [
            self.output,
            str(len(self.observed)),
            f"{error:.4g}",
            f"{np.mean(self.crps):.4g}",
            *coverage,
            f"{even:.2g}",
        ]


#: Headings of the table of scores; all but the first are numbers.
COLUMNS = ("output", "labels", "rmse", "CRPS", *(f"in {level:.0%}" for level in LEVELS), "p (uniform PIT)")


def foreseen(store: Store, campaign: str, outputs: Sequence[str]) -> list[Tested]:
    """What was predicted of each of `outputs` before its label came; those that were not tested are left out."""
    frame = store.checks(campaign)
    if not len(frame):
        return []
    drawn = _drawn(store.model_versions(campaign))
    data = {e.sequence: e.candidate.data for e in store.evaluations(campaign, ["done"])}
    found = []
    for output in outputs:
        own = frame[frame["output"] == output].sort_values("sequence")
        mean, std, observed = (own[name].to_numpy(dtype=np.float64) for name in ("mean", "std", "observed"))
        numbers = [int(number) for number in own["sequence"]]
        if not numbers:
            continue
        floor = np.maximum(std, 1e-300)
        tail = own["tail"].to_numpy(dtype=np.float64, na_value=np.inf)
        draws = mean + floor * stdtrit(tail, QUANTILES[:, None])
        scored = crps(draws[:, :, None], observed[:, None])[:, 0]
        scores = np.stack([stdtr(tail, (observed - mean) / floor), scored], axis=1)
        for row, number in enumerate(numbers):
            scores[row] = drawn.get((number, output), scores[row])
        inputs = numeric_inputs([data.get(number, {}) for number in numbers])
        found.append(Tested(output, mean, observed, scores[:, 0], scores[:, 1], inputs))
    return found


def numeric_inputs(data: Sequence[Mapping[str, object]]) -> dict[str, Array]:
    """The parameters (n each) that are numbers, and not all alike, in all candidates' data."""
    found = {}
    for name in dict.fromkeys(key for item in data for key in item):
        values = [item.get(name) for item in data]
        numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(values) and len(set(numbers)) > 1:
            found[name] = np.array(numbers)
    return found


def _drawn(versions: Sequence[ModelVersionRecord]) -> dict[tuple[int, str], tuple[float, float]]:
    """PIT and CRPS of twins' draws, by the number of the evaluation and the output."""
    found: dict[tuple[int, str], tuple[float, float]] = {}
    for version in versions:
        unseen = Unseen.recorded(version.hyperparameters.get(DRAWN))
        if unseen is None:
            continue
        for output, pits, scores in zip(unseen.outputs, unseen.pit, unseen.crps, strict=True):
            for number, pit, score in zip(unseen.labels, pits, scores, strict=True):
                if math.isfinite(pit):
                    found[number, output] = (pit, score)
    return found
