"""What a twin drew of labels that it had not seen, beside what came: kept with the model version that came of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from theoros.models.contract import Dataset, FittedSurrogate
from theoros.models.twins.contract import FittedTwin

#: The key of a model version's hyperparameters under which the record stands, beside the outputs.
DRAWN = "drawn"


@dataclass(frozen=True)
class Unseen:
    """Scores of draws for the labels of some evaluations, whose numbers are `labels` (p).

    For each of `outputs` (m) its `crps` in the output's unit and its `pit`, p each; `energy_score` (p) is of all
    outputs together, in units of their labels' deviations. NaN where a label lacks the output.
    """

    labels: tuple[int, ...]
    outputs: tuple[str, ...]
    crps: tuple[tuple[float, ...], ...]
    pit: tuple[tuple[float, ...], ...]
    energy_score: tuple[float, ...]

    @classmethod
    def of(
        cls,
        model: FittedSurrogate,
        outputs: Sequence[str],
        dataset: Dataset,
        rows: Sequence[int],
        labels: Sequence[int],
        *,
        seed: int,
    ) -> Unseen | None:
        """Of the labels in `rows` of `dataset`, which `model` has not seen; None where it draws none of `outputs`."""
        if not rows or not all(hasattr(model, name) for name in ("sample", "members", "outputs")):
            return None
        from theoros.models.twins.scoring import DRAWS, crps, energy_score, pooled
        from theoros.models.twins.scoring_calibration import pit

        twin = cast(FittedTwin, model)
        drawn = [output for output in twin.outputs if output in outputs]
        if not drawn:
            return None
        columns = [dataset.outputs.index(output) for output in drawn]
        values = np.asarray(dataset.values, dtype=np.float64)[:, columns]
        known, observed = np.delete(values, list(rows), axis=0), values[list(rows)]
        spread = np.array([float(np.std(own[np.isfinite(own)])) if np.isfinite(own).any() else 0.0 for own in known.T])
        samples = twin.sample([dataset.points[row] for row in rows], max(2, -(-DRAWS // twin.members)), seed=seed)
        draws = pooled(samples)[..., [twin.outputs.index(output) for output in drawn]]
        scored, pits = crps(draws, observed).T, pit(draws, observed).T
        energy = energy_score(draws, observed, np.where(spread > 0, spread, 1.0))
        return cls(
            tuple(labels),
            tuple(drawn),
            tuple(tuple(own.tolist()) for own in scored),
            tuple(tuple(own.tolist()) for own in pits),
            tuple(energy.tolist()),
        )

    def scores(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Means, and over how many labels, by output and metric: ``crps``, and for all outputs ``energy_score``."""
        found = {(output, "crps"): own for output, own in zip(self.outputs, self.crps, strict=True)}
        if len(self.outputs) > 1:
            found[", ".join(self.outputs), "energy_score"] = self.energy_score
        known = {key: [value for value in own if math.isfinite(value)] for key, own in found.items()}
        return {key: (float(np.mean(own)), len(own)) for key, own in known.items() if own}

    def record(self) -> dict[str, Any]:
        """JSON data for the database."""
        return {
            "labels": list(self.labels),
            "outputs": list(self.outputs),
            "crps": [[_plain(value) for value in own] for own in self.crps],
            "pit": [[_plain(value) for value in own] for own in self.pit],
            "energy_score": [_plain(value) for value in self.energy_score],
        }

    @classmethod
    def recorded(cls, record: Mapping[str, Any] | None) -> Unseen | None:
        """The inverse of `record`; None without one."""
        if not record:
            return None
        crps, pit = (tuple(tuple(map(_number, own)) for own in record[name]) for name in ("crps", "pit"))
        return cls(
            tuple(record["labels"]), tuple(record["outputs"]), crps, pit, tuple(map(_number, record["energy_score"]))
        )


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
