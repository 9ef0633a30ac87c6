"""Double hybrids: a hybrid functional solved self-consistently, plus scaled MP2 correlation of its orbitals.

``E = E(hybrid) + c_os E_MP2(opposite spins) + c_ss E_MP2(same spins)``, with the MP2 sums over Kohn-Sham orbitals.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DoubleHybrid:
    """The hybrid part as PySCF reads it, and the coefficients of MP2's two spin cases."""

    functional: str
    opposite_spin: float
    same_spin: float


#: By name, without ``-`` and ``_``. Sources: Grimme, doi:10.1063/1.2148954 (B2PLYP); Karton et al.,
#: doi:10.1021/jp801805p (B2GP-PLYP); Bremond and Adamo, doi:10.1063/1.3604569 (PBE0-DH); Bremond et al.,
#: doi:10.1063/1.4890314 (PBE-QIDH, whose exchange is the cube root of its MP2's third).
DOUBLE_HYBRIDS: dict[str, DoubleHybrid] = {
    "b2plyp": DoubleHybrid("0.53*HF + 0.47*B88, 0.73*LYP", 0.27, 0.27),
    "b2gpplyp": DoubleHybrid("0.65*HF + 0.35*B88, 0.64*LYP", 0.36, 0.36),
    "pbe0dh": DoubleHybrid("0.5*HF + 0.5*PBE, 0.875*PBE", 0.125, 0.125),
    "pbeqidh": DoubleHybrid("0.693361274*HF + 0.306638726*PBE, 0.666666667*PBE", 1 / 3, 1 / 3),
}


def double_hybrid(method: str) -> DoubleHybrid | None:
    """The double hybrid called `method`; None when it is none that we have."""
    return DOUBLE_HYBRIDS.get(method.lower().replace("-", "").replace("_", ""))
