"""Density-fitted exchange of first-order and of transition densities, from their factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class FactoredExchange:
    """Exchange matrices of densities ``D = C1 O^T + O C1^T``, with O the occupied orbitals, of one spin.

    With fitted integrals B_P, ``K[D] = Y + Y^T`` and ``Y = K[C1 O^T] = sum_P (B_P C1)(B_P O)^T``: the cost goes with
    the occupied orbitals, where PySCF's own way for a general D goes with all. ``B_P O`` is kept (naux x nao x nocc
    doubles).
    """

    def __init__(self, fitting: Any, occupied: Array) -> None:
        self._fitting, self._occupied = fitting, occupied
        self._rows = max(4, int(1e8 / 8 / len(occupied) ** 2))
        self._halves = [self._flat(self._times(block, occupied), 1)[0] for block in self._blocks()]

    def __call__(self, first_order: Array) -> Array:
        """Exchange matrices (k, nao, nao) of first-order orbitals C1, shape (k, nao, nocc)."""
        half = self.one_sided(first_order)
        return np.asarray(half + half.transpose(0, 2, 1))

    def one_sided(self, first_order: Array) -> Array:
        """Y (k, nao, nao) of C1 (k, nao, nocc): the exchange matrices of ``C1 O^T``, as of a transition density."""
        k, nao, nocc = first_order.shape
        side_by_side = first_order.transpose(1, 0, 2).reshape(nao, k * nocc)
        half = np.zeros((k, nao, nao))
        for block, kept in zip(self._blocks(), self._halves, strict=True):
            for i, rows in enumerate(self._flat(self._times(block, side_by_side), k)):
                half[i] += rows @ kept.T
        return half

    def _blocks(self) -> Any:
        from pyscf import lib

        for packed in self._fitting.loop(self._rows):
            yield lib.unpack_tril(packed)

    @staticmethod
    def _times(block: Array, orbitals: Array) -> Array:
        """``B_P C``: (naux, nao, nao) and (nao, m) give (naux, nao, m)."""
        naux, nao, _ = block.shape
        return (block.reshape(naux * nao, nao) @ orbitals).reshape(naux, nao, -1)

    @staticmethod
    def _flat(half: Array, k: int) -> list[Array]:
        """Split (naux, nao, k * nocc) into k matrices (nao, naux * nocc)."""
        naux, nao, width = half.shape
        parts = half.reshape(naux, nao, k, width // k).transpose(2, 1, 0, 3)
        return [part.reshape(nao, -1) for part in parts]


def with_factored_exchange(mf: Any, occupied: Sequence[Array]) -> Any:
    """A copy of a density-fitted mean field whose exchange is computed from the factors that tag a density.

    The tag, `first_order`, holds one (k, nao, nocc) array for each spin. Range-separated exchange stays PySCF's.
    """
    quick = mf.copy()
    exchanges: list[FactoredExchange] = []

    def get_jk(
        mol: Any, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True, omega: float | None = None
    ) -> tuple[Any, Any]:
        if not with_k or omega:
            plain: tuple[Any, Any] = mf.get_jk(mol, np.asarray(dm), hermi, with_j, with_k, omega)
            return plain
        if not exchanges:
            exchanges.extend(FactoredExchange(mf.with_df, orbitals) for orbitals in occupied)
        parts = [exchange(c1) for exchange, c1 in zip(exchanges, dm.first_order, strict=True)]
        coulomb = mf.get_jk(mol, np.asarray(dm), hermi, with_k=False)[0] if with_j else None
        return coulomb, np.reshape(parts, dm.shape)

    quick.get_jk = get_jk
    return quick


def with_transition_exchange(mf: Any) -> Any:
    """A copy of a solved density-fitted RHF or RKS whose unsymmetric densities are transition densities ``C1 O^T``.

    Their factor is ``C1 = D S O``, since ``O^T S O = 1``. Symmetric densities and range-separated exchange are PySCF's.
    """
    quick = mf.copy()
    occupied = np.asarray(mf.mo_coeff[:, mf.mo_occ > 0])
    dual = mf.get_ovlp() @ occupied
    exchanges: list[FactoredExchange] = []

    def get_jk(
        mol: Any, dm: Any, hermi: int = 1, with_j: bool = True, with_k: bool = True, omega: float | None = None
    ) -> tuple[Any, Any]:
        if not with_k or omega or hermi:
            plain: tuple[Any, Any] = mf.get_jk(mol, dm, hermi, with_j, with_k, omega)
            return plain
        if not exchanges:
            exchanges.append(FactoredExchange(mf.with_df, occupied))
        densities = np.asarray(dm)
        first_order = densities.reshape(-1, *densities.shape[-2:]) @ dual
        coulomb = mf.get_jk(mol, densities, hermi, with_k=False)[0] if with_j else None
        return coulomb, exchanges[0].one_sided(first_order).reshape(densities.shape)

    quick.get_jk = get_jk
    return quick
