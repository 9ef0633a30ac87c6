"""What a twin drew of labels that it had not seen, beside what came: kept with the model version that came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset
from theoros.models.twins.contract import FittedTwin

#: The key of a model version's hyperparameters under which the record stands, beside the outputs.
DRAWN = "drawn"
#: In that record, where the version keeps arrays that the twin made: the number of the evaluation that they are of.
PICTURED = "pictured"

#: Numbers of each output (m) for each label (p).
Columns = tuple[tuple[float, ...], ...]


class Score(NamedTuple):
    """One figure of merit over `n` labels; `output` names several, with commas, where it is of them together."""

    output: str
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class Unseen:
    """Scores of draws for the labels of some evaluations, whose numbers are `labels` (p).

    For each of `outputs` (m) its `crps` in the output's unit and its `pit`, p each, and the CRPS `believed` to be the
    process's own: that of a process that scatters as the twin's members do. `energy_score` (p) is of all outputs
    together, in units of their labels' deviations. `draw` is one answer that the twin drew of each label, and
    `mean` and `std` are those of the other draws, m times p in the outputs' units. NaN where a label lacks the output,
    and where a record is older than the field. `seconds` of wall time are what one of the draws took.
    """

    labels: tuple[int, ...]
    outputs: tuple[str, ...]
    crps: Columns
    pit: Columns
    energy_score: tuple[float, ...]
    draw: Columns
    mean: Columns
    std: Columns
    believed: Columns
    seconds: float = field(default=math.nan, compare=False)

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
        """Of the labels in `rows` of `dataset`, which `model` has not seen; None where it draws none of `outputs`.

        A twin whose draws are dear says by `draws` how many of each member it is judged by (`RollsOut`).
        """
        twin = as_twin(model)
        drawn = [output for output in twin.outputs if output in outputs] if twin is not None and rows else []
        if twin is None or not drawn:
            return None
        from theoros.models.twins.scoring import DRAWS, crps, energy_score, own_crps, pooled
        from theoros.models.twins.scoring_calibration import pit

        columns = [dataset.outputs.index(output) for output in drawn]
        values = np.asarray(dataset.values, dtype=np.float64)[:, columns]
        known, observed = np.delete(values, list(rows), axis=0), values[list(rows)]
        spread = np.array([float(np.std(own[np.isfinite(own)])) if np.isfinite(own).any() else 0.0 for own in known.T])
        each = max(2, int(getattr(model, "draws", -(-DRAWS // twin.members))))
        started = time.perf_counter()
        samples = twin.sample([dataset.points[row] for row in rows], each, seed=seed)
        seconds = (time.perf_counter() - started) / (twin.members * each * len(rows))
        samples = samples[..., [twin.outputs.index(output) for output in drawn]]
        draws = pooled(samples)
        energy = energy_score(draws, observed, np.where(spread > 0, spread, 1.0))
        one, others = _one_apart(draws, seed)
        return cls(
            tuple(labels),
            tuple(drawn),
            _columns(crps(draws, observed)),
            _columns(pit(draws, observed)),
            tuple(energy.tolist()),
            _columns(one),
            _columns(others.mean(0)),
            _columns(others.std(0, ddof=1)),
            _columns(np.mean([own_crps(own) for own in samples], axis=0)),
            seconds,
        )

    def scores(self) -> list[Score]:
        """Means over the labels: ``crps`` of each output, and of all of them together ``energy_score``."""
        found = {(output, "crps"): own for output, own in zip(self.outputs, self.crps, strict=True)}
        if len(self.outputs) > 1:
            found[together(self.outputs), "energy_score"] = self.energy_score
        known = {key: [value for value in own if math.isfinite(value)] for key, own in found.items()}
        return [Score(*key, float(np.mean(own)), len(own)) for key, own in known.items() if own]

    def only(self, places: Sequence[int]) -> Unseen:
        """The record of some of the labels."""
        kept: dict[str, Any] = {
            name: tuple(tuple(own[i] for i in places) for own in getattr(self, name)) for name in _COLUMNS
        }
        energy = tuple(self.energy_score[i] for i in places)
        return replace(self, labels=tuple(self.labels[i] for i in places), energy_score=energy, **kept)

    def record(self) -> dict[str, Any]:
        """JSON data for the database."""
        return {
            "labels": list(self.labels),
            "outputs": list(self.outputs),
            "energy_score": [_plain(value) for value in self.energy_score],
        } | {name: [[_plain(value) for value in own] for own in getattr(self, name)] for name in _COLUMNS}

    @classmethod
    def recorded(cls, record: Mapping[str, Any] | None) -> Unseen | None:
        """The inverse of `record`, but for the time that it took; None without one."""
        if not record:
            return None
        labels, outputs = tuple(record["labels"]), tuple(record["outputs"])
        unknown = [[None] * len(labels)] * len(outputs)
        columns: dict[str, Any] = {
            name: tuple(tuple(map(_number, own)) for own in record.get(name, unknown)) for name in _COLUMNS
        }
        return cls(labels, outputs, energy_score=tuple(map(_number, record["energy_score"])), **columns)


#: The fields of `Unseen` that have a number for each output and label.
_COLUMNS = ("crps", "pit", "draw", "mean", "std", "believed")


def as_twin(model: FittedSurrogate) -> FittedTwin | None:
    """The model, if it draws answers."""
    drawing = all(hasattr(model, name) for name in ("sample", "members", "outputs"))
    return cast(FittedTwin, model) if drawing else None


def together(outputs: Sequence[str]) -> str:
    """What outputs are called in a score that is of all of them."""
    return ", ".join(outputs)


def _one_apart(draws: Array, seed: int) -> tuple[Array, Array]:
    """For each point one of the draws, ``S x p x m``, by lot, and the others: which say nothing of that one."""
    n = len(draws)
    chosen = np.random.default_rng([seed, n]).integers(n, size=draws.shape[1])
    others = (chosen + np.arange(1, n)[:, None]) % n
    places = np.arange(draws.shape[1])
    return draws[chosen, places], draws[others, places]


def _columns(values: Array) -> Columns:
    """``p x m`` as m rows of p."""
    return tuple(tuple(own.tolist()) for own in values.T)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
