"""Seeds and quasi-random numbers: every draw in this room comes from an explicit seed."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


def derived_seed(seed: int, *labels: int | str) -> int:
    """A seed that depends on `seed` and on what it is for, so that two uses of one seed do not share numbers."""
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for label in labels:
        words.extend(label.encode() if isinstance(label, str) else [label & 0xFFFFFFFF])
        words.append(256)  # closes a label: ("ab", "c") is not ("a", "bc")
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def unit_quasirandom(n: int, d: int, seed: int) -> NDArray[np.float64]:
    """`n` scrambled Sobol points in the open unit cube of dimension `d`: ``n x d``.

    Owen scrambling (Owen, J. Complexity 14, 466 (1998)); independent uniforms above SciPy's 21,201 dimensions.
    """
    if n == 0 or d == 0:
        return np.zeros((n, d))
    from scipy.stats import qmc  # a second to load, which who only derives seeds need not pay

    if d > qmc.Sobol.MAXDIM:
        return np.random.default_rng(seed).random((n, d))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # n need not be a power of two here
        points = qmc.Sobol(d, scramble=True, rng=np.random.default_rng(seed)).random(n)
    return np.clip(np.asarray(points, dtype=np.float64), 1e-12, 1 - 1e-12)


def normal_quasirandom(n: int, d: int, seed: int) -> NDArray[np.float64]:
    """`n` quasi-random standard normal vectors of dimension `d`: ``n x d``, by inversion of `unit_quasirandom`.

    They come in random order, so that those of two seeds are independent of each other row by row: in their own order
    scrambled Sobol points share their digits' structure whatever the seed.
    """
    vectors = ndtri(unit_quasirandom(n, d, seed))
    return np.asarray(np.random.default_rng(derived_seed(seed, "order")).permutation(vectors), dtype=np.float64)
