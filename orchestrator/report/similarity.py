"""How alike molecules are: fingerprints as sparse matrices, and their Tanimoto similarities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from theoros.models.data import Array
from theoros.models.fingerprints import thermometer_bits

RADIUS, COLUMNS = 3, 4096


def bit_matrix(smiles: Sequence[str]) -> Any:
    """Count-Morgan fingerprints (radius 3) as bits, ``n x 4096`` (scipy, CSR).

    Raises InvalidCandidate for text that is no molecule.
    """
    from scipy.sparse import csr_matrix

    bits = [thermometer_bits(text, RADIUS, COLUMNS) for text in smiles]
    ends = np.cumsum([0, *(len(own) for own in bits)])
    columns = np.concatenate(bits) if bits else np.zeros(0, np.int32)
    return csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(bits), COLUMNS))


def tanimoto(a: Any, b: Any) -> Array:
    """Similarities (0 to 1) of the rows of `a` (n) to those of `b` (m): ``n x m``. Of two empty rows it is 1."""
    shared = np.asarray((a @ b.T).todense())
    sizes = [np.asarray(matrix.sum(1)).reshape(-1) for matrix in (a, b)]
    union = sizes[0][:, None] + sizes[1][None, :] - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 1.0)
