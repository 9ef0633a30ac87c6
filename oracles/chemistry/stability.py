"""Whether an SCF solution is a minimum: the lowest curvature of its energy along rotations of its orbitals.

An SCF converges where the gradient vanishes, which symmetry alone can do: on a saddle point, or in an excited state.
The matrix of second derivatives is that of the coupled-perturbed equations (Seeger and Pople, doi:10.1063/1.434318;
Bauernschmitt and Ahlrichs, doi:10.1063/1.471637); rotations are real and keep the spins apart. PySCF's own check takes
several SCFs' time with fitted integrals; here products are those of `response`, and it ends where the sign is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from theoros.oracles.chemistry.response import amplitudes, hessian_of, orthonormal

Array = NDArray[np.float64]

#: Curvature (hartree) that counts as none: atoms with an open shell turn freely, and a coarse grid resists a little.
FLAT = 1e-3
#: Smallest gaps to begin with, and fewest and most cycles of the search.
STARTS, SHORTEST, CYCLES = 4, 3, 20


def downhill(mf: Any) -> Any:
    """Orbitals of a converged RHF, RKS, UHF or UKS turned in a direction in which its energy falls; None at a minimum.

    Davidson's algorithm for the lowest curvature. Ritz values are upper bounds, so a negative one is enough; and there
    is an eigenvalue within the residual's norm, so that one which is positive by more than that ends it too, though not
    before each symmetry had its chance: the start is the smallest gaps, and one vector with a part in all of them.
    """
    gaps, product = hessian_of(_on_coarse_grid(mf))
    if len(gaps) == 0:
        return None
    few = np.argsort(gaps)[:STARTS]
    mixed = np.random.default_rng(0).choice([-1.0, 1.0], len(gaps)) / np.maximum(gaps, 0.1)
    fresh = np.vstack([np.eye(1, len(gaps), int(i)) for i in few] + [mixed])
    basis = images = np.zeros((0, len(gaps)))
    for cycle in range(1, CYCLES + 1):
        fresh = orthonormal(fresh, basis)
        if len(fresh) == 0:
            return None
        basis, images = np.vstack([basis, fresh]), np.vstack([images, product(fresh)])
        small = basis @ images.T
        curvatures, weights = np.linalg.eigh((small + small.T) / 2)
        curvature, vector = curvatures[0], weights[:, 0] @ basis
        if curvature < -FLAT:
            return _turned(mf, vector) if _curvature(mf, vector) < -FLAT else None
        residual = weights[:, 0] @ images - curvature * vector
        if cycle >= SHORTEST and curvature - np.linalg.norm(residual) > -FLAT:
            return None
        fresh = (residual / np.maximum(np.abs(gaps - curvature), 1e-2))[None]
    return None


def _on_coarse_grid(mf: Any) -> Any:
    """A copy whose functional is integrated on PySCF's coarsest grid, a fifth to a tenth of the work: for a sign."""
    if not hasattr(mf, "xc"):
        return mf
    quick = mf.copy()
    quick.grids = type(mf.grids)(mf.mol)
    quick.grids.level = 0
    return quick


def _curvature(mf: Any, vector: Array) -> float:
    _, product = hessian_of(mf)
    return float(vector @ product(vector[None])[0])


def _turned(mf: Any, vector: Array) -> Any:
    """The orbitals after the rotation `vector`, in the shape of the mean field's own."""
    restricted = np.ndim(mf.mo_occ) == 1
    turned = []
    for coefficients, occupations, part in amplitudes(mf, vector):
        rotation = np.zeros((coefficients.shape[1],) * 2)
        rotation[np.ix_(occupations == 0, occupations > 0)] = part
        turned.append(coefficients @ expm(rotation - rotation.T))
    return turned[0] if restricted else np.array(turned)
