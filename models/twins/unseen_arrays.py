"""What a twin drew of arrays that it had not seen: scores of them, and the draws of one label, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from theoros.models.data import Array, Dataset
from theoros.models.twins.contract import DrawsArrays
from theoros.models.twins.scoring import crps, pooled
from theoros.models.twins.scoring_calibration import central_coverage, pit
from theoros.models.twins.unseen import Score

#: Draws in all, over all members, by which a label's array is judged; and so many labels of one fit are, at most.
DRAWS, MOST = 64, 32
#: The share of cells that should lie in the central interval.
LEVEL = 0.9


@dataclass(frozen=True)
class UnseenArrays:
    """`scores` of arrays, and what was `drawn` of the label in `row` of the dataset: by name one draw of each member,
    ``members x *shape``. Nothing is drawn, and `row` is None, where no label has an array like those that were learned.
    """

    scores: tuple[Score, ...] = ()
    drawn: Mapping[str, Array] = field(default_factory=dict)
    row: int | None = None

    @classmethod
    def of(cls, twin: DrawsArrays, dataset: Dataset, rows: Sequence[int], *, seed: int) -> UnseenArrays:
        """Of the labels in `rows`, which `twin` has not seen, the first ones where they are very many.

        For each array ``crps``, in its unit, and ``draws_coverage_90``: the share of its cells inside the central
        interval of what was drawn. Both are means over cells and labels.
        """
        each = max(2, -(-DRAWS // twin.members))
        told: dict[str, list[tuple[float, float]]] = {name: [] for name in twin.arrays}
        drawn, pictured = dict[str, Array](), None
        for row in rows[:MOST]:
            found = twin.sample_arrays([dataset.points[row]], each, seed=seed)
            for name, samples in found.items():
                own = _read(dataset, name, row)
                if own is None or own.shape != samples.shape[3:]:
                    continue
                draws = pooled(samples).reshape(-1, 1, own.size)
                places = pit(draws, own.reshape(1, -1))
                missed = float(crps(draws, own.reshape(1, -1)).mean())
                told[name].append((missed, central_coverage(places, LEVEL)))
                if pictured in (None, row):
                    drawn[name], pictured = samples[:, 0, 0], row
        scores = [
            Score(name, metric, float(np.mean([one[k] for one in own])), len(own))
            for name, own in told.items()
            for k, metric in enumerate(("crps", f"draws_coverage_{100 * LEVEL:.0f}"))
            if own
        ]
        return cls(tuple(scores), drawn, pictured)


def _read(dataset: Dataset, name: str, row: int) -> Array | None:
    """The array of a label; None where it has none that can be compared."""
    structure = dataset.structures[name][row] if name in dataset.structures else None
    try:
        array = np.asarray(structure.read(), dtype=np.float64) if structure is not None else None
    except Exception:  # the store's own, which this room does not know: a lost artifact can't be compared
        return None
    return array if array is not None and np.isfinite(array).all() else None
