"""Which of several points no other one is better than in everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theoros.models.data import Array


def non_dominated(utilities: Array) -> NDArray[np.bool_]:
    """Whether no other row of `utilities` (``n x m``, larger is better) is as good everywhere and better somewhere.

    Equal rows do not dominate each other. Rows are looked at from the best sum down, so that each needs to be held
    against the front alone (Kung, Luccio & Preparata, J. ACM 22, 469 (1975), doi:10.1145/321906.321910, for the idea).
    """
    found = np.zeros(len(utilities), dtype=bool)
    front = np.empty((0, utilities.shape[1]))
    for row in np.lexsort((*utilities.T[::-1], utilities.sum(1)))[::-1]:
        point = utilities[row]
        as_good = (front >= point).all(1)
        if not (as_good & (front > point).any(1)).any():
            found[row] = True
            front = np.concatenate([front, point[None]])
    return found


def ranks(utilities: Array, most: int | None = None) -> NDArray[np.int64]:
    """The front of every row (n): 0 for those that nothing dominates, 1 for those that only these do, and so on.

    Non-dominated sorting of Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002), doi:10.1109/4235.996017. Once `most`
    rows have their fronts all others share the next one.
    """
    found = np.full(len(utilities), -1, dtype=np.int64)
    left, level = np.arange(len(utilities)), 0
    while len(left) and (most is None or len(utilities) - len(left) < most):
        front = non_dominated(utilities[left])
        found[left[front]] = level
        left, level = left[~front], level + 1
    found[left] = level
    return found
