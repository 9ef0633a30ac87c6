"""Labels in units in which every fidelity has mean zero and variance one."""

from __future__ import annotations

from typing import Any

import numpy as np

from theoros.models.data import Array


def standardisation(y: Array, fidelity: np.ndarray[Any, np.dtype[np.int64]], fidelities: int) -> tuple[Array, Array]:
    """Offsets and scales by fidelity; one without labels takes those of the labelled one that is nearest the truth."""
    offset, scale = np.zeros(fidelities), np.ones(fidelities)
    labelled = sorted(set(fidelity.tolist()))
    for f in labelled:
        mine = y[fidelity == f]
        offset[f] = mine.mean()
        spread = mine.std(ddof=1) if len(mine) > 1 else 0.0
        scale[f] = spread if spread > 1e-10 * max(1e-300, abs(offset[f])) else 0.0
    wide = [f for f in labelled if scale[f] > 0]
    for f in range(fidelities):
        if f not in labelled and labelled:
            offset[f] = offset[labelled[-1]]
        if (f not in labelled and labelled) or (f in labelled and scale[f] == 0):
            scale[f] = scale[wide[-1]] if wide else 1.0
    return offset, scale
