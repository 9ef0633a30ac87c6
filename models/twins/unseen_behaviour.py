"""How a twin behaves where it was asked for labels that it had not seen: laws, conserved quantities, and its speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

import numpy as np

from theoros.models.data import Array, Dataset, Point
from theoros.models.twins.contract import FittedTwin
from theoros.models.twins.scoring_process import Drift, Residuals
from theoros.models.twins.unseen import Score, together


@dataclass(frozen=True)
class RolledOut:
    """One roll-out of one member of a twin.

    `arrays` are outputs of the oracle that are arrays, as the twin has them. `conserved` are quantities that are to
    stay as they are (steps each, the first not zero), and `violations` say by how much laws are broken.
    """

    arrays: Mapping[str, Array]
    conserved: Mapping[str, Array] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class RollsOut(Protocol):
    """A twin whose answers are told of roll-outs. They are dear: `draws` of each member judge it, and no more."""

    draws: int

    def roll_out(self, point: Point, *, seed: int) -> RolledOut:
        """One roll-out at `point`."""
        ...


def behaviour(
    twin: FittedTwin, outputs: Sequence[str], points: Sequence[Point], *, seed: int
) -> tuple[list[Score], Mapping[str, Array]]:
    """Scores of a twin at `points` (p) of which it has seen no label, and the arrays that it made of the first, if any.

    ``violation_<law>`` says by how much laws are broken, root mean squares over members in the law's own units;
    ``drift_<quantity>`` how far a conserved quantity went astray at most, and ``_per_step`` on average, as shares: of a
    twin that rolls out both are of one roll-out at the first point. ``seconds`` of wall time is what one answer took,
    asked for alone.
    """
    name, started = together(outputs), time.perf_counter()
    made = twin.roll_out(points[0], seed=seed) if isinstance(twin, RollsOut) else None
    if made is None:
        twin.sample(points[:1], 1, seed=seed)
    single = Score(name, "seconds", time.perf_counter() - started, 1)
    if made is None:
        return [single, *_of_laws(name, twin, points, seed)], {}
    return [single, *_of_roll_out(name, made)], made.arrays


def speedups(dataset: Dataset, fidelity: str, seconds: Score, batched: float, oracle: str) -> list[Score]:
    """``speedup``: how many answers the twin gives, asked for one by one in so many `seconds`, while the oracle gives
    one at `fidelity`; and ``speedup_batched``, the same where one among many takes `batched` seconds.

    Which simulator that was, and how long it took, is told by ``seconds_of_<oracle>``: the median wall time of its
    labels, since the first may have to compile or load something. Empty where nobody measured it.
    """
    taken = [
        origin.seconds
        for origin, point in zip(dataset.origins, dataset.points, strict=False)
        if origin is not None and origin.seconds is not None and point.fidelity == fidelity
    ]
    if not taken:
        return []
    one = float(np.median(taken))
    return [
        Score(seconds.output, f"seconds_of_{oracle}", one, len(taken)),
        Score(seconds.output, "speedup", one / seconds.value, len(taken)),
        Score(seconds.output, "speedup_batched", one / batched, len(taken)),
    ]


def _of_laws(name: str, twin: FittedTwin, points: Sequence[Point], seed: int) -> list[Score]:
    violations = getattr(twin, "violations", None)
    if violations is None:
        return []
    told = cast(Mapping[str, Array], violations([point.candidate for point in points], seed=seed))
    return [Score(name, f"violation_{law}", Residuals.of(values).rms, len(points)) for law, values in told.items()]


def _of_roll_out(name: str, made: RolledOut) -> list[Score]:
    found = [Score(name, f"violation_{law}", value, 1) for law, value in made.violations.items()]
    for quantity, values in made.conserved.items():
        if len(values) > 1:
            drift = Drift.of(values[None])
            found.append(Score(name, f"drift_{quantity}", drift.largest, 1))
            found.append(Score(name, f"drift_{quantity}_per_step", drift.per_step, 1))
    return found
