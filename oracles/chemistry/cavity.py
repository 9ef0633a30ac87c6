"""The cavity that a solvent leaves for a molecule, kept: PySCF's C-PCM without computing it anew in every cycle.

With points on the surface, S the Coulomb matrix of their Gaussian charges, and v the molecule's potential at them, the
charges are ``q = -f S^-1 v`` with ``f = (e - 1) / e``, the energy is ``q.v / 2`` and its potential ``-B q``, where B
holds the integrals of pairs of orbitals with the points (Barone and Cossi, doi:10.1021/jp9716997; Lange and Herbert,
doi:10.1063/1.3511297). S and B belong to the nuclei and the basis. PySCF 2.14 computes B twice and factors S twice in
every cycle; here both are kept, for the molecule, its ions and its excitations. The numbers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import df, gto, lib
from pyscf.dft import gen_grid
from pyscf.solvent import pcm
from scipy.linalg import cho_factor, cho_solve

Array = NDArray[np.float64]

#: Points on a sphere around each atom, and the order of Lebedev's grid that has so many.
ORDERS = {50: 11, 110: 17, 194: 23, 302: 29, 590: 41}
#: The part of the allowed memory that B may take; above it B is computed again whenever it is asked for.
SHARE = 0.5


@dataclass(frozen=True)
class Cavity:
    """What belongs to the nuclei and the basis, for n points and p pairs of orbitals.

    `surface` is PySCF's description of the points; `coulomb` S (n, n) and `factor` its Cholesky factor; `nuclear` the
    potential of the nuclei (n); `pairs` B (p, n), None where it would not fit.
    """

    surface: dict[str, Any]
    coulomb: Array
    factor: tuple[Array, bool]
    nuclear: Array
    pairs: Array | None


@dataclass(frozen=True)
class SlowCharges:
    """Surface charges (n) of solvent molecules that had no time to turn, and the potential (n) that made them."""

    charges: Array
    potential: Array


class StoredPCM(pcm.PCM):  # type: ignore[misc]
    """PySCF's C-PCM on a `Cavity` that is computed once.

    With `slow` charges Q, those of another state of the same nuclei, `eps` is the square of the refractive index, and
    the solvent's energy is ``q.v / 2 + Q.v - Q.V / 2`` with q what `eps` answers to v, and V the other state's
    potential. Of that other state it is the equilibrium's; of this one it is above, by Marcus' reorganisation energy
    ``(f_e - f_n2) (v - V) S^-1 (v - V) / 2``. Source: You et al., J. Chem. Phys. 143, 204104 (2015): Pekar's partition.
    """

    _keys = {"cavity", "slow"}  # noqa: RUF012 (PySCF's own declaration)

    def __init__(self, mol: Any, cavity: Cavity | None = None, slow: SlowCharges | None = None) -> None:
        super().__init__(mol)
        self.cavity, self.slow = cavity, slow

    def reset(self, mol: Any = None) -> StoredPCM:
        """Forget the dielectric, and the cavity where there are other nuclei."""
        super().reset(mol)
        if mol is not None:
            self.cavity = None
        return self

    def build(self, ng: int | None = None) -> None:
        """Make ready for the dielectric constant `eps`."""
        if self.cavity is None:
            self.cavity = cavity_of(self.mol, ng or gen_grid.LEBEDEV_ORDER[self.lebedev_order], self.max_memory * SHARE)
        self.surface, self.v_grids_n = self.cavity.surface, self.cavity.nuclear
        coulomb = self.cavity.coulomb
        self._intermediates = {
            "S": coulomb, "K": coulomb, "D": None, "A": pcm.get_F_A(self.surface)[1], "f_epsilon": 1 - 1 / self.eps,
        }  # fmt: skip

    def _charges(self, potential: Array) -> Array:
        """Charges that answer potentials (k, n)."""
        assert self.cavity is not None
        return np.asarray(-(1 - 1 / self.eps) * cho_solve(self.cavity.factor, potential.T).T)

    def _get_vind(self, dms: Array) -> tuple[float, Array]:
        if not self._intermediates:
            self.build()
        nao = dms.shape[-1]
        total = np.asarray(dms).reshape(-1, nao, nao).sum(axis=0, keepdims=True)  # of both spins
        potential = self.v_grids_n - self._get_v(total)
        charges = self._charges(potential)
        energy = 0.5 * float(charges[0] @ potential[0])
        if self.slow is not None:
            energy += float(self.slow.charges @ (potential[0] - 0.5 * self.slow.potential))
            charges = charges + self.slow.charges
        self._intermediates |= {"q": charges[0], "q_sym": charges[0], "v_grids": potential[0], "dm": total}
        return energy, self._get_vmat(charges)[0]

    def _B_dot_x(self, dms: Array) -> Array:  # noqa: N802 (PySCF's name)
        if not self._intermediates:
            self.build()
        nao = dms.shape[-1]
        potential = -self._get_v(np.asarray(dms).reshape(-1, nao, nao))
        return self._get_vmat(self._charges(potential)).reshape(dms.shape)

    def _get_v(self, dms: Array) -> Array:
        """The electrons' potential at the points, without its sign: (k, nao, nao) gives (k, n)."""
        if self.cavity is None or self.cavity.pairs is None:
            return np.asarray(super()._get_v(dms))
        both = dms + dms.transpose(0, 2, 1)
        both[:, range(dms.shape[-1]), range(dms.shape[-1])] /= 2
        return np.asarray(lib.pack_tril(both) @ self.cavity.pairs)

    def _get_vmat(self, q: Array) -> Array:
        """The potential of charges (k, n) on the electrons: (k, nao, nao)."""
        if self.cavity is None or self.cavity.pairs is None:
            return np.asarray(super()._get_vmat(q))
        return np.asarray(-lib.unpack_tril(np.ascontiguousarray(np.atleast_2d(q) @ self.cavity.pairs.T)))


def slow_charges(mf: Any, points: int, memory_mb: float, optical: float) -> SlowCharges:
    """What stays of the solvent around a solved mean field on a CPU, where only its electrons (`optical`) follow."""
    solvent = mf.with_solvent
    own = StoredPCM(mf.mol, getattr(solvent, "cavity", None) or cavity_of(mf.mol, points, memory_mb * SHARE))
    own.max_memory = memory_mb
    own.build()
    nao = mf.mol.nao
    total = np.asarray(mf.make_rdm1()).reshape(-1, nao, nao).sum(axis=0, keepdims=True)
    potential = own.v_grids_n - own._get_v(total)[0]
    assert own.cavity is not None
    answer = cho_solve(own.cavity.factor, potential)
    return SlowCharges(-(1 / optical - 1 / solvent.eps) * answer, potential)


def cavity_of(mol: Any, points: int, memory_mb: float) -> Cavity:
    """The cavity of PySCF's molecule `mol`, with `points` around each atom but those inside other atoms."""
    surface = pcm.gen_surface(mol, ng=points, rad=1.2 * pcm.modified_Bondi)
    _, coulomb = pcm.get_D_S(surface, with_D=False)
    charges = gto.fakemol_for_charges(surface["grid_coords"], expnt=surface["charge_exp"] ** 2)
    nuclei = gto.fakemol_for_charges(mol.atom_coords(unit="B"))
    nuclear = mol.atom_charges() @ gto.mole.intor_cross("int2c2e", nuclei, charges)
    pairs = None
    if mol.nao * (mol.nao + 1) // 2 * len(coulomb) * 8e-6 < memory_mb:
        charges.cart = mol.cart
        pairs = df.incore.aux_e2(mol, charges, intor="int3c2e", aosym="s2ij")
    # Positive definite: the Coulomb energies of Gaussian charges, each with more than its own on the diagonal.
    return Cavity(surface, coulomb, cho_factor(coulomb, lower=True), nuclear, pairs)
