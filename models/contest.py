"""The choice of a surrogate by its rivals' predictions of labels that they had not seen."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from theoros.models import registry
from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Problem
from theoros.models.feasibility import SUCCEEDS, problem_of

logger = logging.getLogger(__name__)

#: Labels that rivals are first fitted to, and by how much each further block of labels adds to them. Rivals are fitted
#: once for each block, so that a contest costs a few fits for every doubling of the labels.
FIRST, GROWTH = 8, 1.25
#: Blocks that are remembered, and what a block counts beside the one after it.
REMEMBERED, DISCOUNT = 8, 0.8
#: Nats by which one label may speak for a rival at most, and by which a rival must lead to be taken. One label alone,
#: however far off it is, changes nothing.
MOST_A_LABEL, CLEAR = 2.0, 3.0
#: The least standard deviation of a prediction, relative to the labels' own, and the least log density.
SHARPEST, LEAST = 1e-6, -1e6


@dataclass(frozen=True)
class Block:
    """How rivals predicted labels: those of the dataset's rows before `end` that came after the block before.

    `labels` counts them; `gains` are each rival's sums of log densities (nats) less those of the first rival, zero for
    one that was not judged yet (`theoros.models.registry.judged_from`).
    """

    end: int
    labels: int
    gains: Mapping[str, float]


@dataclass(frozen=True)
class Contest:
    """Rivals and how they did, the last `blocks` of labels; plain data.

    A contest is a function of the labels alone, in the order of their decisions: one that is lost is the same when it
    is held again, and a campaign that is resumed goes on with the same leader.
    """

    rivals: tuple[str, ...]
    blocks: tuple[Block, ...] = field(default=())

    @property
    def leader(self) -> str:
        """The rival to be believed: the first one, until another leads clearly, and then that one until another does.

        It is found anew from the remembered blocks, the oldest first.
        """
        leader = self.rivals[0]
        for count in range(1, len(self.blocks) + 1):
            gains = _discounted(self.rivals, self.blocks[:count])
            best = max(self.rivals, key=lambda rival: gains[rival])
            if gains[best] - gains[leader] > CLEAR:
                leader = best
        return leader

    @property
    def gains(self) -> dict[str, float]:
        """By how many nats each rival leads over the first, old blocks discounted."""
        return _discounted(self.rivals, self.blocks)

    @property
    def labels(self) -> int:
        """Labels that rivals were judged by."""
        return sum(block.labels for block in self.blocks)

    def record(self) -> dict[str, Any]:
        """JSON data for the database: the leader, everybody's gain, and the blocks to go on from."""
        return {
            "leader": self.leader,
            "gains": self.gains,
            "labels": self.labels,
            "blocks": [{"end": b.end, "labels": b.labels, "gains": dict(b.gains)} for b in self.blocks],
        }

    @classmethod
    def recorded(cls, rivals: tuple[str, ...], record: Mapping[str, Any] | None) -> Contest:
        """The contest of a `record`; a new one without it, and where it is of other rivals."""
        blocks = tuple(
            Block(int(b["end"]), int(b["labels"]), dict(b["gains"])) for b in (record or {}).get("blocks", ())
        )
        return cls(rivals, blocks if all(set(block.gains) == set(rivals) for block in blocks) else ())


def held(contest: Contest, problem: Problem, dataset: Dataset) -> Contest:
    """`contest` with all blocks that `dataset` has completed since, judged by rivals fitted to the labels before each.

    Prequential assessment (Dawid, J. R. Stat. Soc. A 147, 278 (1984), doi:10.2307/2981683) in blocks: the logarithm
    of the density that a rival gave to a label counts, differences being limited to `MOST_A_LABEL`. Fits begin from
    nothing and have seeds of their own, so that the result depends on the labels alone: what slow gates turned away is
    no label, and has no part in it. One rival is no contest.
    """
    if len(contest.rivals) < 2:
        return contest
    ends = block_ends(dataset.decided)
    known = contest.blocks[-1].end if contest.blocks else 0
    new = [(start, end) for start, end in pairwise(ends) if end > known][-REMEMBERED:]
    blocks = [_judged(contest.rivals, problem, dataset, start, end) for start, end in new]
    return replace(contest, blocks=(*contest.blocks, *blocks)[-REMEMBERED:])


def block_ends(n: int) -> list[int]:
    """Up to `n`: `FIRST`, and then each number `GROWTH` times the one before."""
    ends, end = list[int](), FIRST
    while end <= n:
        ends.append(end)
        end = max(end + 2, math.ceil(GROWTH * end))
    return ends


def log_densities(problem: Problem, model: FittedSurrogate, dataset: Dataset, rows: Sequence[int]) -> Array:
    """The logarithm of the normal density that `model` gives to the labels of `rows` (n), summed over their outputs.

    Outputs are those that decide how good a candidate is; what a label lacks adds nothing. In units of each output's
    spread over all of `dataset`, which differences between models do not depend on.
    """
    prediction = model.predict([dataset.points[row] for row in rows])
    total = np.zeros(len(rows))
    for output in problem.judged:
        theirs, ours = prediction.outputs.index(output), dataset.outputs.index(output)
        values = np.asarray(dataset.values, dtype=np.float64)[:, ours]
        spread = float(np.nanstd(values)) if np.isfinite(values).sum() > 1 else 0.0
        unit = spread if spread > 0 else 1.0
        observed = values[list(rows)]
        std = np.maximum(prediction.label_std[:, theirs] / unit, SHARPEST)
        off = (observed - prediction.mean[:, theirs]) / unit / std
        with np.errstate(over="ignore", invalid="ignore"):
            density = -0.5 * off**2 - np.log(std) - 0.5 * math.log(2 * math.pi)
        density = np.maximum(np.nan_to_num(density, nan=LEAST, neginf=LEAST), LEAST)
        total += np.where(np.isfinite(observed), density, 0.0)
    return total


def _judged(rivals: Sequence[str], problem: Problem, dataset: Dataset, start: int, end: int) -> Block:
    """Fit all rivals to the rows before `start`, and hold those before `end` against them."""
    seen, dataset = _first(problem, dataset, start), _first(problem, dataset, end)
    columns = [dataset.outputs.index(output) for output in problem.judged]
    rows = [row for row in range(start, end) if np.isfinite(dataset.values[row, columns]).any()]
    present = [rival for rival in rivals if start >= registry.judged_from(rival)]
    densities = {rival: _densities_of(rival, problem, seen, dataset, rows) for rival in present}
    first = densities[rivals[0]]
    gains = {rival: float(np.clip(own - first, -MOST_A_LABEL, MOST_A_LABEL).sum()) for rival, own in densities.items()}
    return Block(end, len(rows), {rival: gains.get(rival, 0.0) for rival in rivals})


def _densities_of(rival: str, problem: Problem, seen: Dataset, dataset: Dataset, rows: Sequence[int]) -> Array:
    if not rows:
        return np.zeros(0)
    from theoros.models.sampling import derived_seed  # a specification is read without SciPy

    try:
        fitting = registry.for_many(rival, problem, len(seen))
        seed = derived_seed(0, "contest", rival, len(seen))
        model = registry.surrogate(fitting).fit(problem_of(problem, seen), seen, seed=seed)
        return log_densities(problem, model, dataset, rows)
    except Exception:
        logger.warning("the surrogate %r failed and loses this part of the contest", rival, exc_info=True)
        return np.full(len(rows), LEAST)


def _first(problem: Problem, dataset: Dataset, n: int) -> Dataset:
    """The first `n` rows as they were when there were no others: without an output for failures that came later."""
    outputs, values = dataset.outputs, dataset.values[:n]
    told = SUCCEEDS in outputs and SUCCEEDS not in problem.columns
    if told and (values[:, outputs.index(SUCCEEDS)] == 1).all():
        values = np.delete(values, outputs.index(SUCCEEDS), axis=1)
        outputs = tuple(output for output in outputs if output != SUCCEEDS)
    return Dataset(dataset.points[:n], outputs, values)


def _discounted(rivals: Sequence[str], blocks: Sequence[Block]) -> dict[str, float]:
    weights = [DISCOUNT**age for age in range(len(blocks) - 1, -1, -1)]
    return {rival: sum(w * block.gains[rival] for w, block in zip(weights, blocks, strict=True)) for rival in rivals}
