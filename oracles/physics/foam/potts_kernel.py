"""The Potts model's Monte Carlo steps, compiled by numba. Importing this module imports numba."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def flip_sites(labels: Any, offsets: Any, acceptance: Any, attempts: int, rng: Any) -> None:
    """Make `attempts` to flip a site of the periodic lattice `labels` (L x L), in place.

    A site at random would copy one of its eight nearest neighbours (the first eight `offsets`, 20 x 2) at random. It
    does with the probability ``acceptance[d]``, where d is the growth of the number of unlike bonds between it and its
    neighbours at all `offsets`; always, where d is not positive.
    """
    size = labels.shape[0]
    for _ in range(attempts):
        draw = int(rng.random() * (8 * size * size))
        site, direction = draw // 8, draw % 8
        i, j = site // size, site % size
        own = labels[i, j]
        other = labels[(i + offsets[direction, 0]) % size, (j + offsets[direction, 1]) % size]
        if other == own:
            continue
        growth = 0
        for k in range(offsets.shape[0]):
            label = labels[(i + offsets[k, 0]) % size, (j + offsets[k, 1]) % size]
            if label == own:
                growth += 1
            elif label == other:
                growth -= 1
        if growth <= 0 or rng.random() < acceptance[growth]:
            labels[i, j] = other
