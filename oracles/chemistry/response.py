"""Static polarizability: coupled-perturbed Hartree-Fock and Kohn-Sham, and finite fields for everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry.exchange import with_factored_exchange
from theoros.oracles.failures import NotConverged

Array = NDArray[np.float64]

#: Field (a.u.) of the finite differences of a dipole, and of an energy, whose second difference loses more digits.
DIPOLE_STEP = 0.001
ENERGY_STEP = 0.004


def polarizability(mf: Any, tolerance: float) -> Array:
    """Static polarizability of a converged RHF, RKS, UHF or UKS in atomic units, shape (3, 3).

    Solves the first-order equations ``(de + K) x = -r`` for the three fields at once (Gerratt and Mills,
    doi:10.1063/1.1670299), with r the dipole integrals between occupied and virtual orbitals. Raises NotConverged.
    """
    spins = _spins(mf)
    _, hessian = hessian_of(mf)
    with mf.mol.with_common_orig((0.0, 0.0, 0.0)):
        dipole = mf.mol.intor_symmetric("int1e_r", comp=3)
    rhs = np.hstack([spin.project(dipole) for spin in spins])
    gaps = np.hstack([spin.gaps for spin in spins])
    # x and its conjugate, two electrons in a restricted orbital: 4; one electron in an unrestricted one: 2.
    return (4.0 if len(spins) == 1 else 2.0) * quadratic_forms(hessian, gaps, rhs, tolerance)


def hessian_of(mf: Any) -> tuple[Array, Callable[[Array], Array]]:
    """The gaps e_a - e_i (n) of a converged mean field, and ``de + K`` as a map of amplitudes (k, n) to (k, n).

    Amplitudes turn occupied orbitals into virtual ones, those of spin up before those of spin down.
    """
    spins = _spins(mf)
    gaps = np.hstack([spin.gaps for spin in spins])
    induced = _induced(mf, spins)
    return gaps, lambda x: gaps * x + induced(x)


def amplitudes(mf: Any, vector: Array) -> list[tuple[Array, Array, Array]]:
    """For each spin the orbitals (nao, nmo), their occupations (nmo) and its part (nvir, nocc) of amplitudes (n)."""
    coefficients, occupations = np.asarray(mf.mo_coeff), np.asarray(mf.mo_occ)
    if occupations.ndim == 1:
        coefficients, occupations = coefficients[None], occupations[None]
    shapes = [(int((n == 0).sum()), int((n > 0).sum())) for n in occupations]
    parts = np.split(vector, np.cumsum([a * i for a, i in shapes])[:-1])
    return [
        (c, n, part.reshape(shape)) for c, n, part, shape in zip(coefficients, occupations, parts, shapes, strict=True)
    ]


def quadratic_forms(hessian: Callable[[Array], Array], diagonal: Array, rhs: Array, tolerance: float) -> Array:
    """``B A^-1 B^T`` for the symmetric positive definite A = `hessian`, without solving for A^-1 B^T to full accuracy.

    `rhs` is B, shape (k, n); returns (k, k). Galerkin's solution in a growing space of preconditioned residuals is
    variational (Hylleraas), so the error of the result is quadratic in the residual r, and ``r D^-1 r`` estimates it.
    Stops when that is below `tolerance` times the result's trace. Raises NotConverged when A isn't positive definite
    (the SCF solution is unstable) or 60 iterations don't do.
    """
    basis = np.zeros((0, rhs.shape[1]))
    images = np.zeros((0, rhs.shape[1]))
    fresh, result = rhs / diagonal, np.zeros((len(rhs), len(rhs)))
    for _ in range(60):
        fresh = orthonormal(fresh, basis)
        if len(fresh) == 0:
            return result
        basis, images = np.vstack([basis, fresh]), np.vstack([images, hessian(fresh)])
        small = basis @ images.T
        small = (small + small.T) / 2
        if np.linalg.eigvalsh(small)[0] <= 0:
            raise NotConverged("the SCF solution is unstable: the energy has no minimum there, so no static response")
        target = basis @ rhs.T
        weights = np.linalg.solve(small, target)
        result = np.asarray(target.T @ weights)
        residual = rhs - weights.T @ images
        if np.sum(residual**2 / diagonal) <= tolerance * np.trace(result):
            return result
        fresh = residual / diagonal
    raise NotConverged("the coupled-perturbed equations did not converge in 60 iterations; loosen response_tol")


def orthonormal(vectors: Array, basis: Array) -> Array:
    """Directions of `vectors` that are new to `basis`, orthonormal; drops those which are not."""
    scale = np.linalg.norm(vectors, axis=1).max(initial=0.0)
    for _ in range(2):
        vectors = vectors - (vectors @ basis.T) @ basis
    _, singular, rows = np.linalg.svd(vectors, full_matrices=False)
    return np.asarray(rows[singular > 1e-10 * max(scale, 1e-300)])


@dataclass(frozen=True)
class _Spin:
    """Occupied and virtual orbitals of one spin: coefficients (nao, nocc) and (nao, nvir), gaps e_a - e_i, raveled."""

    occupied: Array
    virtual: Array
    gaps: Array

    def project(self, operators: Array) -> Array:
        """Virtual-occupied blocks of operators (k, nao, nao), raveled: (k, nvir * nocc)."""
        half = operators @ self.occupied
        return np.asarray(self.virtual.T @ half).reshape(len(operators), -1)

    def first_order(self, x: Array) -> Array:
        """First-order orbitals (k, nao, nocc) of amplitudes (k, nvir * nocc)."""
        return np.asarray(self.virtual @ x.reshape(len(x), self.virtual.shape[1], self.occupied.shape[1]))


def _spins(mf: Any) -> list[_Spin]:
    coefficients, occupations, energies = mf.mo_coeff, mf.mo_occ, mf.mo_energy
    if np.ndim(occupations) == 1:
        coefficients, occupations, energies = [coefficients], [occupations], [energies]
    spins = []
    for c, n, e in zip(coefficients, occupations, energies, strict=True):
        gaps = e[n == 0][:, None] - e[n > 0]
        spins.append(_Spin(np.asarray(c[:, n > 0]), np.asarray(c[:, n == 0]), gaps.ravel()))
    return spins


def _induced(mf: Any, spins: list[_Spin]) -> Callable[[Array], Array]:
    """The change of the Fock matrix that amplitudes induce: (k, n) -> (k, n)."""
    from pyscf import lib

    fitted = getattr(mf, "with_df", None) is not None
    potential = (with_factored_exchange(mf, [s.occupied for s in spins]) if fitted else mf).gen_response(hermi=1)
    splits = np.cumsum([len(spin.gaps) for spin in spins])[:-1]
    electrons = 2.0 / len(spins)

    def fock(x: Array) -> Array:
        pairs = zip(spins, np.split(x, splits, axis=1), strict=True)
        first_order = [electrons * spin.first_order(part) for spin, part in pairs]
        halves = [c1 @ spin.occupied.T for spin, c1 in zip(spins, first_order, strict=True)]
        densities = np.stack([half + half.transpose(0, 2, 1) for half in halves])
        if len(spins) == 1:
            densities = densities[0]
        changes = np.reshape(
            potential(lib.tag_array(densities, first_order=first_order)), (len(spins), *halves[0].shape)
        )
        return np.hstack([spin.project(change) for spin, change in zip(spins, changes, strict=True)])

    return fock


def from_dipoles(dipole_in_field: Callable[[Array], Array], step: float = DIPOLE_STEP) -> Array:
    """Polarizability (3, 3), a.u., by central differences of the dipole (a.u.) in a field (a.u.); 6 calls."""
    columns = [(dipole_in_field(step * e) - dipole_in_field(-step * e)) / (2 * step) for e in np.eye(3)]
    tensor = np.array(columns)
    return np.asarray(tensor + tensor.T) / 2


def from_energies(energy_in_field: Callable[[Array], float], step: float = ENERGY_STEP) -> tuple[Array, Array]:
    """Dipole (3,) and polarizability (3, 3), a.u., by central differences of the energy (hartree) in a field; 13 calls.

    mu = -dE/dF and alpha = -d2E/dF2, which for a non-variational method are the relaxed properties.
    """
    unit = np.eye(3) * step
    middle = energy_in_field(np.zeros(3))
    plus, minus = (np.array([energy_in_field(sign * f) for f in unit]) for sign in (1, -1))
    tensor = -np.diag(plus + minus - 2 * middle) / step**2
    for k, j in ((0, 1), (0, 2), (1, 2)):
        mixed = energy_in_field(unit[k] + unit[j]) + energy_in_field(-unit[k] - unit[j])
        singles = plus[k] + minus[k] + plus[j] + minus[j]
        tensor[k, j] = tensor[j, k] = -(mixed - singles + 2 * middle) / (2 * step**2)
    return (minus - plus) / (2 * step), tensor
